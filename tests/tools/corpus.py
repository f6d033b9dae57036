"""What people feed to the commands, made by code: photos, masks, folders and arguments, good and bad.

A case is (name, make, lines). ``make(folder)`` puts files into an empty folder, next to a good ``photo.png`` and
``mask.png``, and returns the words of a command. ``lines`` are regular expressions, one for each line on stderr. A good
input passes on to the next check, whose sentence then is the last line: ``NO_RUN`` or ``OUT_IS_A_FILE``.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from . import profiles
from .family import product_photo

NO_RUN = "run is not a fine-tuned run: name the folder that `finetune --out` made"
OUT_IS_A_FILE = "mask.png is a file, but the output is a folder: choose another name"
SIZE = (60, 40)


def scene() -> Image.Image:
    """A photo of smooth colours with a red rectangle."""
    across, down = np.meshgrid(np.linspace(0, 255, SIZE[0]), np.linspace(0, 255, SIZE[1]))
    image = Image.fromarray(np.stack([across, down, 255 - across], -1).round().astype(np.uint8))
    image.paste((200, 30, 30), (10, 10, 30, 25))
    return image


def hole() -> Image.Image:
    mask = Image.new("L", SIZE, 0)
    ImageDraw.Draw(mask).rectangle((20, 10, 45, 30), fill=255)
    return mask


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def first_half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def png_by_hand(width: int, height: int, depth: int, kind: int, rows: bytes = b"") -> bytes:
    """A PNG from its numbers: bit depth, colour type and raw rows."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">2I5B", width, height, depth, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def sixteen_bit_rgb() -> bytes:
    pixels = np.asarray(scene()).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    return png_by_hand(*SIZE, 16, 2, rows)


def oriented(number: int) -> bytes:
    """A JPEG that looks like `scene` once its EXIF tag is obeyed."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # PIL's transpositions, each the inverse of the tag's
    stored = scene() if number == 1 else scene().transpose(Image.Transpose(undo[number]))
    exif = Image.Exif()
    exif[0x0112] = number
    return encoded(stored, "JPEG", quality=95, exif=exif)


def array(values: np.ndarray, kind: str = "TIFF") -> bytes:
    return encoded(Image.fromarray(values), kind)


def drawing(mode: str, color, ground) -> Image.Image:
    """A mask drawn by hand in some mode."""
    image = Image.new(mode, SIZE, ground)
    ImageDraw.Draw(image).rectangle((20, 10, 45, 30), fill=color)
    return image


def soft_hole() -> Image.Image:
    return hole().filter(ImageFilter.GaussianBlur(4))


def two_strokes() -> Image.Image:
    image = drawing("RGBA", "white", (0, 0, 0, 0))
    image.paste("red", (0, 0, 5, 5))
    return image


def transparent_palette() -> bytes:
    image = Image.new("P", SIZE, 0)
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.paste(1, (20, 10, 46, 31))
    return encoded(image, "PNG", transparency=0)


# The commands


def inpaint(folder: Path, *, run="run", photo="photo.png", mask="mask.png", out="new/out.png", more=()):
    return ["inpaint", folder / run, folder / photo, folder / mask, "--out", folder / out, *more]


def with_photo(content: bytes, name: str = "given.png"):
    def make(folder: Path):
        (folder / name).write_bytes(content)
        return inpaint(folder, photo=name)

    return make


def with_mask(content: bytes, name: str = "given.png"):
    def make(folder: Path):
        (folder / name).write_bytes(content)
        return inpaint(folder, mask=name)

    return make


def arguments(*more, **options):
    return partial(inpaint, more=more, **options)


def item(files: dict, *, info: object = '{"class_noun": "mug"}', command: str = "masks", good: int = 2):
    """The command for a folder of ``good`` photos and some more files: bytes, None for a folder, text."""

    def make(folder: Path):
        photos = folder / "item" / "photos"
        photos.mkdir(parents=True)
        if info is not None:
            (folder / "item" / "item.json").write_text(info if isinstance(info, str) else json.dumps(info), "utf-8")
        for index in range(good):
            product_photo(index).save(photos / f"front-{index}.png")
        for name, content in files.items():
            if content is None:
                (photos / name).mkdir()
            else:
                (photos / name).write_bytes(content)
        return [command, folder / "item", "--out", folder / "mask.png"]

    return make


PNG, JPEG = encoded(scene(), "PNG"), encoded(scene(), "JPEG", quality=95)
GOOD_MASK = encoded(hole().resize((48, 40), Image.NEAREST), "PNG")
PRODUCT = encoded(product_photo(5), "PNG")
READ_AS_8 = "has more than 8 bits a channel: it is read with 8"
NOT_ONE = "has a colour profile that does not fit it: it is taken as sRGB"
CUT_OFF = "given.png is damaged or cut off: copy or download it again"
STROKES = "no white on its clear ground: what is drawn there \\(23% of it\\) counts as white"
FLOATS = np.asarray(scene().convert("L")).astype(np.float32)

PHOTOS = [
    ("jpeg", with_photo(JPEG, "given.jpg"), [NO_RUN]),
    ("progressive jpeg", with_photo(encoded(scene(), "JPEG", progressive=True), "given.jpeg"), [NO_RUN]),
    ("grey jpeg", with_photo(encoded(scene().convert("L"), "JPEG"), "given.jpg"), [NO_RUN]),
    ("cmyk jpeg", with_photo(encoded(scene().convert("CMYK"), "JPEG")), ["is CMYK: it is read as sRGB", NO_RUN]),
    ("two pictures in a jpeg", with_photo(encoded(scene(), "MPO", save_all=True, append_images=[scene()])), [NO_RUN]),
    *[(f"png {mode}", with_photo(encoded(scene().convert(mode), "PNG")), [NO_RUN]) for mode in ("RGB", "L", "P", "1")],
    *[(f"png {mode}", with_photo(encoded(scene().convert(mode), "PNG")), [NO_RUN]) for mode in ("RGBA", "LA")],
    ("png with a transparent colour", with_photo(encoded(scene(), "PNG", transparency=(200, 30, 30))), [NO_RUN]),
    ("png of 16 bits grey", with_photo(array((FLOATS * 257).astype(np.uint16), "PNG")), [READ_AS_8, NO_RUN]),
    ("png of 16 bits rgb", with_photo(sixteen_bit_rgb()), [READ_AS_8, NO_RUN]),
    ("webp", with_photo(encoded(scene(), "WEBP"), "given.webp"), [NO_RUN]),
    ("webp with alpha", with_photo(encoded(scene().convert("RGBA"), "WEBP", lossless=True)), [NO_RUN]),
    ("gif", with_photo(encoded(scene(), "GIF"), "given.gif"), [NO_RUN]),
    ("moving gif", with_photo(encoded(scene(), "GIF", save_all=True, append_images=[hole()])), [NO_RUN]),
    ("tiff", with_photo(encoded(scene(), "TIFF", compression="tiff_lzw"), "given.tif"), [NO_RUN]),
    ("cmyk tiff", with_photo(encoded(scene().convert("CMYK"), "TIFF")), ["is CMYK: it is read as sRGB", NO_RUN]),
    ("lab tiff", with_photo(encoded(Image.new("LAB", SIZE), "TIFF")), ["is LAB: it is read as sRGB", NO_RUN]),
    ("tiff of 16 bits", with_photo(array((FLOATS * 257).astype(np.uint16))), [READ_AS_8, NO_RUN]),
    ("tiff of 32 bits", with_photo(array(FLOATS.astype(np.int32))), [READ_AS_8, NO_RUN]),
    ("tiff of floats", with_photo(array(FLOATS / 255)), [READ_AS_8, NO_RUN]),
    ("tiff of pages", with_photo(encoded(scene(), "TIFF", save_all=True, append_images=[hole()])), [NO_RUN]),
    ("bmp", with_photo(encoded(scene(), "BMP"), "given.bmp"), [NO_RUN]),
    ("avif", with_photo(encoded(scene(), "AVIF"), "given.avif"), [NO_RUN]),
    *[(f"orientation {number}", with_photo(oriented(number), "given.jpg"), [NO_RUN]) for number in range(1, 9)],
    ("adobe rgb", with_photo(encoded(scene(), "JPEG", icc_profile=profiles.adobe_rgb())), [NO_RUN]),
    ("display p3", with_photo(encoded(scene(), "PNG", icc_profile=profiles.display_p3())), [NO_RUN]),
    ("grey profile", with_photo(encoded(scene().convert("L"), "PNG", icc_profile=profiles.grey())), [NO_RUN]),
    (
        "press profile",
        with_photo(encoded(scene().convert("CMYK"), "TIFF", icc_profile=profiles.cmyk())),
        ["is CMYK: it is read as sRGB", NO_RUN],
    ),
    ("profile of another mode", with_photo(encoded(scene(), "PNG", icc_profile=profiles.grey())), [NOT_ONE, NO_RUN]),
    ("broken profile", with_photo(encoded(scene(), "PNG", icc_profile=b"no profile at all")), [NOT_ONE, NO_RUN]),
    (
        "scanner profile",
        with_photo(encoded(scene(), "PNG", icc_profile=profiles.read_only_rgb())),
        ["profile that is for reading alone: it is read as sRGB", NO_RUN],
    ),
    ("jpeg named png", with_photo(JPEG), [NO_RUN]),
    ("zero bytes", with_photo(b""), ["given.png is empty \\(0 bytes\\)"]),
    ("text", with_photo(b"a photo of a cat"), ["it is not a picture; save it again as PNG or JPEG"]),
    ("svg", with_photo(b'<?xml version="1.0"?><svg></svg>'), ["it is an SVG drawing; export it as PNG"]),
    ("web page", with_photo(b"<!DOCTYPE html><html>404</html>"), ["it is a web page; download the picture itself"]),
    ("pdf", with_photo(b"%PDF-1.7"), ["it is a PDF document"]),
    ("zip", with_photo(b"PK\x03\x04abc"), ["it is a zip archive; unpack it"]),
    ("git lfs", with_photo(b"version https://git-lfs.github.com/spec/v1"), ["it is a pointer of Git LFS"]),
    ("video", with_photo(b"\0\0\0\x18ftypmp42abcd"), ["it is a video; save one frame"]),
    ("postscript", with_photo(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), ["it is not a picture"]),
    ("noise", with_photo(np.random.default_rng(0).bytes(4000)), ["it is not a picture"]),
    *[
        (f"cut-off {kind}", with_photo(first_half(encoded(scene(), kind))), [CUT_OFF])
        for kind in ("PNG", "BMP", "TIFF")
    ],
    ("cut-off jpeg", with_photo(JPEG[:-200]), [CUT_OFF]),
    ("cut-off webp", with_photo(encoded(scene(), "WEBP")[:-60]), ["damaged or cut off|not a picture"]),
    ("png with a flipped bit", with_photo(PNG[:150] + bytes([PNG[150] ^ 8]) + PNG[151:]), [CUT_OFF]),
    ("bomb", with_photo(png_by_hand(60000, 60000, 1, 0)), ["has more than 80 megapixels: save it smaller"]),
    ("large", with_photo(png_by_hand(10000, 9000, 1, 0)), ["has more than 80 megapixels: save it smaller"]),
    ("one pixel", with_photo(encoded(scene().resize((1, 1)), "PNG")), ["is 1 x 1 pixels: a photo needs 8 pixels"]),
    ("ribbon", with_photo(encoded(scene().resize((900, 40)), "PNG")), ["at most 20 times as many"]),
    ("floats without end", with_photo(array(FLOATS * np.inf)), ["has values up to (inf|nan), but at most 65,535"]),
    ("integers of 32 bits", with_photo(array(FLOATS.astype(np.int32) * 10**6)), ["but at most 65,535 are read"]),
    ("no such photo", partial(inpaint, photo="none.png"), ["There is no picture .*none.png: check the path"]),
    ("a folder as photo", partial(inpaint, photo="."), ["There is no picture"]),
]

MASKS = [
    ("grey mask", with_mask(encoded(hole(), "PNG")), [NO_RUN]),
    ("mask of 1 bit", with_mask(encoded(hole().convert("1"), "PNG")), [NO_RUN]),
    ("palette mask", with_mask(encoded(hole().convert("P"), "GIF"), "given.gif"), [NO_RUN]),
    ("colour mask", with_mask(encoded(hole().convert("RGB"), "PNG")), [NO_RUN]),
    ("jpeg mask", with_mask(encoded(hole(), "JPEG", quality=60)), [NO_RUN]),
    ("drawn mask", with_mask(encoded(drawing("RGBA", "white", (0, 0, 0, 0)), "PNG")), [NO_RUN]),
    ("drawn mask on clear white", with_mask(encoded(drawing("LA", (255, 255), (255, 0)), "PNG")), [NO_RUN]),
    ("palette mask with transparency", with_mask(transparent_palette()), [NO_RUN]),
    ("mask of 16 bits", with_mask(array(np.asarray(hole()).astype(np.uint16) * 257, "PNG")), [NO_RUN]),
    ("mask of floats", with_mask(array(np.asarray(hole()).astype(np.float32) / 255)), [NO_RUN]),
    (
        "soft mask",
        with_mask(encoded(soft_hole(), "PNG")),
        ["has soft edges: its grey levels are split at 128", NO_RUN],
    ),
    ("photo as mask", partial(inpaint, mask="photo.png"), ["is grey for the most part, as a photo is", NO_RUN]),
    (
        "faint mask of 16 bits",
        with_mask(array(np.full(SIZE[::-1], 300, np.uint16), "PNG")),
        ["its brightest level is 1 of 255"],
    ),
    ("black mask", with_mask(encoded(Image.new("L", SIZE, 0), "PNG")), ["mask .*given.png is empty: paint the region"]),
    *[
        (f"{color} on clear", with_mask(encoded(drawing("RGBA", color, (0, 0, 0, 0)), "PNG")), [STROKES, NO_RUN])
        for color in ("black", "red", "#ff000064", "#ffffff64")
    ],
    ("black on clear white", with_mask(encoded(drawing("LA", (0, 255), (255, 0)), "PNG")), [STROKES, NO_RUN]),
    ("red and white on clear", with_mask(encoded(two_strokes(), "PNG")), [NO_RUN]),
    ("red on black", with_mask(encoded(drawing("RGB", "red", 0), "PNG")), ["no white, its brightest level is 76 of"]),
    ("mask of zeros and ones", with_mask(encoded(drawing("L", 1, 0), "PNG")), ["its brightest level is 1 of 255: pa"]),
    ("clear mask", with_mask(encoded(Image.new("RGBA", SIZE, (255, 255, 255, 0)), "PNG")), ["given.png is empty"]),
    (
        "small mask",
        with_mask(encoded(hole().resize((9, 9)), "PNG")),
        ["is 9 x 9 pixels but its photo is 60 x 40: make"],
    ),
    ("turned mask", with_mask(encoded(hole().rotate(90, expand=True), "PNG")), ["turn the mask by 90 degrees"]),
    ("cut-off mask", with_mask(encoded(hole(), "BMP")[:300]), [CUT_OFF]),
    ("text as mask", with_mask(b"mask"), ["it is not a picture"]),
    ("empty file as mask", with_mask(b""), ["is empty \\(0 bytes\\)"]),
    ("no such mask", partial(inpaint, mask="none.png"), ["There is no picture .*none.png: check the path"]),
]

ITEMS = [
    ("two photos", item({}), [OUT_IS_A_FILE]),
    *[
        (f"mask {name}", item({name: GOOD_MASK}), [OUT_IS_A_FILE])
        for name in ("front-0.mask.png", "front-0.mask.PNG", "FRONT-0.MASK.png", "front-0_mask.png", "front-0-mask.png")
    ],
    (
        "jpeg mask of a photo",
        item({"front-0.mask.jpg": encoded(hole().resize((48, 40), Image.NEAREST), "JPEG")}),
        [OUT_IS_A_FILE],
    ),
    (
        "mask of nothing",
        item({"frnt-0.mask.png": GOOD_MASK}),
        [
            "holds 2 photos; left out: frnt-0.mask.png \\(a mask without a photo frnt-0, did you mean front-0\\?\\)",
            OUT_IS_A_FILE,
        ],
    ),
    (
        "two masks of a photo",
        item({"front-0.mask.png": GOOD_MASK, "front-0_mask.png": GOOD_MASK}),
        ["left out: front-0_mask.png \\(front-0.mask.png is the mask of front-0.png\\)", OUT_IS_A_FILE],
    ),
    (
        "one mask of two photos",
        item({"front-0.jpg": encoded(product_photo(4), "JPEG"), "front-0.mask.png": GOOD_MASK}),
        ["could be the mask of front-0.jpg and front-0.png: name it after one of them"],
    ),
    (
        "masks of two photos of one name",
        item({"front-0.jpg": encoded(product_photo(4), "JPEG"), "front-0.jpg.mask.png": GOOD_MASK}),
        [OUT_IS_A_FILE],
    ),
    ("mask of another size", item({"front-0.mask.png": encoded(hole(), "PNG")}), ["is 60 x 40 pixels but its photo"]),
    ("empty mask", item({"front-0.mask.png": encoded(Image.new("L", (48, 40)), "PNG")}), ["front-0.mask.png is empty"]),
    ("hidden files", item({".front.png": b"", ".ipynb_checkpoints": None, "Thumbs.db": b"x"}), [OUT_IS_A_FILE]),
    (
        "odd files",
        item({"a.txt": b"x", "b.svg": b"x", "c.dng": b"x", "d.mov": b"x", "e.zip": b"x", "more": None}),
        [
            "holds 2 photos; left out: a.txt \\(not a picture\\), b.svg \\(a drawing: export it as PNG\\), "
            "c.dng \\(a raw .*d.mov \\(a video.*e.zip \\(an archive.*more \\(a folder\\)",
            OUT_IS_A_FILE,
        ],
    ),
    (
        "many odd files",
        item({f"{i}.txt": b"" for i in range(20)}),
        ["7.txt .*, and 12 more|and 12 more", OUT_IS_A_FILE],
    ),
    ("one photo", item({}, good=1), ["holds one photo: the model cannot learn", OUT_IS_A_FILE]),
    (
        "the same photo twice",
        item({"copy.png": encoded(product_photo(0), "PNG")}),
        ["front-0.png is the same picture as copy.png; both are used", OUT_IS_A_FILE],
    ),
    ("no photos", item({}, good=0), ["holds 0 photos: fine-tuning needs photos of the product"]),
    ("no photos but text", item({"a.txt": b""}, good=0), ["holds 0 photos; left out: a.txt \\(not a picture\\): fine"]),
    ("masks alone", item({"a.mask.png": GOOD_MASK}, good=0), ["a.mask.png \\(a mask without a photo a: rename it"]),
    ("a damaged photo", item({"a.png": first_half(PRODUCT)}), ["a.png is damaged or cut off"]),
    ("an empty photo", item({"a.jpg": b""}, command="finetune"), ["a.jpg is empty \\(0 bytes\\)"]),
    ("no class noun", item({}, info={}), ["has no class noun"]),
    ("no item.json", item({}, info=None), ["has no class noun"]),
    ("a class noun of another type", item({}, info={"class_noun": ["mug"]}), ["has no class noun"]),
    ("broken item.json", item({}, info="{"), ["item.json is not valid JSON"]),
    ("item.json is a list", item({}, info=[1]), ["item.json must hold one JSON object"]),
    ("deep item.json", item({}, info="[" * 100_000), ["nested too deeply|not valid JSON"]),
    ("item.json with a byte order mark", item({}, info="\ufeff" + '{"class_noun": "mug"}'), [OUT_IS_A_FILE]),
    ("no such item", lambda folder: ["masks", folder / "none", "--out", folder / "x"], ["There is no item"]),
]


def item_and(*more, command: str = "finetune"):
    def make(folder: Path):
        words = item({}, command=command)(folder)
        return [*words[:-1], folder / "new", *more]

    return make


def masks_into_the_photos(folder: Path):
    words = item({})(folder)
    return [*words[:-1], folder / "item" / "photos"]


ARGUMENTS = [
    (
        "out is the photo",
        partial(inpaint, out="photo.png"),
        ["--out .*photo.png is the photo, the mask or the start itself"],
    ),
    (
        "out is the mask",
        partial(inpaint, out="mask.png"),
        ["is the photo, the mask or the start itself: choose another name"],
    ),
    (
        "out is the photo by a detour",
        partial(inpaint, out="new/../photo.png"),
        ["is the photo, the mask or the start itself"],
    ),
    ("out is a jpeg", partial(inpaint, out="out.jpg"), ["must end with .png"]),
    ("seed below 0", arguments("--seed", -1), ["The seed is -1, but must be a whole number from 0 to 4294967295"]),
    ("seed too large", arguments("--seed", 2**32), ["The seed is 4294967296, but must be"]),
    ("seed with a point", arguments("--seed", "1.5"), ["argument --seed: invalid int value: '1.5'; see"]),
    ("seed in words", arguments("--seed", "abc"), ["argument --seed: invalid int value: 'abc'; see"]),
    ("guidance in words", arguments("--guidance-scale", "much"), ["argument --guidance-scale: invalid float value"]),
    ("unknown option", arguments("--guidance", "7", "--colour", "red"), ["unrecognized arguments: --colour red; see"]),
    ("unknown command", lambda folder: ["paint"], ["argument COMMAND: invalid choice: 'paint'"]),
    ("no command", lambda folder: [], ["the following arguments are required: COMMAND"]),
    ("no output", lambda folder: ["finetune", folder], ["the following arguments are required: --out"]),
    ("no steps", item_and("--steps", 0), ["finetune.steps is 0, but must be at least 1"]),
    ("a setting without its table", item_and("--set", "lora_rank=8"), ["name its table, too: finetune.lora_rank=8"]),
    ("out is the working folder", item_and("--out", "."), ["\\. cannot be the output: name a new folder in it"]),
    ("out is the folder above", item_and("--out", ".."), ["cannot be the output: name a new folder in it"]),
    ("out has no name", partial(inpaint, more=["--out", ""]), ["\\. cannot be the output: name a new file in it"]),
    ("out with an endless name", arguments("--out", "x" * 300 + ".png"), ["cannot be used \\(File name too long\\)"]),
    ("a photo with an endless name", partial(inpaint, photo="x" * 300), ["cannot be used \\(File name too long\\)"]),
    ("an item with an endless name", lambda folder: ["masks", "x" * 300, "--out", folder / "a"], ["name too long"]),
    ("a run with an endless name", partial(inpaint, run="x" * 300), ["cannot be used \\(File name too long\\)"]),
    ("no such preset", item_and("--preset", "sd99"), ["There is no preset 'sd99'"]),
    ("masks among the photos", masks_into_the_photos, ["is the folder of the photos: choose another one"]),
]

CASES = PHOTOS + MASKS + ITEMS + ARGUMENTS
