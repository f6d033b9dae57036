"""What people have on their disks, and what becomes of it."""

import json

import numpy as np
import pytest
from PIL import Image
from tools.family import make_item, product_photo

from dp_helpers import catalog
from dp_helpers.errors import InputError, Note


def test_load_item(item):
    assert item.class_noun == "armchair" and item.title == "Red box" and item.name == "red-box"
    assert item.prompt("sks") == "a sks armchair"
    assert [path.name for path in item.paths] == ["photo-1.png", "photo-2.png", "photo-3.png"]
    for photo, mask in zip(item.photos, item.own_masks, strict=True):
        assert photo.mode == "RGB" and photo.size == (48, 48) == mask.size
        assert photo.getpixel((0, 0)) == (255, 255, 255) and mask.getpixel((0, 0)) == 0


def test_stray_files_are_passed_over(item_folder):
    photos = item_folder / "photos"
    (photos / ".ipynb_checkpoints").mkdir()
    product_photo(0).save(photos / ".ipynb_checkpoints" / "photo-1.png")
    product_photo(0).save(photos / ".hidden.png")
    (photos / "notes.txt").write_text("not a photo")
    (photos / "Thumbs.db").write_bytes(b"\0")
    with pytest.warns(Note, match="holds 3 photos, 3 with a mask of its own; left out: notes.txt .not a picture..$"):
        assert len(catalog.load_item(item_folder).photos) == 3


def test_a_plain_folder_of_many_formats(tmp_path):
    for ending in ("jpg", "webp", "bmp", "PNG"):
        product_photo(0).save(tmp_path / f"photo.{ending}")
    item = catalog.load_item(tmp_path, "wall  art")
    assert len(item.photos) == 4 and item.class_noun == "wall art"


def test_photos_stand_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    image = Image.new("RGB", (40, 20), "white")
    image.paste((255, 0, 0), (0, 0, 20, 20))  # red on the left, so on top when upright
    image.save(tmp_path / "turned.png", exif=exif)
    upright = catalog.load_photo(tmp_path / "turned.png")
    assert upright.size == (20, 40) and upright.getpixel((10, 5)) == (255, 0, 0)


def test_transparency_becomes_white(tmp_path):
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    image.save(tmp_path / "clear.png")
    assert catalog.load_photo(tmp_path / "clear.png").getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "I;16"])
def test_any_mode_becomes_rgb(tmp_path, mode):
    value = np.full((8, 8), 65535, dtype=np.uint16)
    image = Image.fromarray(value) if mode == "I;16" else Image.new("RGB", (8, 8), "white").convert(mode)
    path = tmp_path / "photo.tif"
    image.save(path)
    loaded = catalog.load_photo(path)
    assert loaded.mode == "RGB" and min(loaded.getpixel((4, 4))) >= 250


def test_no_photos_are_refused_and_one_is_said(tmp_path):
    with pytest.raises(InputError, match="holds 0 photos"):
        catalog.load_item(make_item(tmp_path / "none", 0))
    with pytest.warns(Note, match="holds one photo"):
        assert len(catalog.load_item(make_item(tmp_path / "one", 1)).photos) == 1


@pytest.mark.parametrize("fits", ['"sofa"', "[1]", "null"])
def test_fits_must_be_a_list_of_nouns(context_folder, fits):
    (context_folder / "context.json").write_text(f'{{"fits": {fits}}}')
    with pytest.raises(InputError, match="fits .* but it must be a list"):
        catalog.load_context(context_folder)


@pytest.mark.parametrize("info", [{}, {"class_noun": ""}, {"class_noun": None}, {"class_noun": "  "}])
def test_missing_class_noun(item_folder, info):
    (item_folder / "item.json").write_text(json.dumps(info))
    with pytest.raises(InputError, match="class noun"):
        catalog.load_item(item_folder)
    assert catalog.load_item(item_folder, "mug").class_noun == "mug"


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_broken_item_json(item_folder, text):
    (item_folder / "item.json").write_text(text)
    with pytest.raises(InputError, match="item.json"):
        catalog.load_item(item_folder)


def test_unreadable_photo(item_folder):
    (item_folder / "photos" / "photo-2.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match="photo-2.png"):
        catalog.load_item(item_folder)


def test_cut_off_photo(item_folder):
    path = item_folder / "photos" / "photo-2.png"
    path.write_bytes(path.read_bytes()[:120])
    with pytest.raises(InputError, match="photo-2.png"):
        catalog.load_item(item_folder)


def test_masks_are_checked(tmp_path):
    path = tmp_path / "mask.png"
    Image.new("L", (8, 8), 0).save(path)
    with pytest.raises(InputError, match="empty"):
        catalog.load_mask(path, (8, 8))
    Image.new("L", (8, 8), 200).save(path)
    with pytest.raises(InputError, match="8 x 8 pixels but its photo is 9 x 8"):
        catalog.load_mask(path, (9, 8))
    assert catalog.load_mask(path, (8, 8)).getextrema() == (255, 255)


def test_a_transparent_drawing_is_a_mask(tmp_path):
    drawing = Image.new("RGBA", (8, 8), (255, 255, 255, 0))
    drawing.paste((255, 255, 255, 255), (2, 2, 5, 5))
    drawing.save(tmp_path / "mask.png")
    assert catalog.load_mask(tmp_path / "mask.png", (8, 8)).getbbox() == (2, 2, 5, 5)


def test_load_context(tmp_path, photo, mask):
    (tmp_path / "masks").mkdir()
    photo.save(tmp_path / "photo.png")
    mask.save(tmp_path / "masks" / "drawn.png")
    (tmp_path / "context.json").write_text('{"kind": "room", "fits": ["sofa"]}')
    context = catalog.load_context(tmp_path)
    assert context.kind == "room" and context.fits == ("sofa",) and list(context.masks) == ["drawn"]
    assert context.photo.size == context.masks["drawn"].size


def test_a_kind_of_null_is_none(context_folder):
    (context_folder / "context.json").write_text('{"kind": null}')
    assert catalog.load_context(context_folder).kind == ""


def test_a_mask_next_to_the_photo_is_not_the_photo(tmp_path, photo, mask):
    mask.save(tmp_path / "photo.mask.png")
    photo.save(tmp_path / "photo.png")
    assert (np.asarray(catalog.load_context(tmp_path).photo) == np.asarray(photo)).all()
    (tmp_path / "photo.png").unlink()
    with pytest.raises(InputError, match="holds no photo"):
        catalog.load_context(tmp_path)


@pytest.mark.parametrize(("title", "wanted"), [(None, ""), (" Red\n  box ", "Red box"), (7, "7")])
def test_a_title_is_one_line_of_text(item_folder, title, wanted):
    (item_folder / "item.json").write_text(json.dumps({"class_noun": "mug", "title": title}))
    assert catalog.load_item(item_folder).title == wanted
