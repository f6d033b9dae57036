"""The whole job with a product of your own, without typing code: photos in, picture and run out.

    ProductPanel(preset, context.photo, context.masks["rectangle"], folder="my-product")

The plain calls that do the same with the folder that the panel fills:

    item = catalog.load_item("my-product")
    object_masks = segment.object_masks(item, preset)             # the masks that you corrected win
    run = finetune.finetune(item, object_masks, preset, output_dir="my-product/run")
    result = inpaint.load_painter(preset, run)(photo, mask, seed=0)
"""

from __future__ import annotations

import html
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from PIL import Image

from .. import baselines, catalog, inpaint, masks, segment, squares
from ..errors import InputError
from ..files import whole_file
from ..listing import list_folder, mask_names
from ..pictures import known_endings
from ..presets import Preset
from .canvas import MaskCanvas
from .panel import WIDE, Panel, paragraph, pictures_html
from .panels import FinetunePanel, InpaintPanel
from .upload import FileDrop, UploadPanel, load_named, unpack_named

LEFT_OUT_ENDING = ".left-out"  # of a photo or mask that cannot be read


class FindPanel(Panel):
    """Find the product on the photos of a folder; ``result`` is (item, object masks). A mask may be empty."""

    def __init__(self, folder: Path, preset: Preset) -> None:
        self.folder, self.preset = folder, preset
        noun = widgets.Text(_noun(folder), placeholder="armchair, mug ...", description="class noun", **WIDE)
        super().__init__("Find the product", {"class_noun": noun})

    def _work(self, parameters: dict[str, Any]) -> tuple[tuple[catalog.Item, list[Image.Image]], str, str]:
        noun = " ".join(parameters["class_noun"].split())
        if not noun:
            raise InputError("The class noun is missing: write what the product is, for example armchair.")
        if not (self.folder / "photos").is_dir():
            raise InputError("There are no photos yet: choose two or more above, better five to eight.")
        bad = _photos(self.folder)[1]  # what came since the photos were shown
        item = catalog.load_item(self.folder, noun)
        with whole_file(self.folder / "item.json") as path:
            path.write_text(json.dumps(item.info | {"class_noun": noun}, ensure_ascii=False) + "\n", encoding="utf-8")
        found = []
        for index in range(len(item.photos)):
            self._step(index + 1, len(item.photos))
            found.append(_find(item, index, self.preset))
        missing = [f"photo {index + 1}" for index, mask in enumerate(found) if mask.getbbox() is None]
        bad += [f"Nothing was found on {', '.join(missing)}: paint the product there."] if missing else []
        code = f"item = catalog.load_item({str(self.folder)!r}); object_masks = segment.object_masks(item, preset)"
        return (item, found), " ".join([*bad, "Look at each mask and correct it. The same without the panel:"]), code


class ProductPanel(widgets.VBox):
    """Photos, class noun, masks to correct, fine-tuning, painting and downloads, one below the other.

    Args:
        preset: models and settings.
        photo: the photo to paint into, until the reader brings another.
        mask: the place in it that is marked at first; None: nothing.
        folder: where the photos go, the corrected masks next to them, and the run. Photos that are there already count.

    Attributes:
        item, object_masks: what was found, and corrected.
        run, result: of the fine-tuning and of the painting; None before.
    """

    def __init__(
        self, preset: Preset, photo: Image.Image, mask: Image.Image | None = None, *, folder: str | Path = "my-product"
    ) -> None:
        self.preset, self.folder = preset, Path(folder)
        self.canvases: list[MaskCanvas] = []
        self.finetuning: FinetunePanel | None = None
        self.painting: InpaintPanel | None = None
        self.item: catalog.Item | None = None
        self._scene = MaskCanvas(photo, mask)
        self.drop = FileDrop(self.folder / "photos", self._on_photos, hint="or drop photos or a zip file of them here")
        self.photos = widgets.HTML(layout=widgets.Layout(margin="10px 2px 2px"))
        self.remove = widgets.Button(description="Remove all photos")
        self.remove.on_click(self._on_remove)
        self.find = FindPanel(self.folder, preset)
        self.find.on_done = self._on_found
        self.masks, self.training, self.scene = widgets.VBox(), widgets.VBox(), widgets.VBox()
        first = [_title("1 · Photos", "Two or more, better five to eight, from several sides, on a plain background.")]
        second = [_title("2 · What is it?", "One word, as a shop would call it."), self.find]
        parts = [*first, self.drop, self.photos, self.remove, *second, self.masks, self.training, self.scene]
        super().__init__(parts)
        self._show_photos()

    def __repr__(self) -> str:
        return "ProductPanel: widgets, which show where this notebook runs"

    @property
    def object_masks(self) -> list[Image.Image]:
        """Return the masks as they are on the canvases now."""
        return [canvas.mask for canvas in self.canvases]

    @property
    def run(self):
        """Return the run of the last fine-tuning, or None."""
        return self.finetuning and self.finetuning.result

    @property
    def result(self) -> inpaint.Result | None:
        """Return the last painting, or None."""
        return self.painting and self.painting.result

    # -- photos --

    def _on_photos(self, paths: list[Path]) -> str:
        came, replaced, bad = set(paths), set(self.drop.replaced), []
        for path in paths:
            try:
                if path.suffix.lower() == ".zip":
                    bad += unpack_named(path, self.folder / "photos", came, replaced)
                else:
                    load_named(path)
            except InputError as error:
                path.unlink(missing_ok=True)
                bad.append(str(error))
        with suppress(InputError):  # what is odd about the folder is told below
            for photo, mask in list_folder(self.folder / "photos").masks.items():
                if photo in replaced and mask not in came:  # it is the mask of the photo that was there before
                    mask.unlink()
        return " ".join([*bad, self._show_photos()])

    def _show_photos(self) -> str:
        """Show the photos of the folder, and return in words what was left out, and how many there are."""
        photos, bad = _photos(self.folder)
        for image in photos.values():
            image.thumbnail((192, 192), Image.LANCZOS)
        shown = pictures_html(list(photos.values()), [path.name for path in photos], "96px") if photos else ""
        self.photos.value = shown + "".join(paragraph(html.escape(words)) for words in bad)
        self.remove.layout.display = "" if shown or bad else "none"
        count = f"There {'is' if len(photos) == 1 else 'are'} {len(photos)} photo{'s' * (len(photos) != 1)} now."
        return " ".join([*bad, count])

    def _on_remove(self, _button) -> None:
        """Remove all pictures of the folder: also masks, however they are named, and what was left out."""
        for path in (self.folder / "photos").glob("[!.]*"):
            if path.is_file() and path.suffix.lower() in {LEFT_OUT_ENDING, *known_endings()}:
                path.unlink()
        self._show_photos()

    # -- masks --

    def _on_found(self, found: tuple[catalog.Item, list[Image.Image]]) -> None:
        self.item, object_masks = found
        pairs = zip(self.item.photos, object_masks, strict=True)
        self.canvases = [MaskCanvas(photo, mask) for photo, mask in pairs]
        for index, canvas in enumerate(self.canvases):
            canvas.observe(lambda _change, index=index: self._save_mask(index), names="mask_data_url")
        names = [(f"photo {index + 1}", index) for index in range(len(self.canvases))]
        chooser, place = widgets.ToggleButtons(options=names, value=0), widgets.VBox([self.canvases[0]])
        chooser.style.button_width, chooser.layout.margin = "80px", "0 0 8px"
        chooser.observe(lambda change: setattr(place, "children", [self.canvases[change["new"]]]), names="value")
        text = "The marked part must be the product, and nothing else. Correct it where it is not."
        self.masks.children = [_title("3 · Where is it?", text), chooser, place]
        self.finetuning = FinetunePanel(self.item, self.canvases, self.preset, output_dir=self.folder / "run")
        self.finetuning.on_done = self._on_run
        self.training.children = [_title("4 · Learn it", "The model learns the product."), self.finetuning]

    def _save_mask(self, index: int) -> None:
        """Save a corrected mask next to its photo, so that the plain calls find it."""
        path, mask = self.item.paths[index], self.canvases[index].mask
        own_mask_path = path.with_name(mask_names(self.item.paths)[index])
        photo = catalog.load_photo(path) if path.is_file() else None
        if photo is None or squares.pad_to_square(photo).tobytes() != self.item.photos[index].tobytes():
            return  # removed, or another one by now: the mask is not that photo's
        if mask.getbbox() is None:
            own_mask_path.unlink(missing_ok=True)
            return
        with whole_file(own_mask_path) as temporary:
            squares.crop_from_square(mask, photo.size).save(temporary)

    # -- painting --

    def _on_run(self, run) -> None:
        painter = inpaint.load_painter(self.preset, run)
        paste = baselines.paste_in(self.preset, self.item, self.object_masks)
        self.painting = InpaintPanel(painter, self._scene.photo, self._scene, paste=paste)
        text = "Mark where the product goes. Paint from noise, or over one of its photos. Or bring a photo of your own."
        self.scene.children = [_title("5 · Paint it", text), UploadPanel(self._on_scene), self.painting]

    def _on_scene(self, images: list[Image.Image]) -> None:
        photo = images[0]
        width, height = photo.size
        middle = masks.rectangle(photo.size, (width // 4, height // 4, width * 3 // 4, height * 3 // 4))
        self._scene = MaskCanvas(photo, middle)  # the next fine-tuning paints into it, too
        self.painting.replace(photo, self._scene)


def _title(title: str, text: str) -> widgets.HTML:
    return widgets.HTML(f"<h3 style='margin: 14px 0 2px'>{html.escape(title)}</h3>{paragraph(html.escape(text))}")


def _noun(folder: Path) -> str:
    """Return the class noun of a product's folder, or "" if it has none."""
    with suppress(OSError, ValueError, RecursionError, AttributeError):  # `catalog.load_item` says what is wrong
        noun = json.loads((folder / "item.json").read_text(encoding="utf-8-sig")).get("class_noun")
        return noun if isinstance(noun, str) else ""
    return ""


def _photos(folder: Path) -> tuple[dict[Path, Image.Image], list[str]]:
    """Return the photos of a product's folder, as `catalog.load_item` finds them, and what was left out, in sentences.

    A photo or mask that cannot be read gets a name that leaves it out, here and in the plain calls.
    """
    photos, bad = {}, []
    if not (folder / "photos").is_dir():
        return photos, bad
    try:
        listing = list_folder(folder / "photos")
    except InputError as error:
        return photos, [str(error)]
    for path in listing.photos:
        read, mask = path, listing.masks.get(path)
        try:
            photos[path] = catalog.load_photo(path)
            if mask:
                read = mask
                catalog.load_mask(mask, photos[path].size)
        except InputError as error:
            left_out = read.with_name(read.name + LEFT_OUT_ENDING)
            with suppress(OSError):
                if not getattr(error.__cause__, "errno", None):  # a drive gives a number; then the file may be good
                    read.replace(left_out)
            bad.append(f"{error} It is left out{'' if read.exists() else f', and called {left_out.name} now'}.")
    return photos, bad


def _find(item: catalog.Item, index: int, preset: Preset) -> Image.Image:
    """Return the object mask of one photo: the reader's own, or ClipSeg's, which may be empty."""
    photo, own = item.photos[index], item.own_masks[index]
    if own is not None:
        return own
    return segment.to_mask(segment.probability_maps([photo], item.class_noun, preset)[0], photo, preset)
