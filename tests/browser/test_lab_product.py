"""The whole job with a product of one's own, in a real JupyterLab with a dark theme, and no code typed.

Photos go in, by button and by drop; masks are corrected on the canvas; the model learns and paints; result and run come
out as downloads. The models are the random family, so the pictures show nothing.
"""

from __future__ import annotations

import base64
import io
import zipfile

import execute
import pytest
from PIL import Image
from tools.family import product_photo
from tools.lab import PATIENCE, serve
from tools.readable import faults, faults_on_a_phone

from dp_helpers import runs

NOTEBOOK = """
import sys
sys.path.insert(0, {root!r})
from PIL import Image
from dp_helpers import presets
from dp_helpers.widgets.product import ProductPanel
from dp_helpers.widgets.steps import DenoisingPanel
preset = presets.load({preset!r})
photo, mask = Image.new("RGB", (96, 72), (90, 120, 150)), Image.new("L", (96, 72), 0)
mask.paste(255, (30, 20, 70, 60))
panel = ProductPanel(preset, photo, mask, folder="my-product")
panel
"""
PLACES = ".jp-OutputArea-output"
LATER = """
print("seed", panel.result.parameters["seed"], len(panel.run.losses), "steps")
DenoisingPanel(panel.painting.painter, photo, panel.painting.mask, guidance_scales=(1, 4))
"""
DROP = """([name, text]) => {
    const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0)), dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], name));
    const place = document.querySelector('.dp-files');
    for (const kind of ['dragover', 'drop']) {
        place.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
    }
}"""


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    product_photo(number, (480, 400)).save(buffer, "PNG")
    return buffer.getvalue()


def zip_file(number: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"more/side {number}.png", png(number))
    return buffer.getvalue()


@pytest.fixture
def page(browser, family, tmp_path):
    """The notebook, open in JupyterLab. An error on the page fails the test; a screenshot stays behind."""
    folder = tmp_path / "work"
    folder.mkdir()
    sources = NOTEBOOK.format(root=str(execute.HERE.parent), preset=str(family / "preset.toml")), LATER
    cells = [execute.nbformat.v4.new_code_cell(source.strip()) for source in sources]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}}  # or JupyterLab asks for one
    execute.nbformat.write(execute.nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "product.ipynb")
    context, errors = browser.new_context(viewport={"width": 1400, "height": 3000}, accept_downloads=True), []
    context.set_default_timeout(1000 * PATIENCE)
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    with serve(folder, tmp_path, "JupyterLab Dark") as address:
        page.goto(f"{address}lab/tree/product.ipynb")
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
        page.keyboard.press("Control+b")  # closes the list of files, which takes a phone's whole width
        yield page
        page.screenshot(path=tmp_path / "product.png")
        context.close()
    assert errors == []


def button(page, name: str):
    return page.get_by_role("button", name=name, exact=True)


def draw_a_box(page) -> None:
    """Clear the canvas that is shown, and drag a box on it."""
    canvas = page.locator(".dp-canvas:visible").first
    for name in ("clear", "rectangle"):
        canvas.locator(f"[data-name={name}]").click(force=True)
    stage = canvas.locator("canvas")
    stage.scroll_into_view_if_needed()
    box, mouse = stage.bounding_box(), page.mouse
    mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.2 * box["height"])
    mouse.down()
    mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.8 * box["height"], steps=4)
    mouse.up()
    canvas.get_by_text("Mask covers 36 % of the photo").wait_for()


def download(page, name: str):
    with page.expect_download() as coming:
        button(page, name).click()
    return coming.value


def run_cell(page, number: int) -> None:
    page.locator(".jp-Notebook .jp-CodeCell").nth(number).locator(".jp-InputArea-editor").click()
    page.keyboard.press("Control+Enter")


def test_the_whole_job_without_typing_code(page, tmp_path):
    run_cell(page, 0)
    page.locator(".dp-files input").first.set_input_files(
        [{"name": f"side {number}.png", "mimeType": "image/png", "buffer": png(number)} for number in range(2)]
    )
    page.get_by_text("There are 2 photos now.").wait_for()
    page.evaluate(DROP, ["more.zip", base64.b64encode(zip_file(2)).decode()])
    page.get_by_text("There are 3 photos now.").wait_for()
    assert faults_on_a_phone(page, PLACES) == []
    page.get_by_label("class noun").fill("armchair")
    page.get_by_label("class noun").press("Tab")
    button(page, "Find the product").click()
    for number in range(1, 4):
        button(page, f"photo {number}").click()
        draw_a_box(page)
    page.get_by_label("steps").first.fill("2")
    page.get_by_label("steps").first.press("Tab")
    button(page, "Fine-tune").click()
    page.get_by_text("2 steps in").wait_for()
    assert page.locator("svg[role=img]").first.is_visible()
    button(page, "Paint").click()
    page.get_by_text("The same without the panel: painter(photo").wait_for()
    result = page.get_by_role("img", name="Result with seed 0")
    canvas = page.locator(".dp-canvas:visible").last
    assert canvas.locator("[data-name=compare]").is_visible()
    canvas.locator("[data-name=keys]").click()
    assert faults(page, PLACES) == faults_on_a_phone(page, PLACES) == []
    canvas.locator("[data-name=keys]").click()
    left, right = canvas.bounding_box(), result.bounding_box()
    assert left["x"] + left["width"] <= right["x"] and right["width"] > 340  # next to one another, and large

    picture = download(page, "Download the picture")
    assert picture.suggested_filename == "dreampaint-seed-0.png"
    with Image.open(picture.path()) as image:
        assert image.size == (96, 72) and '"seed": 0' in image.text["dreampaint"]
    run = download(page, "Download the run")
    assert run.suggested_filename == "run.zip"
    with zipfile.ZipFile(run.path()) as archive:
        archive.extractall(tmp_path / "got")
    assert len(runs.load_run(tmp_path / "got" / "run").losses) == 2

    run_cell(page, 1)  # what the panel made is there in the next cell
    page.get_by_text("seed 0 2 steps").wait_for()
    button(page, "Paint and watch").click()
    page.get_by_role("img", name="guidance 4, step 2 of 2: no noise is left").wait_for()
    page.get_by_role("slider", name="step", exact=True).press("Home")
    page.get_by_role("img", name="guidance 4, step 1 of 2: the noise of t =").wait_for()
    ink = "getComputedStyle(document.querySelector('figcaption')).color.match(/\\d+/g).slice(0, 3).map(Number)"
    assert min(page.evaluate(ink)) > 180  # light letters on the dark page
    assert faults(page, PLACES) == faults_on_a_phone(page, PLACES) == []
