"""A full disk, a folder that cannot be written to, and two runs at once: told in one sentence, nothing lost."""

import os
import shutil
import signal
import subprocess
import sys

import pytest
from tools.command import REPOSITORY, Done

from dp_helpers import disk, files, finetune
from dp_helpers.errors import InputError


@disk.alone_in("folder")
def work(*, folder=None):
    return folder


def test_a_folder_is_free_again_after_the_work_and_after_an_error(tmp_path):
    assert work(folder=tmp_path) == tmp_path
    assert work() is None

    @disk.alone_in("folder")
    def fail(*, folder):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        fail(folder=tmp_path)
    assert work(folder=tmp_path) == tmp_path


def test_a_second_call_in_the_same_folder_is_refused(tmp_path):
    @disk.alone_in("folder")
    def outer(*, folder):
        work(folder=tmp_path / "other")
        work(folder=folder / ".." / folder.name)

    with pytest.raises(InputError, match="is in use by another run: wait for its end, or name another folder"):
        outer(folder=tmp_path)


def test_the_first_of_several_processes_holds_the_folder_for_all(tmp_path, monkeypatch):
    @disk.alone_in("folder", together=True)
    def together(*, folder):
        return folder

    @disk.alone_in("folder")
    def outer(*, folder):
        monkeypatch.setenv("RANK", "1")
        assert together(folder=folder) == folder
        with pytest.raises(InputError, match="is in use"):
            work(folder=folder)
        monkeypatch.setenv("RANK", "0")
        with pytest.raises(InputError, match="is in use"):
            together(folder=folder)

    monkeypatch.setenv("RANK", "0")
    outer(folder=tmp_path)


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path):
    code = f"""
import time
from dp_helpers import disk
@disk.alone_in("folder")
def hold(*, folder):
    print("held", flush=True)
    time.sleep(60)
hold(folder={str(tmp_path / "run")!r})
"""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(InputError, match="is in use by another run"):
        work(folder=tmp_path / "run")
    process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    process.wait()
    assert work(folder=tmp_path / "run")


def test_the_second_fine_tune_into_a_folder_is_refused(item_folder, family, tmp_path, capsys, monkeypatch):
    arguments = ("finetune", item_folder, "--preset", family / "preset.toml", "--steps", 1, "--out", tmp_path / "run")
    seconds = []

    def meanwhile(*_, **__):
        seconds.append(Done(capsys, *arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(finetune, "train", meanwhile)
    assert Done(capsys, *arguments).returncode == 130
    assert seconds[0].returncode == 2 and "is in use by another run" in seconds[0].stderr
    assert not (tmp_path / "run").exists()


def test_room_is_checked_before_the_work(tmp_path, monkeypatch):
    disk.check_space(tmp_path / "new" / "run", 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 5_000_000}))
    with pytest.raises(InputError, match=r"run needs 6 MB, but its disk has 5 MB left: free some space"):
        disk.check_space(tmp_path / "new" / "run", 6_000_000)


def test_a_fine_tune_that_cannot_be_saved_is_refused_before_its_first_step(item, preset, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 1000}))
    with pytest.raises(InputError, match="its disk has 0 MB left"):
        finetune.finetune(
            item,
            item.own_masks,
            preset,
            output_dir=tmp_path / "run",
            progress=lambda *_: pytest.fail("a step was taken"),
        )


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from pathlib import Path
import numpy
from safetensors.numpy import save_file
from PIL import Image
from dp_helpers import files
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
folder = Path(sys.argv[1])
for write in (
    lambda path: path.write_bytes(bytes(10_000)),
    lambda path: Image.effect_noise((200, 200), 50).save(path, "PNG"),
    lambda path: save_file({"weight": numpy.zeros(10_000)}, path),
):
    try:
        with files.whole_folder(folder / "run") as temporary:
            write(temporary / "file")
        print("written")
    except files.CannotWrite as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource")
def test_a_disk_that_takes_no_more_is_told_whoever_writes(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", LIMITED, tmp_path], capture_output=True, text=True, env=environment)
    lines = done.stdout.splitlines()
    assert len(lines) == 3 and all(
        "run cannot be written (File too large): free some space" in line for line in lines
    ), done
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "said"), [(28, "No space left"), (30, "Read-only"), (13, "Permission denied")])
def test_the_kinds_of_failure_are_told_and_nothing_is_left(tmp_path, number, said):
    for writing in (files.whole_file, files.whole_folder):
        with pytest.raises(InputError, match=said) as caught, writing(tmp_path / "new" / "out.png"):
            raise OSError(number, os.strerror(number))
        assert isinstance(caught.value, OSError) and list(tmp_path.iterdir()) == []


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), files.whole_file(tmp_path / "out.png"):
        raise FileNotFoundError(2, "an input is missing")


def test_an_old_leftover_of_a_living_process_stays(tmp_path):
    mine, dead = tmp_path / f".out.partial-{os.getpid()}.png", tmp_path / ".out.partial-999999999.png"
    for path in (mine, dead):
        path.write_text("half")
    files.recover(tmp_path / "out.png")
    assert mine.exists() and not dead.exists()
