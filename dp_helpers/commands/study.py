"""The command ``study``: the blind rating of section 5.2, from pictures to Table 2.

1. ``python -m dp_helpers evaluate --out out/evaluation`` paints the pictures.
2. ``python -m dp_helpers study make out/evaluation --out out/study`` shuffles them into the folder out/study, which
   raters get, and writes the key out/study-key.csv, which they do not get.
3. Each rater rates, in one of three ways:

   - in a notebook with the panel: ``rating.RatingPanel("out/study", rater="anna")`` from `dp_helpers.widgets`;
   - in Python: ``raters.open_ratings(study.load_study("out/study"), "anna").rate("07", similarity=2, harmony=3)`` from
     `dp_helpers.evaluation`;
   - on paper: print out/study/print.html. Type the answers of each rater into a copy of out/study/form.csv.

   Each way gives one CSV file a rater. Put all of them into out/study/ratings.
4. ``python -m dp_helpers study merge out/study --out out/study-results`` opens the key and writes Table 2, with
   intervals and the agreement of the raters. Without ratings it says that there is no result.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..files import check_can_write, find_data
from . import common


def add(commands) -> None:
    """Add the command to the parser's ``commands``."""
    formatter = argparse.RawDescriptionHelpFormatter
    added = commands.add_parser("study", help="Make a blind study for raters, or merge their ratings.")
    added.formatter_class, added.description = formatter, __doc__
    actions = added.add_subparsers(required=True, metavar="ACTION")
    make = actions.add_parser("make", help=run_make.__doc__, description=run_make.__doc__)
    make.set_defaults(command=run_make)
    make.add_argument("results", type=Path, help="folder that `evaluate --out` wrote")
    make.add_argument("--out", type=Path, required=True, help="folder for raters")
    make.add_argument("--key", type=Path, help="CSV file that raters must not see (default: OUT-key.csv)")
    make.add_argument("--data", type=Path, help="folder that was evaluated (default: data/)")
    make.add_argument("--painters", nargs="+", metavar="PAINTER", help="default: the three of the paper's Table 2")
    make.add_argument(
        "--pairs", type=int, help="how many to draw, at most (default: 20, so 60 pictures, as in the paper)"
    )
    make.add_argument("--seed", type=int, help="of the draw and the order (default: chance)")
    merge = actions.add_parser("merge", help=run_merge.__doc__, description=run_merge.__doc__)
    merge.set_defaults(command=run_merge)
    merge.add_argument("study", type=Path, help="folder that `study make --out` wrote")
    merge.add_argument("ratings", type=Path, nargs="*", help="files of the raters (default: STUDY/ratings/*.csv)")
    merge.add_argument("--out", type=Path, required=True, help="folder of the results")
    merge.add_argument("--key", type=Path, help="default: STUDY-key.csv")


def run_make(options: argparse.Namespace) -> None:
    """Make a blind study from the pictures of an evaluation, with a page to print."""
    common.quiet()
    from ..evaluation import handout, raters, study

    key, data = options.key or _default_key(options.out), options.data or find_data()
    choices = {"painters": options.painters, "pairs": options.pairs, "seed": options.seed}
    choices = {name: value for name, value in choices.items() if value is not None}
    made = study.make_study(options.results, data, options.out, key, **choices)
    raters.write_form(made)
    handout.write_handout(made, made.folder / "print.html")
    common.say(f"{len(made.cards)} pictures; keep the key {key} from the raters")
    print(made.folder)


def run_merge(options: argparse.Namespace) -> None:
    """Merge the files of all raters, open the key, and write Table 2."""
    common.quiet()
    from ..evaluation import raters, study, table2

    rated = study.load_study(options.study)
    key = study.load_key(options.key or _default_key(options.study), rated)
    check_can_write(options.out)
    files = options.ratings or raters.rating_files(rated)
    merged = raters.merge(rated, files)
    common.say(f"{len(merged)} raters, {len(files)} files" if merged else "nobody has rated this study yet")
    command = " ".join(["python -m dp_helpers", *options.words])
    print(table2.write_results(merged, key, rated, options.out, command))


def _default_key(folder: Path) -> Path:
    folder = folder if folder.name not in ("", "..") else folder.resolve()
    return folder.with_name(f"{folder.name}-key.csv")
