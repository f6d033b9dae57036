"""The panel for a product of one's own, driven without a browser: photos in, result out, and the plain calls agree."""

import html
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from test_upload import png, send
from tools.family import product_photo

from dp_helpers import catalog, finetune, inpaint, segment
from dp_helpers.widgets import upload
from dp_helpers.widgets.product import ProductPanel

PHOTOS = {f"side {number}.png": png(product_photo(number)) for number in range(3)}


@pytest.fixture
def answers(monkeypatch):
    sent = []
    monkeypatch.setattr(upload.FileDrop, "send", lambda self, content, buffers=None: sent.append(content))
    return sent


@pytest.fixture
def panel(preset, photo, mask, tmp_path, answers):
    return ProductPanel(preset, photo, mask, folder=tmp_path / "my-product")


def find(panel: ProductPanel, noun: str = "armchair") -> None:
    panel.find.controls["class_noun"].value = noun
    panel.find.start.click()
    panel.find.wait(60)


def run(stage) -> None:
    stage.start.click()
    stage.wait(60)


def test_the_whole_job_and_the_plain_calls_that_do_the_same(panel, preset, photo, mask, answers):
    assert panel.masks.children == panel.training.children == panel.scene.children == ()
    send(panel.drop, PHOTOS)
    assert answers[-1]["words"] == "There are 3 photos now." and panel.photos.value.count("<img") == 3
    find(panel)
    assert panel.item.class_noun == "armchair" and len(panel.canvases) == 3
    for index, canvas in enumerate(panel.canvases):  # the random ClipSeg finds nothing sensible: correct it
        box = Image.new("L", canvas.photo.size, 0)
        box.paste(255, (10 + index, 12, 34 + index, 36))
        canvas.mask = box
    run(panel.finetuning)
    assert "saved in" in panel.finetuning.status.value and panel.run.folder == panel.folder / "run"
    run(panel.painting)

    item = catalog.load_item(panel.folder)
    object_masks = segment.object_masks(item, preset)
    assert all(
        (np.asarray(one) == np.asarray(two)).all() for one, two in zip(object_masks, panel.object_masks, strict=True)
    )
    plain = finetune.finetune(item, object_masks, preset, progress=False)
    assert plain.losses == panel.run.losses
    result = inpaint.load_painter(preset, plain)(photo, mask, seed=0)
    assert (np.asarray(result.image) == np.asarray(panel.result.image)).all()
    assert panel.painting.download.ready and panel.finetuning.download.ready


def test_photos_come_in_a_zip_file_too(panel, answers):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in PHOTOS.items():
            archive.writestr(f"my chair/{name}", data)
        archive.writestr("__MACOSX/my chair/._side 0.png", b"junk")
        archive.writestr("my chair/notes.txt", b"hello")
    send(panel.drop, {"chair.zip": buffer.getvalue()})
    assert answers[-1]["words"] == "There are 3 photos now."
    names = sorted(path.name for path in (panel.folder / "photos").iterdir())
    assert names == [*PHOTOS]
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("../outside.png", PHOTOS["side 0.png"])
    send(panel.drop, {"chair.zip": buffer.getvalue()})
    assert "outside its folder" in answers[-1]["words"] and not (panel.folder.parent / "outside.png").exists()
    send(panel.drop, {"bad.zip": b"no zip"})
    assert "bad.zip cannot be unpacked" in answers[-1]["words"]
    assert sorted(path.name for path in (panel.folder / "photos").iterdir()) == names


def test_what_is_no_photo_is_named_and_left_out(panel, answers):
    send(panel.drop, {"notes.png": b"hello", **PHOTOS})
    assert answers[-1]["words"].startswith("notes.png cannot be read as a picture")
    assert answers[-1]["words"].endswith("There are 3 photos now.")


def test_photos_can_be_removed_and_those_of_an_earlier_day_count(panel, preset, photo, answers):
    send(panel.drop, PHOTOS)
    assert ProductPanel(preset, photo, folder=panel.folder).photos.value.count("<img") == 3
    panel.remove.click()
    assert panel.photos.value == "" and list((panel.folder / "photos").iterdir()) == []


def test_what_item_json_says_stays_and_its_noun_is_the_first_value(panel, preset, photo, answers):
    send(panel.drop, PHOTOS)
    (panel.folder / "item.json").write_text('{"title": "Grüne Tasse", "class_noun": "mug"}', encoding="utf-8")
    again = ProductPanel(preset, photo, folder=panel.folder)
    assert again.find.controls["class_noun"].value == "mug"
    find(again, "cup")
    text = (panel.folder / "item.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"title": "Grüne Tasse", "class_noun": "cup"} and "Grüne" in text
    assert f"item = catalog.load_item({html.escape(repr(str(panel.folder)))})" in again.find.status.value
    for odd in ("no json", "[1]", '{"class_noun": 3}'):
        (panel.folder / "item.json").write_text(odd)
        assert ProductPanel(preset, photo, folder=panel.folder).find.controls["class_noun"].value == ""


def test_a_damaged_file_in_the_folder_is_named_and_left_out(panel, preset, photo, answers):
    """Here and in the plain calls: or the panel could never be used again."""
    send(panel.drop, PHOTOS)
    folder = panel.folder / "photos"
    (folder / "bad.png").write_bytes(PHOTOS["side 0.png"][:-40])
    Image.new("L", (3, 3), 255).save(folder / "side 1.mask.png")
    again = ProductPanel(preset, photo, folder=panel.folder)
    assert again.photos.value.count("<img") == 3 and again.remove.layout.display == ""
    assert "bad.png is damaged or cut off" in again.photos.value and "side 1.mask.png is 3 x 3" in again.photos.value
    assert "called bad.png.left-out now" in again.photos.value
    find(again)
    assert len(again.item.photos) == len(catalog.load_item(panel.folder).photos) == 3
    assert again.item.own_masks == [None] * 3
    (folder / "late.png").write_bytes(b"")  # after the panel was opened
    find(again)
    assert "late.png is empty" in again.find.status.value and "Look at each mask" in again.find.status.value
    assert len(again.item.photos) == 3


def test_a_mask_that_could_be_of_two_photos_is_told_and_can_be_removed(panel, preset, photo, answers):
    send(panel.drop, PHOTOS)
    folder = panel.folder / "photos"
    for name in ("side 0.jpg", "side 0_mask.png"):
        (folder / name).write_bytes(PHOTOS["side 0.png"])
    again = ProductPanel(preset, photo, folder=panel.folder)
    assert "could be the mask of" in again.photos.value
    again.remove.click()
    assert list(folder.iterdir()) == [] and again.photos.value == ""


def test_a_broken_zip_file_keeps_no_photo_from_being_checked(panel, answers):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("side 0.png", PHOTOS["side 0.png"])
        archive.writestr("half.png", PHOTOS["side 1.png"][:-40])
    send(panel.drop, {"broken.zip": b"no zip", "a.png": b"hello", "good.zip": buffer.getvalue(), **PHOTOS})
    words = answers[-1]["words"]
    said = "broken.zip cannot be unpacked", "a.png cannot be read", "half.png is damaged", "There are 3 photos now."
    assert all(each in words for each in said)
    assert sorted(path.name for path in (panel.folder / "photos").iterdir()) == [*PHOTOS]


def test_a_corrected_mask_does_not_outlive_its_photo(panel, answers):
    send(panel.drop, PHOTOS)
    find(panel)
    names = ["side 0.mask.png", "side 1.mask.png"]
    full = Image.new("L", panel.canvases[0].photo.size, 255)
    panel.canvases[0].mask = panel.canvases[1].mask = full
    masks = [panel.folder / "photos" / name for name in names]
    assert all(mask.is_file() for mask in masks)
    send(panel.drop, {"side 0.png": PHOTOS["side 0.png"]})  # the same photo again
    assert masks[0].is_file()
    send(panel.drop, {"side 0.png": PHOTOS["side 2.png"]})
    assert [mask.is_file() for mask in masks] == [False, True]
    smaller = full.copy()
    smaller.paste(0, (0, 0, 5, 5))
    panel.canvases[0].mask = smaller  # drawn on the photo of before
    assert not masks[0].exists()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("side 1.png", PHOTOS["side 2.png"])
    send(panel.drop, {"more.zip": buffer.getvalue()})
    assert not masks[1].exists()
    size = Image.open(io.BytesIO(PHOTOS["side 2.png"])).size
    send(panel.drop, {"side 1.png": PHOTOS["side 1.png"], "side 1.mask.png": png(Image.new("L", size, 255))})
    assert masks[1].is_file()  # both came
    (panel.folder / "photos" / "side 2_mask.png").write_bytes(png(Image.new("L", size, 255)))
    panel.remove.click()
    assert list((panel.folder / "photos").iterdir()) == []
    panel.canvases[1].mask = smaller  # of a photo that is gone
    assert list((panel.folder / "photos").iterdir()) == []


@pytest.mark.parametrize(("noun", "files", "words"), [("", PHOTOS, "class noun is missing"), ("mug", {}, "no photos")])
def test_what_is_missing_is_told(panel, noun, files, words):
    if files:
        send(panel.drop, files)
    find(panel, noun)
    assert words in panel.find.status.value and panel.canvases == []


def test_where_nothing_is_found_the_reader_paints(panel, preset, monkeypatch):
    monkeypatch.setattr(segment, "to_mask", lambda probability, photo, preset: Image.new("L", photo.size, 0))
    send(panel.drop, PHOTOS)
    find(panel)
    assert "Nothing was found on photo 1, photo 2, photo 3" in panel.find.status.value
    run(panel.finetuning)
    assert "is empty" in panel.finetuning.status.value
    panel.canvases[0].mask = Image.new("L", panel.canvases[0].photo.size, 255)
    assert (panel.folder / "photos" / "side 0.mask.png").is_file()
    panel.canvases[0].mask = Image.new("L", panel.canvases[0].photo.size, 0)
    assert not (panel.folder / "photos" / "side 0.mask.png").exists()
    assert json.loads((panel.folder / "item.json").read_text()) == {"class_noun": "armchair"}


def test_another_photo_to_paint_into(panel, answers):
    send(panel.drop, PHOTOS)
    find(panel)
    for canvas in panel.canvases:
        canvas.mask = Image.new("L", canvas.photo.size, 255)
    run(panel.finetuning)
    send(panel.scene.children[1].drop, {"room.png": png(Image.new("RGB", (64, 48), "green"))})
    run(panel.painting)
    assert panel.result.image.size == (64, 48) and panel.painting.mask.result.size == (64, 48)
    run(panel.finetuning)
    assert panel.painting.photo.size == panel.painting.mask.photo.size == (64, 48)  # still the reader's own
