"""Checkpoints: the state of an unfinished run, saved so that the resumed run equals the undisturbed one bit for bit.

A checkpoint is a folder ``checkpoints/step-000100`` inside the run's folder. It holds the trained weights and every
tensor of the optimizer as safetensors, and all other state as JSON. It is written under a temporary name and moved
into place, so a kill leaves either the whole checkpoint or none (`files` says what mounted drives do). Random numbers
need no saving: all draws of a training step depend on (seed, step) alone.
"""

from __future__ import annotations

import json
import shutil
import signal
import threading
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..disk import check_space
from ..errors import InputError
from ..files import recover, whole_folder
from . import processes

FOLDER = "checkpoints"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Checkpoints:
    """Where, how often and how many checkpoints of a run are kept. A ``with`` block around the training loop lets
    Ctrl-C and SIGTERM save one more before they end the run.

    Attributes:
        run_folder: the folder of the run to be.
        every: save after every so many steps; 0 saves none.
        keep: keep so many of the latest.
        made_from: what the run is made from, as `origin.made_from` says it. A checkpoint of another run is refused.
        made_with: what this machine took where the settings leave it a choice, by name: the precision and the class of
            the optimizer. A state that was made with others cannot be loaded.
        stop_requested: a signal came; the run ends after the current step.
    """

    run_folder: Path
    every: int
    keep: int
    made_from: dict[str, Any]
    made_with: dict[str, str] = field(default_factory=dict)
    stop_requested: bool = False
    _handlers: dict[int, Any] = field(default_factory=dict)

    def __enter__(self) -> Checkpoints:
        if self.every > 0 and threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._request_stop) for number in _SIGNALS}
        return self

    def __exit__(self, *_) -> None:
        self._restore_handlers()

    @property
    def folder(self) -> Path:
        """Return the folder of the checkpoints."""
        return self.run_folder / FOLDER

    def latest(self) -> Path | None:
        """Return the latest whole checkpoint, or None."""
        return max(self._whole(), default=None)

    def _whole(self) -> list[Path]:
        """Return the whole checkpoints, oldest first. The record of a checkpoint is written last."""
        for partial in self.folder.glob(".step-*"):  # left by a kill during an earlier save
            recover(partial.with_name(partial.name.split(".")[1]))
        return sorted(path.parent for path in self.folder.glob("step-*/state.json"))

    def after_step(self, step: int, steps: int, losses: list[float], state: dict[str, Any]) -> None:
        """Save the state if it is time to. The last step saves none, because the finished run is saved instead.

        Raises:
            KeyboardInterrupt: a signal asked the run to stop. The state was saved before.
        """
        if step < steps and (self.stop_requested or (self.every > 0 and step % self.every == 0)):
            if processes.is_main():  # the states of all processes are equal
                self._try_to_save(step, losses, state)
            if self.stop_requested:
                raise KeyboardInterrupt(f"stopped after step {step} of {steps}; the same call with `resume` goes on")

    def _try_to_save(self, step: int, losses: list[float], state: dict[str, Any]) -> None:
        """Save the state. If the disk is full or a drive is gone, warn and go on: training is worth more."""
        try:
            self.save(step, losses, state)
        except (OSError, SafetensorError) as error:
            latest = self.latest()
            warnings.warn(
                f"The state of step {step} could not be saved in {self.folder} ({error}). "
                f"A resumed run would begin at {latest.name if latest else 'the first step'}.",
                stacklevel=3,
            )

    def save(self, step: int, losses: list[float], state: dict[str, Any]) -> Path:
        """Save a checkpoint, then remove those that are too old.

        Args:
            step: number of steps done.
            losses: one for each of them.
            state: by name, everything with ``state_dict`` that training changes. Of a module, only the weights that
                need a gradient are saved: with LoRA a few megabytes.
        """
        tensors: dict[str, torch.Tensor] = {}
        tree = _pack({name: _trained(thing) or thing.state_dict() for name, thing in state.items()}, tensors)
        path = self.folder / f"step-{step:06d}"
        with whole_folder(path, replace=True) as temporary:
            save_file(tensors, temporary / "state.safetensors")
            made = {"made_from": self.made_from, "made_with": self.made_with}
            record = {"step": step, "losses": losses, **made, "state": tree}
            (temporary / "state.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
        kept = self._whole()[-self.keep :]
        for old in set(self.folder.glob("step-*")) - set(kept):  # those that a kill has half removed, too
            shutil.rmtree(old, ignore_errors=True)
        return path

    def restore(self, state: dict[str, Any]) -> tuple[int, list[float]]:
        """Load the latest checkpoint into ``state``, the things that `save` was given.

        Returns:
            The number of steps done and their losses; (0, []) if there is no checkpoint. A checkpoint that cannot be
            read is passed over with a warning, because a drive may not have written all of it.

        Raises:
            InputError: no checkpoint can be read, or they belong to a run with other settings, item or seed, or of
                another kind of machine; or the disk has no room for the checkpoints to come.
        """
        weights = sum(weight.numel() for thing in state.values() for weight in _trained(thing).values())
        # At least 2 bytes a weight for the run; 4 and two moments of 1 for each checkpoint, of which one is in writing.
        check_space(self.run_folder, weights * (2 + 6 * (self.keep + 1 if self.every else 0)))
        path, record, tree = self._read_latest()
        if path is None:
            return 0, []
        made_from = record["made_from"]
        if differing := _differing(made_from, self.made_from):
            raise InputError(
                f"{path} belongs to another run (it differs in {', '.join(differing)}): resume with the same settings, "
                f"or delete {self.folder}."
            )
        self._check_machine(path, record.get("made_with") or _guess(tree))
        for name, thing in state.items():
            weights = _trained(thing)
            if not weights and name in tree:  # an older version may have saved no scaler: then a new one will do
                thing.load_state_dict(tree[name])
            for key, weight in weights.items():  # load_state_dict would lose the order in memory, and bit-equal sums
                weight.data = tree[name][key].to(weight.device)
        return record["step"], record["losses"]

    def _check_machine(self, path: Path, made_with: dict[str, str]) -> None:
        differing = [name for name, value in self.made_with.items() if made_with.get(name, value) != value]
        if differing:
            old, new = (
                " and ".join(f"{name} {each[name]}" for name in differing) for each in (made_with, self.made_with)
            )
            raise InputError(
                f"{path} was made with {old}, but this machine takes {new}: resume on the same kind of machine, name a "
                f"new folder, or delete {self.folder} to start again."
            )

    def _read_latest(self) -> tuple[Path | None, dict[str, Any], dict[str, Any]]:
        """Return the latest checkpoint that can be read, its record and its state; None for the path without any."""
        damaged = []
        for path in reversed(self._whole()):
            try:
                record = json.loads((path / "state.json").read_text(encoding="utf-8"))
                tree = _unpack(record["state"], load_file(path / "state.safetensors"))
            except Exception as error:  # whatever a damaged file raises
                damaged.append(f"{path} ({(str(error).strip().splitlines() or [type(error).__name__])[0]})")
                continue
            if damaged:
                warnings.warn(f"Passed over what cannot be read: {', '.join(damaged)}.", stacklevel=4)
            return path, record, tree
        if damaged:
            raise InputError(f"No checkpoint can be read: {', '.join(damaged)}. Delete them and resume again.")
        return None, {}, {}

    def _request_stop(self, number: int, frame) -> None:
        self.stop_requested = True
        self._restore_handlers()  # a second signal ends the run at once

    def _restore_handlers(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}


def _trained(thing: Any) -> dict[str, torch.nn.Parameter]:
    """Return the weights of a module that need a gradient, by name; nothing for what is no module."""
    named = thing.named_parameters() if isinstance(thing, torch.nn.Module) else ()
    return {name: weight for name, weight in named if weight.requires_grad}


def _guess(tree: dict[str, Any]) -> dict[str, str]:
    """Return the optimizer that made a state, for a checkpoint of an older version, which does not say it."""
    kept = {name for moments in tree.get("optimizer", {}).get("state", {}).values() for name in moments}
    return {"optimizer": "AdamW" if "exp_avg" in kept else "AdamW8bit"} if kept else {}


def _differing(old: Any, new: Any, prefix: str = "") -> list[str]:
    """Return the names of the entries in which two JSON trees differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return [name for key in keys for name in _differing(old.get(key), new.get(key), f"{prefix}{key}.")]
    return [] if old == new else [prefix.rstrip(".")]


def _pack(tree: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Move the tensors of a state tree to ``tensors`` and return the rest in a form that JSON can hold.

    A tensor is saved in the order of its memory, with its strides. Fused and 8-bit optimizers read weights and moments
    in that order, whatever their strides are, so a copy in the usual order would mix the moments up.
    """
    if torch.is_tensor(tree):
        name, tensor = str(len(tensors)), tree.detach().cpu()
        span = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
        if span != tensor.numel():
            tensor = tensor.contiguous()
        tensors[name] = tensor.as_strided((tensor.numel(),), (1,)).clone()
        return {"tensor": name, "shape": list(tensor.shape), "stride": list(tensor.stride())}
    if isinstance(tree, dict):  # as pairs: the optimizer's keys are whole numbers, which JSON would make text
        return {"pairs": [[key, _pack(value, tensors)] for key, value in tree.items()]}
    if isinstance(tree, (list, tuple)):
        return [_pack(value, tensors) for value in tree]
    return tree


def _unpack(tree: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Undo `_pack`; tuples come back as lists."""
    if isinstance(tree, list):
        return [_unpack(value, tensors) for value in tree]
    if not isinstance(tree, dict):
        return tree
    if "tensor" in tree:
        return tensors[tree["tensor"]].as_strided(tree["shape"], tree["stride"])
    return {key: _unpack(value, tensors) for key, value in tree["pairs"]}
