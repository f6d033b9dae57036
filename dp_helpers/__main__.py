"""The command line: ``python -m dp_helpers demo | masks | finetune | inpaint | evaluate | check``.

Status lines and progress bars go to stderr, results to stdout. Wrong input ends with one sentence on stderr and exit
code 2. Input is checked before torch is loaded, so that a mistake is answered at once.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from . import catalog, course, presets, squares
from .errors import InputError
from .files import check_can_write, find_data, whole_folder

DEMO_ITEM, DEMO_CONTEXT, DEMO_MASK = "captain-t-shirt", "mannequin-ben", "rectangle"


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    options.words = sys.argv[1:] if arguments is None else arguments
    try:
        return options.command(options) or 0
    except InputError as error:
        print(f"dp_helpers: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        print(f"\ndp_helpers: {stopped or 'stopped; no half-written file is left'}.", file=sys.stderr)
        return 130


def demo(options: argparse.Namespace) -> None:
    """Run the whole job on one catalogue item and one context."""
    preset = _preset(options)
    item, out = catalog.load_item(_item_folder(options.item or _default("catalog", DEMO_ITEM))), options.out
    context = catalog.load_context(options.context or _default("contexts", DEMO_CONTEXT))
    if not context.masks:
        raise InputError(f"The context {context.name} has no mask: put one into its folder masks/.")
    mask = context.masks.get(DEMO_MASK) or next(iter(context.masks.values()))
    check_can_write(out)
    _quiet()
    from .demo import run_demo

    report = run_demo(item, context, mask, preset, out, seed=options.seed, say=_say)
    print(json.dumps(report, indent=2))
    _say(f"the picture is {out / 'figure.png'}")


def masks(options: argparse.Namespace) -> None:
    """Find the object masks of an item and write them, with an overlay to look at."""
    preset = presets.load(options.preset)
    item = catalog.load_item(_item_folder(options.item), options.class_noun)
    check_can_write(options.out)
    _quiet()
    from . import plots, segment

    _say(f"finding the {item.class_noun} on {len(item.photos)} photos")
    object_masks = segment.object_masks(item, preset)
    with whole_folder(options.out) as folder:
        for path, mask in zip(item.paths, object_masks, strict=True):
            mask = squares.crop_from_square(mask, catalog.load_photo(path).size)
            mask.save(folder / (path.stem + catalog.MASK_ENDING))
        plots.save(plots.object_masks(item.photos, object_masks, item.title), folder / "overlay.png")
    print(options.out / "overlay.png")


def finetune(options: argparse.Namespace) -> None:
    """Fine-tune on an item and save the run."""
    preset = _preset(options)
    item = catalog.load_item(_item_folder(options.item), options.class_noun)
    check_can_write(options.out)
    _quiet()
    from . import finetune as training
    from . import runs, segment

    runs.check_run_folder(options.out)
    _say(f"finding the {item.class_noun} on {len(item.photos)} photos")
    object_masks = segment.object_masks(item, preset)
    _say(f"fine-tuning on {item.name}")
    run = training.finetune(
        item, object_masks, preset, seed=options.seed, output_dir=options.out, resume=options.resume
    )
    _say(f"{len(run.losses)} steps in {run.seconds['train']:.0f} s; its prompt is {run.prompt!r}")
    print(options.out)


def inpaint(options: argparse.Namespace) -> None:
    """Paint a fine-tuned item into a photo."""
    photo = catalog.load_photo(options.photo)
    mask = catalog.load_mask(options.mask, photo.size)
    check_can_write(options.out, suffix=".png")
    if not (options.run / "run.json").is_file():
        raise InputError(f"{options.run} is not a fine-tuned run: name the folder that `finetune --out` made.")
    _quiet()
    from . import inpaint as painting
    from . import runs

    run = runs.load_run(options.run)
    preset = presets.load(options.preset or run.preset_source)
    if options.guidance_scale is not None:
        preset = presets.change(preset, inpaint={"guidance_scale": options.guidance_scale})
    painter = painting.load_painter(preset, run)
    prompt = options.prompt or run.prompt
    _say(f"painting {prompt!r}")
    print(painting.save_result(painter(photo, mask, prompt=prompt, seed=options.seed), options.out))


def evaluate(options: argparse.Namespace) -> None:
    """Compare DreamPaint with the baselines on data/benchmark; a run that was killed goes on where it stopped."""
    preset, data = _preset(options), options.data or find_data()
    check_can_write(options.out)
    _quiet()
    from .evaluation import benchmark, report
    from .evaluation.pairs import load_gallery_items, load_pairs

    pairs, painters = load_pairs(data, options.items), options.painters or benchmark.PAINTERS
    if options.quick:
        pairs, options.seeds = [pair for pair in pairs if pair.item.name == pairs[0].item.name][:2], 1
    makers = benchmark.make_painters(preset, options.runs, painters)
    _say(f"{len(pairs)} pairs, {options.seeds} seeds, painters: {', '.join(painters)}")
    rows = benchmark.run(
        makers,
        pairs,
        range(options.seeds),
        preset=preset,
        gallery_items=load_gallery_items(data, options.items),
        folder=options.out,
    )
    command = " ".join(["python -m dp_helpers", *options.words])
    print(report.write_report(rows, painters, pairs, preset, options.out, command))


def check(options: argparse.Namespace) -> int:
    """Say whether this machine is ready, in one line for each requirement."""
    _quiet()
    from .check import checks

    everything = True
    for right, name, found in checks(options.preset):
        everything &= right
        print(f"{'OK  ' if right else 'FAIL'} {name}: {found}", flush=True)
    return 0 if everything else 1


def _item_folder(item: str | Path) -> Path:
    """Return an item's folder, from a path or a name in data/catalog."""
    if Path(item).is_dir():
        return Path(item)
    try:
        named = find_data() / "catalog" / item
    except InputError:
        named = Path(item)
    if not named.is_dir():
        raise InputError(f"There is no item {str(item)!r}: name a folder of photos or an item of data/catalog.")
    return named


def _default(kind: str, name: str) -> Path:
    """Return data/KIND/NAME, or the first folder in data/KIND if there is no such folder."""
    folder = find_data() / kind
    folders = [folder / name, *(path for path in sorted(folder.glob("[!.]*")) if path.is_dir())]
    existing = [path for path in folders if path.is_dir()]
    if not existing:
        raise InputError(f"{folder} is empty: check out the whole repository, or run `make data`.")
    return existing[0]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _preset(options: argparse.Namespace) -> presets.Preset:
    """Return the preset, with the number of steps that the command line gives."""
    preset = presets.load(options.preset)
    return preset if options.steps is None else presets.change(preset, finetune={"steps": options.steps})


def _quiet() -> None:
    """Load the libraries, without their own loading bars and notes on stderr."""
    _say("loading the libraries")
    course.quiet()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dp_helpers", description="Paint a catalogue product into a photo.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(run, *, preset: str | None = "tiny") -> argparse.ArgumentParser:
        added = commands.add_parser(run.__name__, help=run.__doc__, description=run.__doc__)
        added.set_defaults(command=run)
        default = preset or "that of the run"
        added.add_argument("--preset", default=preset, help=f"tiny, sd15 or a TOML file (default: {default})")
        return added

    def item(added: argparse.ArgumentParser) -> None:
        added.add_argument("item", help="a folder of photos, or the name of an item in data/catalog")
        added.add_argument("--class-noun", help="what the item is, if its item.json does not say")

    added = command(demo)
    added.add_argument("--out", type=Path, default=Path("out/demo"), help="folder (default: out/demo)")
    added.add_argument("--item", help=f"default: {DEMO_ITEM}")
    added.add_argument("--context", type=Path, help=f"a context's folder (default: {DEMO_CONTEXT})")
    added.add_argument("--steps", type=int, help="default: the preset's")
    added.add_argument("--seed", type=int, default=0)

    added = command(masks)
    item(added)
    added.add_argument("--out", type=Path, required=True, help="folder")

    added = command(finetune)
    item(added)
    added.add_argument("--out", type=Path, required=True, help="folder of the run, for example runs/armchair")
    added.add_argument("--resume", action="store_true", help="go on from the run's latest checkpoint, if there is one")
    added.add_argument("--steps", type=int, help="default: the preset's")
    added.add_argument("--seed", type=int, default=0)

    added = command(inpaint, preset=None)
    added.add_argument("run", type=Path, help="folder that finetune --out made")
    added.add_argument("photo", type=Path)
    added.add_argument("mask", type=Path, help="a picture of the photo's size, white = repaint")
    added.add_argument("--out", type=Path, required=True, help="PNG file")
    added.add_argument("--prompt", help="default: the item's")
    added.add_argument("--guidance-scale", type=float, help="default: the preset's")
    added.add_argument("--seed", type=int, default=0)

    added = command(evaluate)
    added.add_argument("--out", type=Path, required=True, help="folder of rows, report and pictures")
    added.add_argument("--data", type=Path, help="folder with catalog/ and contexts/, or MureCom (default: data/)")
    added.add_argument("--items", nargs="+", metavar="ITEM", default=[], help="default: all items of the pairs")
    added.add_argument(
        "--painters", nargs="+", metavar="PAINTER", help="default: all; the first is compared with the others"
    )
    added.add_argument("--seeds", type=int, default=3, help="pictures of each painter for each pair (default: 3)")
    added.add_argument("--steps", type=int, help="of fine-tuning (default: the preset's)")
    added.add_argument("--runs", type=Path, default=Path("runs"), help="folder of fine-tunes (default: runs)")
    added.add_argument("--quick", action="store_true", help="one item, two pairs, one seed")

    command(check)
    return parser


if __name__ == "__main__":
    sys.exit(main())
