"""The panels, driven without a browser: values are set and buttons clicked as the page would do it."""

import threading

import numpy as np
import pytest
from PIL import Image
from tools.family import SIDE

from dp_helpers import inpaint, plots, presets
from dp_helpers.finetune import finetune
from dp_helpers.watch import Watch
from dp_helpers.widgets import panels
from dp_helpers.widgets.upload import UploadPanel


@pytest.fixture
def painting(painter, photo, mask):
    return panels.InpaintPanel(painter, photo, mask)


def click(panel: panels.Panel) -> None:
    panel.start.click()
    panel.wait(60)
    assert (panel.start.disabled, panel.stop.disabled) == (False, True)


def test_painting_by_panel_is_the_plain_call(painting, painter, photo, mask):
    painting.controls["guidance_scale"].value = 3.0
    painting.controls["seed"].value = 7
    painting.controls["feather"].value = 0.1
    click(painting)
    plain = painter(photo, mask, **painting.parameters)
    assert painting.parameters["prompt"] == "a sks mug" and painting.parameters["num_inference_steps"] == 2
    assert painting.result.parameters == plain.parameters
    assert (np.asarray(painting.result.image) == np.asarray(plain.image)).all()
    assert (painting.bar.value, painting.bar.max) == (2, 2)
    assert painting.picture.value.startswith("<img alt=") and "data:image/jpeg;base64," in painting.picture.value
    assert "<code>painter(photo, mask, prompt=&#x27;a sks mug&#x27;," in painting.status.value
    assert "guidance_scale=3.0" in painting.status.value


def test_the_controls_begin_with_the_painters_prompt_and_settings(painter, photo, mask):
    preset = presets.change(painter.preset, inpaint={"eta": 0.5, "feather": 0.1, "guidance_scale": 4})
    panel = panels.InpaintPanel(inpaint.Painter(painter.pipe, preset, "a mug"), photo, mask)
    wanted = {"prompt": "a mug", "eta": 0.5, "feather": 0.1, "guidance_scale": 4.0, "seed": 0, "strength": 1.0}
    assert panel.parameters == wanted | {"num_inference_steps": 2}
    assert panels.InpaintPanel(inpaint.Painter(painter.pipe, preset), photo, mask).parameters["prompt"] == ""


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
    assert "painter(photo, canvas.mask, " in said


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

    monkeypatch.setattr(inpaint.Painter, "__call__", fails)
    click(painting)
    assert "out of &lt;memory&gt; (RuntimeError)" in painting.status.value
    monkeypatch.undo()
    click(painting)
    assert painting.result is not None


def test_one_panel_works_at_a_time_and_can_be_stopped(painting, painter, photo, mask, monkeypatch):
    begun, go_on, real = threading.Event(), threading.Event(), inpaint.Painter.__call__

    def waits(*given, progress, **options):
        begun.set()
        assert go_on.wait(60)
        return real(*given, progress=progress, **options)

    monkeypatch.setattr(inpaint.Painter, "__call__", waits)
    other = panels.InpaintPanel(painter, photo, mask)
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
    real = plots.loss_curve
    monkeypatch.setattr(plots, "loss_curve", lambda losses: drawn.append(len(losses)) or real(losses))
    panel = panels.FinetunePanel(item, item.own_masks, preset, output_dir=tmp_path / "run")
    assert panel.parameters == {"steps": 3, "learning_rate": 1e-3, "seed": 0}
    panel.controls["steps"].value = 2
    panel.controls["learning_rate"].value = 2e-3
    click(panel)
    plain = finetune(item, item.own_masks, preset, progress=False, **panel.parameters)
    assert panel.result.losses == plain.losses and len(plain.losses) == 2
    assert panel.result.record["preset"] == plain.record["preset"]
    assert (tmp_path / "run" / "run.json").is_file() and "saved in" in panel.status.value
    assert drawn[0] == 1 and drawn[-1] == 2  # live, and whole at the end
    assert (panel.bar.value, panel.bar.max) == (2, 2)


def test_paintings_are_shown_while_the_model_learns(preset, item, photo, mask):
    watch = Watch(item, preset, photo, mask, seeds=(0, 1))
    panel = panels.FinetunePanel(item, item.own_masks, preset, watch=watch)
    said = []
    panel.status.observe(lambda change: said.append(change["new"]), "value")
    panel.controls["steps"].value = 2
    click(panel)
    assert [row.step for row in watch.rows] == [0, 2]
    assert "2 paintings after 2 steps" in panel.paintings.value and "data:image/jpeg" in panel.paintings.value
    assert panel.paintings in panel.children and panel.result.record["validation"] == watch.scores


def test_the_panel_tells_the_time_left(preset, item, monkeypatch):
    monkeypatch.setattr(panels, "_REDRAW", -1.0)
    panel = panels.FinetunePanel(item, item.own_masks, preset)
    said = []
    panel.status.observe(lambda change: said.append(change["new"]), "value")
    click(panel)
    assert [words for words in said if " s left." in words]


def test_a_stopped_fine_tuning_leaves_nothing(preset, item, tmp_path, monkeypatch):
    panel = panels.FinetunePanel(item, item.own_masks, preset, output_dir=tmp_path / "run")
    real = plots.loss_curve
    monkeypatch.setattr(plots, "loss_curve", lambda losses: panel.stop.click() or real(losses))
    click(panel)
    assert "Stopped after step 2 of 3" in panel.status.value
    assert panel.result is None and not (tmp_path / "run").exists()


def test_a_learning_rate_of_zero_is_told_in_the_panel(preset, item):
    panel = panels.FinetunePanel(item, item.own_masks, preset)
    panel.controls["learning_rate"].value = 0
    click(panel)
    assert "finetune.learning_rate is 0.0, but must be greater than 0" in panel.status.value


def test_panels_have_no_widget_that_colab_lacks_and_a_short_text(painting, preset, item):
    def walk(widget):
        yield widget
        for child in getattr(widget, "children", ()):
            yield from walk(child)

    for panel in (painting, panels.FinetunePanel(item, item.own_masks, preset), UploadPanel()):
        kinds = {type(widget).__name__ for widget in walk(panel)}
        assert not kinds & {"Accordion", "Tab", "Image", "Stack", "TagsInput"}
        assert "where this notebook runs" in repr(panel)
        for widget in walk(panel):  # binary traits are dropped by Colab while a widget opens
            assert not any(isinstance(value, (bytes, memoryview)) for value in widget.get_state().values())
    assert SIDE == painting.painter.pipe.unet.config.sample_size * painting.painter.pipe.vae_scale_factor
