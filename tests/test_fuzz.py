"""Whatever bytes the loaders are given, they load them or say one sentence.

`make fuzz` runs the same tests on many more examples (the profile "fuzz").
"""

from __future__ import annotations

import io
import json
import os
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dp_helpers import archives, catalog, origin, presets, runs
from dp_helpers.errors import InputError

settings.register_profile("suite", max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
settings.register_profile("fuzz", settings.get_profile("suite"), max_examples=3000)
settings.load_profile("fuzz" if os.environ.get("DP_FUZZ") else "suite")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


def one_sentence(load):
    """Run a loader. Return what it loads, or None after checking that its complaint is one sentence."""
    try:
        return load()
    except InputError as error:
        said = str(error)
        assert said.endswith(".") and "\n" not in said.strip() and len(said) < 1000, said
        return None


def picture(kind: str, mode: str) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((24, 16), 90).convert(mode).save(file, kind)
    return file.getvalue()


PICTURES = [
    picture(*each)
    for each in (
        ("PNG", "RGB"),
        ("PNG", "RGBA"),
        ("PNG", "P"),
        ("PNG", "I;16"),
        ("JPEG", "RGB"),
        ("JPEG", "CMYK"),
        ("GIF", "P"),
        ("BMP", "RGB"),
        ("TIFF", "RGB"),
        ("TIFF", "F"),
        ("WEBP", "RGB"),
    )
]


@st.composite
def damaged(draw, originals) -> bytes:
    """Change, cut and double some bytes of an original."""
    content = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        what = draw(st.sampled_from(["change", "cut", "double", "insert"]))
        if what == "change" and content:
            content[at] = draw(st.integers(0, 255))
        elif what == "cut":
            del content[at:]
        elif what == "double":
            content[at:at] = content[at : at + 50]
        else:
            content[at:at] = draw(st.binary(max_size=20))
    return bytes(content)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.filterwarnings("ignore")
@given(
    content=damaged(PICTURES) | st.binary(max_size=200), ending=st.sampled_from(["png", "jpg", "tif", "webp", "gif"])
)
def test_pictures(folder, content, ending):
    path = folder / f"photo.{ending}"
    path.write_bytes(content)
    photo = one_sentence(lambda: catalog.load_photo(path))
    assert photo is None or photo.mode == "RGB"
    mask = one_sentence(lambda: catalog.load_mask(path, (24, 16)))
    assert mask is None or mask.mode == "L" and {value for _, value in mask.getcolors()} <= {0, 255}


ITEM_KEYS = st.sampled_from(["title", "class_noun", "size_cm", "color", "pattern"]) | st.text(max_size=8)


@given(
    content=st.dictionaries(ITEM_KEYS, JSON, max_size=5).map(json.dumps).map(str.encode)
    | JSON.map(json.dumps).map(str.encode)
    | st.binary(max_size=60)
)
def test_item_json(folder, content):
    item = folder / "item"
    (item / "photos").mkdir(parents=True, exist_ok=True)
    for name in ("a", "b"):
        (item / "photos" / f"{name}.png").write_bytes(PICTURES[0])
    (item / "item.json").write_bytes(content)
    loaded = one_sentence(lambda: catalog.load_item(item))
    if loaded is not None:
        assert isinstance(loaded.title, str) and loaded.class_noun and "\n" not in loaded.prompt("sks")


@given(
    content=st.dictionaries(st.sampled_from(["kind", "fits", "x"]), JSON).map(json.dumps).map(str.encode)
    | st.binary(max_size=60)
)
def test_context_json(folder, content):
    context = folder / "context"
    context.mkdir(exist_ok=True)
    (context / "photo.png").write_bytes(PICTURES[0])
    (context / "context.json").write_bytes(content)
    loaded = one_sentence(lambda: catalog.load_context(context))
    assert loaded is None or all(isinstance(noun, str) for noun in loaded.fits)


def toml(value) -> str:
    """Write a value as TOML holds it, wrong ones included."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return (
        {None: "null", True: "true", False: "false"}.get(value) if value in (None, True, False) else json.dumps(value)
    )


KEYS = [*vars(presets.load("tiny")), *vars(presets.load("tiny").finetune), *vars(presets.load("tiny").inpaint)]
TABLE = st.dictionaries(st.sampled_from(KEYS), JSON, max_size=4)


@given(table=TABLE, rest=st.sampled_from(["", '[models]\ninpainting=["a/b"]\nclipseg=["a/b"]\nclip=["a/b"]\n']))
def test_presets(folder, table, rest):
    path = folder / "preset.toml"
    lines = [f"{key} = {toml(value)}\n" for key, value in table.items()]
    path.write_text("".join(lines) + rest, encoding="utf-8", errors="replace")
    loaded = one_sentence(lambda: presets.load(path))
    assert loaded is None or isinstance(loaded, presets.Preset)


@given(
    table=st.sampled_from(["finetune", "inpaint", "masks", "segment", "models"]), name=st.sampled_from(KEYS), value=JSON
)
def test_settings_of_a_call(table, name, value):
    one_sentence(lambda: presets.change(presets.load("tiny"), **{table: {name: value}}))
    one_sentence(lambda: presets.change(presets.load("tiny"), **{name: value}))


@given(content=st.binary(max_size=80) | st.text(string.printable, max_size=80).map(str.encode))
def test_preset_files_of_any_bytes(folder, content):
    path = folder / "any.toml"
    path.write_bytes(content)
    one_sentence(lambda: presets.load(path))


RECORD = {
    "prompt": "a sks mug",
    "class_noun": "mug",
    "losses": [0.5],
    "seconds": {"train": 1.0},
    "preset": presets.load("tiny").as_dict(),
    "item": {"name": "a", "title": "A", "photos": ["a.png"]},
    "seed": 0,
}
WHOLE = json.dumps(RECORD, default=str)


@given(key=st.sampled_from([*RECORD]), value=JSON, inner=st.none() | st.sampled_from(["finetune", "source", "models"]))
def test_run_json(folder, key, value, inner):
    record = json.loads(WHOLE)
    if inner:
        record["preset"][inner] = value
    else:
        record[key] = value
    read_run(folder, json.dumps(record).encode())


@given(content=damaged([WHOLE.encode()]) | st.binary(max_size=60) | JSON.map(json.dumps).map(str.encode))
def test_run_json_of_any_bytes(folder, content):
    read_run(folder, content)


def read_run(folder, content: bytes) -> None:
    run = folder / "run"
    run.mkdir(exist_ok=True)
    (run / "run.json").write_bytes(content)
    record = one_sentence(lambda: runs.read_record(run))
    if record is not None:
        shown = runs.Run(record)
        assert isinstance(shown.prompt, str) and isinstance(shown.preset_source, str)
        assert all(isinstance(loss, (int, float)) for loss in shown.losses)
        origin.is_made_from(record, {})
        assert one_sentence(lambda: runs.load_run(run)) is None, "there are no weights"


@given(content=damaged([PICTURES[0]]) | st.binary(max_size=100))
def test_archives(folder, content):
    path = folder / "photos.zip"
    path.write_bytes(content)
    one_sentence(lambda: archives.unpack(path))
