"""The baselines: painters like ours, one painting for each reference photo, and weights that exist as .bin only."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import PNDMScheduler
from PIL import Image, ImageOps
from tools.example import make_example_parts
from tools.family import SIDE
from tools.hub_models import make_checker

from dp_helpers import baselines, inpaint, presets, segment
from dp_helpers.errors import InputError


@pytest.fixture(scope="module")
def example_parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paint-by-example")
    return folder, make_example_parts(folder)


@pytest.fixture
def example_preset(preset, example_parts):
    return presets.change(preset, models={"paint_by_example": [str(example_parts[0])]})


@pytest.fixture
def object_masks(item, preset):
    return segment.object_masks(item, preset)


@pytest.fixture
def painters(example_preset, item, object_masks):
    return {
        "title": baselines.title(example_preset, item),
        "description": baselines.description(example_preset, item),
        "paint_by_example": baselines.paint_by_example(example_preset, item, object_masks),
        "paste_in": baselines.paste_in(example_preset, item, object_masks),
    }


@pytest.mark.parametrize("name", ["title", "description", "paint_by_example", "paste_in"])
def test_all_are_called_like_our_painter_and_change_nothing_outside_the_mask(painters, photo, mask, name):
    result = painters[name](photo, mask, seed=1)
    again = painters[name](photo, mask, seed=1)
    assert isinstance(result, inpaint.Result) and result.parameters["seed"] == 1
    changed = (np.asarray(result.image) != np.asarray(photo)).any(axis=2)
    inside = np.asarray(mask) > 0
    assert changed[inside].any() and not changed[~inside].any()
    assert result.image.tobytes() == again.image.tobytes()


@pytest.mark.parametrize("name", ["paint_by_example", "paste_in"])
def test_one_variant_for_each_photo(painters, item, photo, mask, name):
    painter = painters[name]
    assert painter.variants == len(item.photos)
    field = {"paint_by_example": "examples", "paste_in": "cutouts"}[name]  # the product is the same on all photos
    unlike = [ImageOps.invert(getattr(painter, field)[0].convert("RGB")), *getattr(painter, field)[1:]]
    unlike[0] = unlike[0].convert(unlike[1].mode)
    painter = replace(painter, **{field: unlike})
    pictures = [painter(photo, mask, variant=index).image.tobytes() for index in range(painter.variants)]
    assert pictures[0] != pictures[1] == pictures[2]
    with pytest.raises(InputError, match="no variant 3"):
        painter(photo, mask, variant=3)


def test_settings_win_over_the_presets_and_are_checked(painters, photo, mask):
    painter = painters["paint_by_example"]
    assert painter(photo, mask, num_inference_steps=1).parameters["num_inference_steps"] == 1
    steps = []
    painter(photo, mask, num_inference_steps=3, progress=lambda step, count: steps.append((step, count)))
    assert steps == [(1, 3), (2, 3), (3, 3)]
    for name in ("paint_by_example", "paste_in"):
        with pytest.raises(InputError, match="feather"):
            painters[name](photo, mask, feather=2.0)


def test_the_presets_resolution_is_painted(painters, photo, mask):
    painter = painters["paint_by_example"]
    small = replace(painter, preset=presets.change(painter.preset, resolution=16))
    assert small(photo, mask).parameters["resolution"] == 16


def test_prompts(painters, item):
    assert painters["title"].prompt == "Red box"
    assert painters["description"].prompt == "an armchair"
    with pytest.raises(InputError, match="no title"):
        baselines.title(painters["title"].preset, replace(item, title=""))


@pytest.mark.parametrize(
    ("info", "noun", "words"),
    [
        ({"color": "blue", "pattern": "plain"}, "sofa", "a plain blue sofa"),
        ({"color": "red", "pattern": None, "color2": None}, "chair", "a red chair"),
        ({"color": "blue", "color2": "white", "pattern": "striped"}, "t-shirt", "a striped blue and white t-shirt"),
        ({"color": "orange"}, "lamp", "an orange lamp"),
        ({"details": "a red heart", "title": "Sweetheart mug"}, "mug", "a mug"),
    ],
)
def test_description_says_what_the_catalogue_states_and_no_more(item, info, noun, words):
    assert baselines.describe(replace(item, info=info, class_noun=noun)) == words


def test_example_is_the_square_around_the_product(painters, item):
    for example, photo in zip(painters["paint_by_example"].examples, item.photos, strict=True):
        assert example.width == example.height < photo.width
        assert np.asarray(example)[example.height // 2, example.width // 2].tolist() == [30, 30, 200]  # the blue spot


@pytest.mark.parametrize("box", [(20, 10, 60, 60), (10, 30, 80, 50)])
def test_pasted_product_keeps_its_aspect_and_lies_in_the_middle(example_preset, item, object_masks, box):
    photo, mask = Image.new("RGB", (90, 70), (0, 255, 0)), Image.new("L", (90, 70), 0)
    mask.paste(255, box)
    painter = baselines.paste_in(example_preset, item, object_masks)
    pasted = np.asarray(painter(photo, mask, feather=0.0).image).astype(int)
    left, top, right, bottom = Image.fromarray((pasted[..., 1] < 128).astype(np.uint8) * 255).getbbox()
    wide, high = painter.cutouts[0].size
    assert (right - left) / (bottom - top) == pytest.approx(wide / high, abs=0.1)
    assert max((right - left) / (box[2] - box[0]), (bottom - top) / (box[3] - box[1])) == pytest.approx(1, abs=0.05)
    assert abs(left + right - box[0] - box[2]) <= 2 and abs(top + bottom - box[1] - box[3]) <= 2


def test_bin_weights_are_read_only_where_the_preset_allows_it(preset, item, object_masks, tmp_path, photo, mask):
    parts = make_example_parts(tmp_path)
    for path in tmp_path.glob("*/*.safetensors"):
        path.unlink()
    PNDMScheduler(skip_prk_steps=True).save_pretrained(tmp_path / "scheduler")  # that of the published repository
    preset = presets.change(preset, models={"paint_by_example": [str(tmp_path)]})
    assert preset.allow_bin == ()
    with pytest.raises(InputError, match="allow_bin"):
        baselines.paint_by_example(preset, item, object_masks)
    allowed = presets.change(preset, allow_bin=[str(tmp_path)])
    with pytest.warns(UserWarning, match="weights-only") as said:
        painter = baselines.paint_by_example(allowed, item, object_masks)
    assert len([one for one in said if "weights-only" in str(one.message)]) == len(parts)
    for name, part in parts.items():
        loaded = getattr(painter.pipe, name).state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in part.state_dict().items()), name
    assert painter(photo, mask).painted.size == (SIDE, SIDE)


@pytest.mark.parametrize("flagging", [True, False])
def test_paint_by_example_uses_the_safety_checker_that_comes_with_it(
    preset, item, object_masks, tmp_path, photo, mask, flagging
):
    make_example_parts(tmp_path)
    make_checker(flagging).save_pretrained(tmp_path / "safety_checker")
    preset = presets.change(preset, models={"paint_by_example": [str(tmp_path)]})
    painter = baselines.paint_by_example(preset, item, object_masks)
    if flagging:
        with pytest.raises(InputError, match="rejected the picture of seed 3, so nothing was painted"):
            painter(photo, mask, seed=3)
        free = baselines.paint_by_example(presets.change(preset, safety_checker=False), item, object_masks)
        assert free.pipe.safety_checker is None and free(photo, mask, seed=3).image.size == photo.size
    else:
        assert painter.pipe.safety_checker and painter(photo, mask, seed=3).image.size == photo.size


class Spy:
    """Leaves a file when it is unpickled by a reader that runs code."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_code_in_bin_weights_is_not_run(preset, item, object_masks, tmp_path):
    make_example_parts(tmp_path)
    for path in tmp_path.glob("*/*.safetensors"):
        path.unlink()
    torch.save(Spy(tmp_path / "ran"), tmp_path / "vae" / "diffusion_pytorch_model.bin")
    preset = presets.change(preset, models={"paint_by_example": [str(tmp_path)]}, allow_bin=[str(tmp_path)])
    with pytest.raises(InputError, match="weights"):
        baselines.paint_by_example(preset, item, object_masks)
    assert not (tmp_path / "ran").exists()
