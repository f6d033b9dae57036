"""The real size: the hand-made tokenizer, the rehearsal's presets, the plain loop, the benchmark's arithmetic."""

from __future__ import annotations

import sys
import tomllib

import pytest
import torch
from PIL import Image

from data.build.measure import bench, full_size, machine, plain_loop, rehearse
from dp_helpers import presets
from dp_helpers.files import find_data


@pytest.fixture(scope="module")
def tokenizer():
    return full_size.make_tokenizer()


def test_the_tokenizer_has_the_published_size_and_marks(tokenizer):
    assert len(tokenizer) == full_size.VOCABULARY == 49408
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (49406, 49407)
    ids = tokenizer("a photo of a nbsn lamp", padding="max_length", max_length=77).input_ids
    assert len(ids) == 77 and ids[0] == 49406 and ids[7:] == [49407] * 70  # each word is one token


def test_the_tokenizer_spells_words_that_it_does_not_know(tokenizer):
    for words in ("zebra", "crème brûlée", "日本"):
        ids = tokenizer(words).input_ids
        assert len(ids) > 3 and ids[-1] == 49407 and ids.count(49407) == 1
        assert tokenizer.decode(ids, skip_special_tokens=True).strip() == words


def test_the_presets_of_the_rehearsal_name_no_published_model(tmp_path):
    path = tmp_path / "sd15.toml"
    path.write_text(full_size.preset_text())
    full, shrunk = presets.load(path), presets.load(rehearse.shrunk_preset(path))
    sd15 = presets.load("sd15")
    assert vars(full.models) == {name: (f"./{name}",) for name in full_size.MODELS}
    assert (full.finetune, full.inpaint, full.resolution) == (sd15.finetune, sd15.inpaint, sd15.resolution)
    assert (shrunk.finetune.views, shrunk.inpaint.num_inference_steps) == (2, 2)


def test_every_published_configuration_names_its_source():
    root = find_data() / "published"
    readme = (root / "README.md").read_text()
    for source in (sources[0].partition("@")[0] for sources in _sources().values()):
        assert (root / source).is_dir() and f"`{source}`" in readme, source


def _sources() -> dict[str, list[str]]:
    return tomllib.loads((full_size.ROOT / "dp_helpers/presets/sd15.toml").read_text())["models"]


def test_the_plain_loop_learns_on_the_same_model(item, preset):
    losses, told = [], []
    losses = plain_loop.train(item.photos, "a sks mug", preset, lambda *step: told.append(step))
    assert len(losses) == preset.finetune.steps and [step for step, *_ in told] == [1, 2, 3]
    assert all(loss > 0 for loss in losses)


def test_random_masks_are_binary_and_of_both_shapes():
    masks = [plain_loop.random_mask((32, 32)) for _ in range(60)]
    assert {level for mask in masks for level, count in enumerate(mask.histogram()) if count} == {0, 255}
    filled = [mask.crop(mask.getbbox()) for mask in masks if mask.getbbox()]
    assert {Image.eval(each, bool).getextrema()[0] == 0 for each in filled} == {True, False}  # corners: ellipses, boxes


def test_the_clock_leaves_the_first_steps_out():
    clock = bench.Clock()
    clock.ends = [0.0, 50.0, 90.0, 91.0, 93.0, 94.0]
    assert clock.seconds == 1.0


def test_a_whole_run_of_ours_pays_for_the_bank_once():
    row = bench.whole_run(0.1, 0.2, 10.0, 400)[2 + 2]
    assert row == "| 400 | 50 | 80 | 1.60 |"


def test_the_whole_benchmark_runs_on_the_random_family(family, tmp_path, monkeypatch):
    report, preset = tmp_path / "report.md", str(family / "preset.toml")
    given = ["bench", "--preset", preset, "--steps", "1", "--repeats", "1", "--busy", "--out", str(report)]
    monkeypatch.setattr(sys, "argv", given)
    threads = torch.get_num_threads()
    try:
        bench.main()
    finally:
        torch.set_num_threads(threads)
    text = report.read_text()
    assert machine.name(torch.device("cpu")) in text and "1 threads of" in text
    for title in ("Our step", "Each choice alone", "The bank", "A whole run", "Share", "Where the time", "Growth"):
        assert f"## {title}" in text
    assert "| plain loop / ours | " in text and "| convolution, backward | " in text and "nan" not in text


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("aten::convolution_backward", "convolution, backward"),
        ("aten::_slow_conv2d_backward", "convolution, backward"),
        ("aten::_slow_conv2d_forward", "convolution"),
        ("aten::addmm", "matrix products"),
        ("aten::linalg_vector_norm", "optimizer and clipping"),
        ("aten::view", "all else"),
    ],
)
def test_an_operation_is_of_the_first_kind_that_fits(operation, kind):
    assert machine.kind_of(operation) == kind


def test_the_spread_of_a_ratio_is_that_of_its_pairs():
    rows = bench._spread("seconds", {"ratio": bench._ratios([2.0, 6.0, 4.0], [1.0, 2.0, 4.0])})
    assert rows[2] == "| ratio | 2.000 | 1.000 | 3.000 |"
