"""The panels, driven without a browser: values are set and buttons clicked as the page would do it."""

import shutil
import threading

import numpy as np
import pytest
from PIL import Image
from tools import profiles
from tools.family import SIDE

from dp_helpers import baselines, inpaint, plots, presets, runs
from dp_helpers.colors import to_srgb
from dp_helpers.finetune import finetune
from dp_helpers.watch import Watch
from dp_helpers.widgets import panel as panel_module
from dp_helpers.widgets import panels
from dp_helpers.widgets.canvas import MaskCanvas
from dp_helpers.widgets.panel import Panel, duration, figure_html, picture_html
from dp_helpers.widgets.steps import DenoisingPanel
from dp_helpers.widgets.upload import UploadPanel


@pytest.fixture
def painting(painter, photo, mask):
    return panels.InpaintPanel(painter, photo, mask)


def click(panel: Panel) -> None:
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
    assert 'alt="Result with seed 7: a sks mug"' in painting.picture.value
    assert "data:image/jpeg;base64," in painting.picture.value
    assert "<code>painter(photo, mask, prompt=&#x27;a sks mug&#x27;," in painting.status.value
    assert "guidance_scale=3.0" in painting.status.value


def test_the_controls_begin_with_the_painters_prompt_and_settings(painter, photo, mask):
    preset = presets.change(painter.preset, inpaint={"eta": 0.5, "feather": 0.1, "guidance_scale": 4})
    panel = panels.InpaintPanel(inpaint.Painter(painter.pipe, preset, "a mug"), photo, mask)
    wanted = {"prompt": "a mug", "eta": 0.5, "feather": 0.1, "guidance_scale": 4.0, "seed": 0, "strength": 1.0}
    assert panel.parameters == wanted | {"num_inference_steps": 2, "autoguidance_scale": 1.0}
    assert panels.InpaintPanel(inpaint.Painter(painter.pipe, preset), photo, mask).parameters["prompt"] == ""


def test_the_painting_can_start_over_a_photo_of_the_product(painter, item, photo, mask):
    paste = baselines.paste_in(painter.preset, item, item.own_masks)
    panel = panels.InpaintPanel(painter, photo, mask, paste=paste)
    start, strength = panel.controls["start"], panel.controls["strength"]
    assert [words for words, _ in start.options] == ["from noise", "over photo 1", "over photo 2", "over photo 3"]
    click(panel)
    assert same(panel.result.image, painter(photo, mask).image) and "start=None" in panel.status.value
    start.value = 1
    assert strength.value == baselines.STRENGTH_OVER_PASTE
    click(panel)
    pasted = paste(photo, mask, variant=1).image
    assert same(panel.result.image, painter(photo, mask, start=pasted, strength=strength.value).image)
    assert "start=paste(photo, mask, variant=1).image" in panel.status.value
    strength.value = 0.4
    start.value = 2
    assert strength.value == 0.4  # the reader's own choice stays
    start.value = None
    assert strength.value == 1


def test_what_a_slider_says_is_round(painting):
    painting.controls["guidance_scale"].value = 10.000000000000002  # seen in a browser
    assert painting.parameters["guidance_scale"] == 10.0


def same(one: Image.Image, two: Image.Image) -> bool:
    return (np.asarray(one) == np.asarray(two)).all()


def test_a_canvas_is_read_at_each_click_and_shows_the_painting_and_the_result(painter, photo, mask):
    canvas, shown = MaskCanvas(photo, mask), []
    canvas.observe(lambda change: shown.append(canvas.result), names="result_data_url")
    panel = panels.InpaintPanel(painter, photo, canvas)
    assert canvas in panel.place.children and panel.picture in panel.place.children
    panel.controls["num_inference_steps"].value = 4
    click(panel)
    plain = painter(photo, mask, **panel.parameters)
    assert same(panel.result.image, plain.image) and panel.result.parameters == plain.parameters
    assert same(canvas.result, plain.image) and len(shown) >= 3  # the painting as it came into being, too
    canvas.mask = Image.new("L", photo.size, 255)
    click(panel)
    assert panel.result.parameters["box"] != plain.parameters["box"]
    said = panel.status.value  # a lesson's own `mask` may be older than what is on its canvas now
    assert "painter(photo, canvas.mask, " in said
    last = panel.result
    canvas.mask = Image.new("L", photo.size, 0)
    click(panel)  # fails
    assert panel.result is last and same(canvas.result, last.image)
    assert "Result with seed 0" in panel.picture.value


def test_the_paintings_are_kept_and_one_can_be_chosen_again(painting, photo):
    for seed in range(3):
        painting.controls["seed"].value = seed
        click(painting)
    first, last = painting.history[0], painting.history[-1]
    assert painting.result is last and len(painting.strip.children) == 3
    buttons = [each.children[1] for each in painting.strip.children]
    assert [button.description for button in buttons] == ["seed 0", "seed 1", "seed 2"]
    buttons[0].click()
    assert painting.result is first and "Result with seed 0" in painting.picture.value
    assert painting.download.name == "dreampaint-seed-0.png"
    for _ in range(12):
        painting.history.append(last)
    click(painting)
    assert len(painting.history) == len(painting.strip.children) == 12


def test_the_downloaded_picture_is_that_of_save_result(painting, tmp_path):
    assert not painting.download.ready
    click(painting)
    path = tmp_path / "got.png"
    path.write_bytes(painting.download._make())
    with Image.open(path) as image:
        assert same(image, painting.result.image) and '"seed": 0' in image.text["dreampaint"]


def test_another_photo_can_be_painted_on(painting, painter):
    other, canvas = Image.new("RGB", (60, 60), "blue"), MaskCanvas(Image.new("RGB", (60, 60), "blue"))
    click(painting)
    canvas.mask = Image.new("L", (60, 60), 255)
    painting.replace(other, canvas)
    assert canvas in painting.place.children
    click(painting)
    assert painting.result.image.size == (60, 60) and len(painting.history) == 2
    painting.choose(painting.history[0])  # of another size than the canvas: the canvas keeps what it has
    assert canvas.result.size == (60, 60)


def test_a_result_is_not_shown_on_another_photo_of_the_same_size(painter, photo, mask):
    panel = panels.InpaintPanel(painter, photo, MaskCanvas(photo, mask))
    click(panel)
    other = photo.copy()
    canvas = MaskCanvas(other, mask)
    panel.replace(other, canvas)
    panel.choose(panel.history[0])
    assert panel.result is panel.history[0] and canvas.result is None
    canvas.mask = Image.new("L", photo.size, 0)
    click(panel)  # fails
    assert "The mask is empty" in panel.status.value and canvas.result is None
    canvas.mask = mask
    click(panel)
    assert same(canvas.result, panel.result.image)
    panel.choose(panel.history[0])
    assert same(canvas.result, panel.history[1].image)  # the last one of this photo


def test_a_photo_that_comes_while_another_is_painted_is_left_alone(painter, photo, mask, monkeypatch):
    panel, real = panels.InpaintPanel(painter, photo, MaskCanvas(photo, mask)), panels.denoising.watch
    other = photo.copy()
    canvas = MaskCanvas(other, mask)
    monkeypatch.setattr(
        panels.denoising, "watch", lambda *given, **options: panel.replace(other, canvas) or real(*given, **options)
    )
    click(panel)
    assert same(panel.result.image, painter(photo, mask, **panel.parameters).image) and canvas.result is None


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
    assert painting.result is None and painting.picture.value == ""


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


def test_a_click_on_stop_that_comes_too_late_changes_nothing(painting):
    click(painting)
    said = painting.status.value
    painting.stop.click()
    assert painting.status.value == said and "this is the panel" in said


def test_pictures_are_shown_in_their_own_colours(photo):
    """A browser shows the picture as sRGB, and transparent parts on white."""
    photo.info["icc_profile"] = profiles.display_p3()
    clear = Image.new("RGBA", photo.size, (0, 0, 0, 0))
    for image, wanted in ((photo, to_srgb(photo)), (clear, Image.new("RGB", photo.size, "white"))):
        assert picture_html(image, "words") == picture_html(wanted, "words")


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
    panel.controls["steps"].value = 2
    click(panel)
    assert [row.step for row in watch.rows] == [0, 2]
    assert panel.paintings.value.count("<img") == 4 and "2 paintings after 2 steps" in panel.paintings.value
    assert panel.result.record["validation"] == watch.scores


def test_a_stopped_fine_tuning_leaves_nothing(preset, item, tmp_path, monkeypatch):
    panel = panels.FinetunePanel(item, item.own_masks, preset, output_dir=tmp_path / "run")
    real = plots.loss_curve
    monkeypatch.setattr(plots, "loss_curve", lambda losses: panel.stop.click() or real(losses))
    click(panel)
    assert "Stopped after step 2 of 3" in panel.status.value
    assert panel.result is None and not (tmp_path / "run").exists()


def test_a_fine_tuning_that_was_stopped_goes_on_at_the_next_click(preset, item, tmp_path, monkeypatch):
    saving = presets.change(preset, finetune={"checkpointing_steps": 1})
    panel = panels.FinetunePanel(item, item.own_masks, saving, output_dir=tmp_path / "run")
    with monkeypatch.context() as patch:
        real = plots.loss_curve
        patch.setattr(plots, "loss_curve", lambda losses: panel.stop.click() or real(losses))
        click(panel)
    assert panel.result is None and any((tmp_path / "run" / "checkpoints").iterdir())
    assert "goes on from its last state" in panel.status.value
    click(panel)
    assert panel.result.losses == finetune(item, item.own_masks, saving, progress=False).losses


def test_a_stopped_fine_tuning_starts_again_with_other_masks(preset, item, tmp_path, monkeypatch):
    saving = presets.change(preset, finetune={"checkpointing_steps": 1})
    panel = panels.FinetunePanel(item, list(item.own_masks), saving, output_dir=tmp_path / "run")
    with monkeypatch.context() as patch:
        real = plots.loss_curve
        patch.setattr(plots, "loss_curve", lambda losses: panel.stop.click() or real(losses))
        click(panel)
    panel.object_masks = [*item.own_masks[1:], item.own_masks[0]]
    click(panel)
    assert panel.result.losses == finetune(item, panel.object_masks, saving, progress=False).losses


def test_the_masks_of_canvases_are_read_at_the_click(preset, item):
    canvases = [MaskCanvas(photo) for photo in item.photos]
    panel = panels.FinetunePanel(item, canvases, preset)
    click(panel)
    assert "is empty" in panel.status.value and panel.result is None
    for canvas, mask in zip(canvases, item.own_masks, strict=True):
        canvas.mask = mask
    click(panel)
    assert panel.result.losses == finetune(item, item.own_masks, preset, progress=False).losses
    assert not panel.download.ready  # the run has no folder


def test_the_run_is_offered_as_a_zip_file(preset, item, tmp_path):
    panel = panels.FinetunePanel(item, item.own_masks, preset, output_dir=tmp_path / "armchair")
    click(panel)
    assert panel.download.ready and panel.download.name == "armchair.zip"
    (tmp_path / "got.zip").write_bytes(panel.download._make())
    shutil.unpack_archive(tmp_path / "got.zip", tmp_path / "got")
    assert runs.load_run(tmp_path / "got" / "armchair").losses == panel.result.losses


def test_the_time_left_is_told(painting, monkeypatch):
    clock = iter([100.0, 102.0, 104.0, 108.0])
    monkeypatch.setattr(panel_module.time, "monotonic", lambda: next(clock))
    said = []
    for step in (1, 2, 3, 5):
        painting._step(step, 5)
        said.append(painting.count.value)
    assert said == ["step 1 of 5", "step 2 of 5, 6 s left", "step 3 of 5, 4 s left", "step 5 of 5"]


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "1 s"), (29.1, "30 s"), (61, "1 min 10 s"), (180, "3 min")])
def test_a_duration_in_words(seconds, words):
    assert duration(seconds) == words


def test_charts_take_the_pages_ink_and_have_no_paper():
    chart = figure_html(plots.loss_curve([0.5, 0.4, 0.3]))
    assert chart.startswith('<svg aria-label="Line chart of the loss') and 'role="img"' in chart
    assert "#000000" not in chart and "#ffffff" not in chart and "currentColor" in chart and plots.BLUE.lower() in chart


@pytest.fixture
def watching(painter, photo, mask):
    panel = DenoisingPanel(painter, photo, mask, guidance_scales=(1.0, 4.0))
    panel.controls["num_inference_steps"].value = 3
    return panel


def test_hiding_a_widget_hides_no_other(watching, painting):
    hidden = [name for name, control in painting.controls.items() if control.layout.display == "none"]
    assert watching.slider.layout.display == "none" and hidden == []


def test_the_steps_of_a_painting_can_be_looked_at_side_by_side(watching, painter, photo, mask):
    assert watching.slider.layout.display == "none"
    click(watching)
    assert list(watching.result) == [1.0, 4.0] and watching.slider.layout.display != "none"
    plain = painter(photo, mask, guidance_scale=4.0, num_inference_steps=3)
    assert same(watching.result[4.0][0].image, plain.image)
    assert (watching.bar.value, watching.bar.max) == (6, 6)
    assert (watching.slider.value, watching.slider.max) == (3, 3)
    assert watching.picture.value.count("<img") == 2
    assert 'alt="guidance 4, step 3 of 3: no noise is left"' in watching.picture.value
    before = watching.picture.value
    watching.slider.value = 1
    assert 'alt="guidance 1, step 1 of 3: the noise of t = ' in watching.picture.value != before
    assert "denoising.watch(painter, photo, mask, guidance_scale=1.0" in watching.status.value


@pytest.mark.parametrize("text", ["", "three", "1, 2, 3, 4, 5, 6, 7", "1, 3x"])
def test_what_is_no_list_of_guidance_scales_is_told(watching, text):
    watching.controls["guidance_scales"].value = text
    click(watching)
    assert "for example 1, 3, 10" in watching.status.value and watching.result is None


def test_a_learning_rate_of_zero_is_told_in_the_panel(preset, item):
    panel = panels.FinetunePanel(item, item.own_masks, preset)
    panel.controls["learning_rate"].value = 0
    click(panel)
    assert "finetune.learning_rate is 0.0, but must be greater than 0" in panel.status.value


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("steps", "abc", "steps is &#x27;abc&#x27;, but must be a whole number, for example 3."),
        ("steps", "", "steps is &#x27;&#x27;, but must be a whole number"),
        ("steps", "1e3", "steps is &#x27;1e3&#x27;, but must be a whole number"),
        ("steps", "0", "finetune.steps is 0, but must be at least 1."),
        ("seed", "-1", "The seed is -1, but must be a whole number from 0 to 4294967295."),
        ("learning_rate", "0,002", "learning rate is &#x27;0,002&#x27;, but must be a number, for example 0.002."),
        ("learning_rate", "inf", "finetune.learning_rate is inf, but must be a finite number."),
        ("learning_rate", "1000", "finetune.learning_rate is 1000.0, but must be greater than 0 and at most 0.1."),
    ],
)
def test_what_is_typed_stays_and_what_is_no_number_is_told(preset, item, name, typed, said):
    panel = panels.FinetunePanel(item, item.own_masks, preset)
    panel.controls[name].value = typed
    panel.start.click()
    if panel._thread:
        panel.wait(60)
    assert said in panel.status.value and panel.result is None
    assert panel.controls[name].value == typed and not panel.start.disabled
    assert panel_module._AT_WORK.acquire(blocking=False)
    panel_module._AT_WORK.release()


def test_panels_have_no_widget_that_colab_lacks_and_a_short_text(painting, preset, item):
    def walk(widget):
        yield widget
        for child in getattr(widget, "children", ()):
            yield from walk(child)

    finetuning = panels.FinetunePanel(item, item.own_masks, preset)
    watching = DenoisingPanel(painting.painter, painting.photo, painting.mask)
    for panel in (painting, finetuning, watching, UploadPanel()):
        kinds = {type(widget).__name__ for widget in walk(panel)}
        assert not kinds & {"Accordion", "Tab", "Image", "Stack", "TagsInput"}
        assert "where this notebook runs" in repr(panel)
        for widget in walk(panel):  # binary traits are dropped by Colab while a widget opens
            assert not any(isinstance(value, (bytes, memoryview)) for value in widget.get_state().values())
    assert SIDE == painting.painter.pipe.unet.config.sample_size * painting.painter.pipe.vae_scale_factor
