"""What is pasted of a painted square: the product, found in true pictures by the real ClipSeg of the tiny family."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from dp_helpers import catalog, files, inpaint, matte, presets, segment
from dp_helpers.errors import InputError, Note
from dp_helpers.squares import cut, square_around

DATA = files.find_data()


@pytest.fixture(scope="module")
def tiny():
    return presets.load("tiny")


def true_pair(name: str, tiny):
    """Return the squares of the photo without the product and with it, the product's pixels, and its class noun."""
    folder = DATA / "benchmark" / name
    context = catalog.load_context(DATA / "contexts" / json.loads((folder / "pair.json").read_text())["context"])
    box = square_around(context.masks["rectangle"].getbbox(), context.photo.size, tiny.inpaint.crop_scale)
    with Image.open(folder / "truth.png") as opened:
        truth = opened.convert("RGB")
    before, after = (cut(picture, box).resize((128, 128), Image.LANCZOS) for picture in (context.photo, truth))
    difference = np.abs(np.asarray(before, float) - np.asarray(after, float)).max(-1)
    item = catalog.load_item(DATA / "catalog" / name.partition("--")[0])
    return before, after, ndimage.binary_opening(difference > 40), difference < 8, item.class_noun


# The lamp's foot and the mug's handle have colours that ClipSeg alone overlooks.
@pytest.mark.parametrize(
    "name", ["lantern-lamp--writing-desk", "bumblebee-mug--workbench", "signal-t-shirt--mannequin-anna"]
)
def test_the_product_is_taken_and_little_else(name, tiny):
    before, after, product, untouched, noun = true_pair(name, tiny)
    found = np.asarray(matte.product_matte(after, before, noun, tiny)) / 255
    assert found[product].mean() > 0.85
    assert found[untouched].mean() < 0.1


def test_an_old_product_of_the_class_is_covered(tiny):
    """The painting shows a bare wall where the photo has a T-shirt: the wall must be pasted there."""
    before, _, _, _, noun = true_pair("signal-t-shirt--mannequin-anna", tiny)
    wall = Image.new("RGB", before.size, before.getpixel((4, 4)))
    found = np.asarray(matte.product_matte(wall, before, noun, tiny))
    shirt = np.asarray(segment.probability_maps([before], noun, tiny)[0]) > 0.95
    shirt = np.asarray(Image.fromarray(shirt).resize(before.size))
    assert shirt.mean() > 0.05 and found[shirt].mean() > 250


@pytest.mark.parametrize(("inside", "taken"), [(0.0, 0), (0.22, 255)], ids=["a handle's hole", "a pale emblem"])
def test_what_the_product_encloses_is_taken_unless_it_is_a_hole(inside, taken, tiny, monkeypatch):
    ring = np.zeros((32, 32), np.float32)
    ring[8:24, 8:24] = 1
    ring[13:19, 13:19] = inside
    found = matte_of(ring, tiny, monkeypatch)
    assert found[16, 16] == taken and found[2, 2] == 0 and found[10, 10] == 255


def test_a_speck_far_from_the_product_is_left_out(tiny, monkeypatch):
    parts = np.zeros((32, 32), np.float32)
    parts[8:28, 2:20] = parts[4:16, 24:28] = parts[26:29, 26:29] = 1
    found = matte_of(parts, tiny, monkeypatch)
    assert found[18, 10] == found[10, 26] == 255 and found[27, 27] == 0


def test_a_large_faint_area_neither_stays_nor_hides_the_product(tiny, monkeypatch):
    faint = np.full((32, 32), 0.3, np.float32)
    faint[14:17, 14:17] = 1
    found = matte_of(faint, tiny, monkeypatch)
    assert found[15, 15] == 255 and found[4, 4] == 0


def matte_of(probability, tiny, monkeypatch):
    """Return the matte of a grey painting in which ClipSeg finds this, and nothing in the photo."""
    maps = torch.from_numpy(np.stack([probability, 0 * probability]))
    monkeypatch.setattr(segment, "probability_maps", lambda *_: maps)
    grey = Image.new("RGB", (32, 32), "grey")
    return np.asarray(matte.product_matte(grey, grey, "mug", tiny))


def test_only_the_matte_is_pasted(painter, photo, mask):
    """The painter of the random family: what its matte leaves out stays as it was, inside the mask as well."""
    named = inpaint.Painter(painter.pipe, painter.preset, "a sks mug", "mug")
    whole, part = named(photo, mask, paste="mask"), named(photo, mask, paste="product")
    assert part.parameters["paste"] == "product" and (np.asarray(part.painted) == np.asarray(whole.painted)).all()
    square = inpaint.cut_square(photo, mask, painter.preset.inpaint, whole.painted.width)
    nothing = square.paste(whole.painted, {}, Image.new("L", whole.painted.size, 0))
    assert (np.asarray(nothing.image) == np.asarray(photo)).all()
    everything = square.paste(whole.painted, {}, Image.new("L", whole.painted.size, 255))
    assert (np.asarray(everything.image) == np.asarray(whole.image)).all()


@pytest.mark.parametrize(("level", "said"), [(0, True), (2, True), (60, False)])
def test_a_product_that_is_not_found_is_told_with_the_way_out(painter, photo, mask, level, said, monkeypatch, recwarn):
    monkeypatch.setattr(matte, "product_matte", lambda painted, *_: Image.new("L", painted.size, level))
    named = inpaint.Painter(painter.pipe, painter.preset, "a sks mug", "mug")
    named(photo, mask, paste="product")
    notes = [str(each.message) for each in recwarn if issubclass(each.category, Note)]
    assert len([note for note in notes if "mug" in note and 'paste="mask"' in note]) == said
    recwarn.clear()
    named(photo, mask, paste="mask")
    assert not [each for each in recwarn if "mug" in str(each.message)]


def test_without_a_class_noun_everything_under_the_mask_is_pasted(painter, photo, mask):
    result = painter(photo, mask, paste="product")
    assert result.parameters["paste"] == "mask"
    assert (np.asarray(result.image) == np.asarray(painter(photo, mask, paste="mask").image)).all()


def test_another_word_for_paste_is_refused(painter, photo, mask):
    with pytest.raises(InputError, match="must be mask or product"):
        painter(photo, mask, paste="shadow")
