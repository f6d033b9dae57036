"""The leaderboard: our row is that of the committed results, an entry that breaks a rule is refused at once."""

import re
from pathlib import Path

import pytest

from dp_helpers import presets
from dp_helpers.__main__ import main
from dp_helpers.errors import InputError
from dp_helpers.evaluation import benchmark, leaderboard, report, statistics
from dp_helpers.evaluation.rows import read_rows

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "LEADERBOARD.md").read_text(encoding="utf-8")
TINY = presets.load("tiny")


@pytest.fixture(scope="module")
def rows():
    return read_rows(ROOT / "data" / "results" / "evaluate")


def test_our_row_and_the_figures_are_those_of_the_committed_results(rows):
    table = re.search(r"<!-- table:begin -->\n(.*?)<!-- table:end -->", PAGE, re.DOTALL)[1]
    assert table == statistics.to_markdown([leaderboard.row(rows, "`tiny`", TINY)]), "put this row into LEADERBOARD.md"
    shown = re.search(r"rank of ([\d.]+), a pasted .* photo ([\d.]+), .* colour ([\d.]+)\. ", " ".join(PAGE.split()))
    for name, figure in zip(("true-picture", "paste-in", "coloured-box"), shown.groups(), strict=True):
        assert figure == f"{statistics.mean(rows, name, 'reciprocal_rank').mean:.2f}", name


def test_the_budget_on_the_page_is_the_presets():
    own = TINY.finetune
    assert f"{own.steps * own.batch_size:,} photos" in PAGE and f"{own.steps} steps of {own.batch_size}" in PAGE


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"finetune": {"steps": 301}}, "shows 1204 photos to the model, and the leaderboard allows 1200"),
        ({"finetune": {"gradient_accumulation_steps": 2}}, "shows 2400 photos"),
        ({"finetune": {"prior_weight": 1.0}}, "shows 2400 photos"),
        ({"inpaint": {"eta": 0.5}}, r"this entry changes inpaint\.eta: change settings of masks and finetune alone"),
        ({"segment": {"grow": 0.1}}, r"changes segment\.grow"),
        ({"models": {"clip": ("data/tiny/clipseg",)}}, r"changes models\.clip"),
        ({"token": "xyz"}, "changes token"),
    ],
)
def test_an_entry_that_breaks_a_rule_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        leaderboard.check(presets.change(TINY, **changes))


def test_other_settings_of_the_fine_tuning_are_an_entry(rows):
    entry = presets.change(TINY, finetune={"steps": 150, "batch_size": 8, "lora_rank": 8}, masks={"full": 0.0})
    leaderboard.check(entry)
    better = [row | {"reciprocal_rank": 1.0} for row in rows]
    line = leaderboard.row(better, "mine", entry)
    assert line["entry"] == "mine" and line["reciprocal rank ↑"] == "1.000 [1.000, 1.000]"
    assert line["changed settings"] == "masks.full=0.0, finetune.steps=150, finetune.batch_size=8, finetune.lora_rank=8"
    gain = 1 - statistics.mean(rows, leaderboard.PAINTER, "reciprocal_rank").mean
    assert line["against `tiny`"].startswith(f"{gain:.3f} [0.")
    with pytest.raises(InputError, match="An entry needs 78 pictures, and this one has 77 of them"):
        leaderboard.row([row for row in rows if row["painter"] == leaderboard.PAINTER][1:], "mine", entry)


def test_the_command_prints_the_row(rows, tmp_path, monkeypatch, capsys):
    asked = {}

    def run(makers, pairs, seeds, **options):
        asked.update(makers=list(makers), pairs=len(pairs), seeds=list(seeds))
        return rows

    monkeypatch.setattr(benchmark, "run", run)
    monkeypatch.setattr(report, "write_report", lambda *arguments: tmp_path / "report.md")
    words = ["evaluate", "--out", str(tmp_path / "out"), "--leaderboard", "mine"]
    assert main([*words, "--set", "finetune.learning_rate=3e-4"]) == 0
    assert asked == {"makers": ["dreampaint"], "pairs": 26, "seeds": [0, 1, 2]}
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("| mine | ") and line.endswith(" | finetune.learning_rate=0.0003 |")
    assert main([*words, "--quick"]) == 2 and "leave out --quick" in capsys.readouterr().err
    assert main([*words, "--steps", "500"]) == 2 and "shows 2000 photos" in capsys.readouterr().err
