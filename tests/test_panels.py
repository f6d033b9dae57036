"""The panels, driven without a browser: values are set and buttons clicked as the page would do it."""

import io
import threading

import numpy as np
import pytest
from conftest import SIDE
from PIL import Image

from dp_helpers import inpaint, panels, plots
from dp_helpers.errors import InputError
from dp_helpers.finetune import finetune


@pytest.fixture(scope="module")
def pipe(preset):
    return inpaint.load_pipeline(preset, device="cpu")


@pytest.fixture
def painting(pipe, preset, photo, mask):
    return panels.InpaintPanel(pipe, photo, mask, "a sks mug", preset)


def click(panel: panels.Panel) -> None:
    panel.start.click()
    panel.wait(60)
    assert (panel.start.disabled, panel.stop.disabled) == (False, True)


def png(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_painting_by_panel_is_the_plain_call(painting, pipe, preset, photo, mask):
    painting.controls["guidance_scale"].value = 3.0
    painting.controls["seed"].value = 7
    painting.controls["feather"].value = 0.1
    click(painting)
    plain = inpaint.inpaint(pipe, photo, mask, preset=preset, **painting.parameters)
    assert painting.parameters["prompt"] == "a sks mug" and painting.parameters["num_inference_steps"] == 2
    assert painting.result.parameters == plain.parameters
    assert (np.asarray(painting.result.image) == np.asarray(plain.image)).all()
    assert (painting.bar.value, painting.bar.max) == (2, 2)
    assert painting.picture.value.startswith("<img alt=") and "data:image/jpeg;base64," in painting.picture.value
    assert "<code>inpaint.inpaint(pipe, photo, mask, preset=preset," in painting.status.value
    assert "guidance_scale=3.0" in painting.status.value


def test_what_a_slider_says_is_round(painting):
    painting.controls["guidance_scale"].value = 10.000000000000002  # seen in a browser
    assert painting.parameters["guidance_scale"] == 10.0


def test_a_canvas_is_read_at_each_click(painting, photo, mask):
    class Canvas:
        pass

    painting.mask = Canvas()
    painting.mask.mask = mask
    click(painting)
    first = painting.result.parameters["box"]
    painting.mask.mask = Image.new("L", photo.size, 255)
    click(painting)
    assert painting.result.parameters["box"] != first
    said = painting.status.value  # a lesson's own `mask` may be older than what is on its canvas now
    assert "inpaint.inpaint(pipe, photo, canvas.mask, preset=preset," in said


def test_what_people_type_never_becomes_html(painting):
    painting.controls["prompt"].value = "<script>alert('x')</script>\" onload=\"y"
    click(painting)
    assert painting.result is not None
    for text in (painting.status.value, painting.picture.value):
        assert "<script" not in text and "&lt;script" in text and 'onload="' not in text


def test_mistakes_are_told_in_the_panel(painting, photo):
    painting.mask = Image.new("L", photo.size, 0)
    click(painting)
    assert "The mask is empty" in painting.status.value and "Traceback" not in painting.status.value
    assert painting.result is None and painting.picture.layout.visibility == "hidden"


def test_any_other_error_is_told_too_and_the_panel_goes_on(painting, mask, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("out of <memory>\nsecond line")

    monkeypatch.setattr(inpaint, "inpaint", fails)
    click(painting)
    assert "out of &lt;memory&gt; (RuntimeError)" in painting.status.value
    monkeypatch.undo()
    click(painting)
    assert painting.result is not None


def test_one_panel_works_at_a_time_and_can_be_stopped(painting, pipe, preset, photo, mask, monkeypatch):
    begun, go_on, real = threading.Event(), threading.Event(), inpaint.inpaint

    def waits(*given, progress, **options):
        begun.set()
        assert go_on.wait(60)
        return real(*given, progress=progress, **options)

    monkeypatch.setattr(inpaint, "inpaint", waits)
    other = panels.InpaintPanel(pipe, photo, mask, "a sks mug", preset)
    painting.start.click()
    assert begun.wait(60)
    assert (painting.start.disabled, painting.stop.disabled) == (True, False)
    other.start.click()
    assert "at work already" in other.status.value and not other.start.disabled
    painting.stop.click()
    go_on.set()
    painting.wait(60)
    assert "Stopped after step 1 of 2" in painting.status.value and painting.result is None
    click(other)
    assert other.result is not None


def test_fine_tuning_by_panel_is_the_plain_call(preset, item, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "loss_curve", lambda losses, real=plots.loss_curve: drawn.append(len(losses)) or real(losses))
    panel = panels.FinetunePanel(item, item.own_masks, preset, output_dir=tmp_path / "run")
    assert panel.parameters == {"steps": 3, "learning_rate": 1e-3, "seed": 0}
    panel.controls["steps"].value = 2
    panel.controls["learning_rate"].value = 2e-3
    click(panel)
    plain = finetune(item, item.own_masks, preset, progress=False, **panel.parameters)
    assert panel.result.losses == plain.losses and len(plain.losses) == 2
    assert panel.result.settings["preset"] == plain.settings["preset"]
    assert (tmp_path / "run" / "run.json").is_file() and "saved in" in panel.status.value
    assert drawn[0] == 1 and drawn[-1] == 2  # live, and whole at the end
    assert (panel.bar.value, panel.bar.max) == (2, 2)


def test_a_stopped_fine_tuning_leaves_nothing(preset, item, tmp_path, monkeypatch):
    panel = panels.FinetunePanel(item, item.own_masks, preset, output_dir=tmp_path / "run")
    monkeypatch.setattr(plots, "loss_curve", lambda losses, real=plots.loss_curve: panel.stop.click() or real(losses))
    click(panel)
    assert "Stopped after step 2 of 3" in panel.status.value
    assert panel.result is None and not (tmp_path / "run").exists()


def test_a_learning_rate_of_zero_is_told_in_the_panel(preset, item):
    panel = panels.FinetunePanel(item, item.own_masks, preset)
    panel.controls["learning_rate"].value = 0
    click(panel)
    assert "learning rate is 0" in panel.status.value


def both_shapes(**files: bytes):
    """The value of a FileUpload: as in ipywidgets 7, and as in 8."""
    seven = {name: {"metadata": {"name": name, "size": len(data)}, "content": data} for name, data in files.items()}
    eight = tuple({"name": name, "size": len(data), "content": memoryview(data)} for name, data in files.items())
    return seven, eight


@pytest.mark.parametrize("which", [0, 1])
def test_uploads_are_read_in_the_shapes_of_both_versions(which, photo):
    upright = Image.Exif()
    upright[0x0112] = 6
    turned = png(Image.new("RGB", (40, 20)), "JPEG", exif=upright)
    files = both_shapes(one=png(photo), two=turned, three=png(Image.new("P", (3, 3))))
    images = panels.uploaded_images(files[which])
    assert [(image.mode, image.size) for image in images] == [("RGB", photo.size), ("RGB", (20, 40)), ("RGB", (3, 3))]
    assert (np.asarray(images[0]) == np.asarray(photo)).all()
    assert panels.uploaded_images(both_shapes()[which]) == []


@pytest.mark.parametrize("which", [0, 1])
def test_an_upload_that_is_no_picture_is_named(which):
    with pytest.raises(InputError, match="^notes.txt cannot be read as a picture"):
        panels.uploaded_images(both_shapes(**{"notes.txt": b"hello"})[which])


def test_the_upload_panel_keeps_the_pictures_and_tells_mistakes(photo):
    got = []
    panel = panels.UploadPanel(on_images=got.extend)
    assert panel.images == []
    panel._on_upload({"new": both_shapes(**{"<b>.png": b"no picture"})[1]})
    assert "&lt;b&gt;.png cannot be read" in panel.status.value and panel.images == []
    panel._on_upload({"new": both_shapes(photo=png(photo))[1]})
    assert panel.images[0].size == got[0].size == photo.size and "90 x 70 pixels" in panel.status.value


def test_panels_have_no_widget_that_colab_lacks_and_a_short_text(painting, preset, item):
    def walk(widget):
        yield widget
        for child in getattr(widget, "children", ()):
            yield from walk(child)

    for panel in (painting, panels.FinetunePanel(item, item.own_masks, preset), panels.UploadPanel()):
        kinds = {type(widget).__name__ for widget in walk(panel)}
        assert not kinds & {"Accordion", "Tab", "Image", "Stack", "TagsInput"}
        assert "where this notebook runs" in repr(panel)
        for widget in walk(panel):  # binary traits are dropped by Colab while a widget opens
            assert not any(isinstance(value, (bytes, memoryview)) for value in widget.get_state().values())
    assert SIDE == painting.pipe.unet.config.sample_size * painting.pipe.vae_scale_factor
