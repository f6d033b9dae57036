"""Painting: photos of any shape, same seed same picture, and not a pixel touched outside the mask."""

import json

import numpy as np
import pytest
from PIL import Image

from dp_helpers import inpaint
from dp_helpers.errors import InputError
from dp_helpers.evaluation.metrics import clip_score
from dp_helpers.plots import before_after, demo, loss_curve, object_masks, references, save


@pytest.fixture(scope="module")
def pipe(preset):
    pipe = inpaint.load_pipeline(preset, device="cpu")
    pipe.set_progress_bar_config(disable=True)
    return pipe


def paint(pipe, preset, photo, mask, **options):
    return inpaint.inpaint(pipe, photo, mask, "a sks mug", preset=preset, **options)


@pytest.mark.parametrize("size", [(90, 70), (70, 90), (32, 32), (20, 200), (31, 33)])
@pytest.mark.parametrize("feather", [0.0, 0.2])
def test_outside_the_mask_nothing_changes(pipe, preset, size, feather):
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    mask = Image.new("L", size, 0)
    mask.paste(255, (size[0] // 4, size[1] // 4, size[0] * 3 // 4, size[1] * 3 // 4))
    result = paint(pipe, preset, Image.fromarray(pixels), mask, feather=feather)
    after, inside = np.asarray(result.image), np.asarray(mask) > 0
    assert after.shape == pixels.shape
    assert (after[~inside] == pixels[~inside]).all()
    assert (after[inside] != pixels[inside]).any()


def test_same_seed_same_picture(pipe, preset, photo, mask):
    one, same, other = (np.asarray(paint(pipe, preset, photo, mask, seed=seed).image) for seed in (0, 0, 1))
    assert (one == same).all() and (one != other).any()


def test_numbers_come_from_the_preset_unless_given(pipe, preset, photo, mask):
    parameters = paint(pipe, preset, photo, mask, guidance_scale=3.0).parameters
    assert parameters["guidance_scale"] == 3.0 and parameters["num_inference_steps"] == 2
    assert parameters["prompt"] == "a sks mug" and parameters["seed"] == 0


@pytest.mark.parametrize(("strength", "steps"), [(1.0, 4), (0.5, 2)])
def test_progress_can_be_followed(pipe, preset, photo, mask, strength, steps):
    seen = []
    options = {"num_inference_steps": 4, "strength": strength}
    paint(pipe, preset, photo, mask, **options, progress=lambda step, count: seen.append((step, count)))
    assert seen == [(step + 1, steps) for step in range(steps)]


def test_eta_draws_new_noise_in_each_step(pipe, preset, photo, mask):
    none, much = (np.asarray(paint(pipe, preset, photo, mask, eta=eta).painted) for eta in (0.0, 0.9))
    assert (none != much).any()


@pytest.mark.parametrize("eta", [-0.1, 1.0])
def test_eta_out_of_range_is_refused(pipe, preset, photo, mask, eta):
    with pytest.raises(InputError, match="eta"):
        paint(pipe, preset, photo, mask, eta=eta)


def test_steps_times_strength_must_leave_a_step(pipe, preset, photo, mask):
    with pytest.raises(InputError, match="no step"):
        paint(pipe, preset, photo, mask, num_inference_steps=2, strength=0.3)


def test_what_progress_raises_ends_the_painting(pipe, preset, photo, mask):
    def stop(step: int, steps: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        paint(pipe, preset, photo, mask, progress=stop)
    paint(pipe, preset, photo, mask)


def test_square_around_the_mask():
    assert inpaint.square_around((40, 40, 60, 50), (100, 80), 2.0) == (30, 25, 70, 65)
    assert inpaint.square_around((0, 0, 20, 20), (100, 80), 2.0) == (0, 0, 40, 40)
    assert inpaint.square_around((40, 40, 60, 50), (100, 80), 99.0) == (10, 0, 90, 80)
    assert inpaint.square_around((5, 30, 95, 50), (100, 80), 2.0) == (
        0,
        -10,
        100,
        90,
    )  # longer than the photo is high


def test_cut_repeats_the_edge(photo):
    assert inpaint.cut(photo, (10, 10, 30, 30)).tobytes() == photo.crop((10, 10, 30, 30)).tobytes()
    tall = inpaint.cut(photo, (0, -10, 90, 80))
    assert tall.size == (90, 90) and tall.getpixel((7, 0)) == photo.getpixel((7, 0))
    assert inpaint.cut(Image.new("L", (9, 9), 255), (-1, 0, 8, 9), outside=0).getpixel((0, 0)) == 0


def test_bad_masks(pipe, preset, photo):
    for mask, words in ((Image.new("L", (9, 9), 255), "same size"), (Image.new("L", photo.size, 0), "empty")):
        with pytest.raises(InputError, match=words):
            paint(pipe, preset, photo, mask)


def test_saved_picture_carries_its_parameters(pipe, preset, photo, mask, tmp_path):
    result = paint(pipe, preset, photo, mask)
    path = inpaint.save_result(result, tmp_path / "new" / "result.png")
    with Image.open(path) as image:
        assert json.loads(image.text["dreampaint"]) == result.parameters
        assert image.tobytes() == result.image.tobytes()
    with pytest.raises(InputError, match=".png"):
        inpaint.save_result(result, tmp_path / "result.jpg")


def test_clip_score(preset, photo, mask):
    box = mask.getbbox()
    assert clip_score(photo, [photo.crop(box)], mask, preset) == pytest.approx(1, abs=1e-5)
    other = Image.new("RGB", (20, 20), "red")
    assert clip_score(photo, [other, photo.crop(box)], mask, preset) == pytest.approx(1, abs=1e-5)
    assert clip_score(photo, [other], mask, preset) < 1


def test_figures(item, photo, mask, tmp_path):
    figures = [
        references(item.photos, "Red box"),
        before_after(photo, mask, photo),
        object_masks(item.photos, item.own_masks),
        demo(item.photos, photo, mask, photo, "Red box"),
        loss_curve([1.0, 0.5, 0.25]),
    ]
    for index, figure in enumerate(figures):
        path = save(figure, tmp_path / f"{index}.png", dpi=50)
        with Image.open(path) as image:
            assert len(image.convert("RGB").getcolors(2**24)) > 10
