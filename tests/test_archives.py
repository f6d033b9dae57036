"""Zip archives of photos: unpacked into a temporary folder and nowhere else, and no larger than allowed."""

import io
import zipfile

import pytest
from PIL import Image
from tools.command import Done
from tools.family import product_photo

from dp_helpers import archives, catalog
from dp_helpers.errors import InputError


def photo_bytes(index: int) -> bytes:
    file = io.BytesIO()
    product_photo(index).save(file, "PNG")
    return file.getvalue()


def make_zip(path, files: dict[str, bytes]):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def photos():
    return {f"{name}.png": photo_bytes(index) for index, name in enumerate(("front", "left", "right"))}


@pytest.mark.parametrize("inside", ["", "my-chair/", "my-chair/photos/", "photos/"])
def test_an_item_from_an_archive_equals_that_from_its_folder(photos, tmp_path, inside):
    path = make_zip(tmp_path / "red-box.zip", {inside + name: content for name, content in photos.items()})
    item = catalog.load_item(path, "armchair")
    assert [file.name for file in item.paths] == sorted(photos)
    assert item.photos[1].tobytes() == catalog.pad_to_square(product_photo(1)).tobytes()
    assert item.name == ("my-chair" if inside.startswith("my") else "red-box")
    assert sorted(tmp_path.iterdir()) == [path]


def test_item_json_and_masks_come_along_and_what_macos_adds_does_not(photos, tmp_path):
    mask = io.BytesIO()
    Image.new("L", (48, 40), 255).save(mask, "PNG")
    more = {"item.json": b'{"class_noun": "mug", "title": "A mug"}', "front.mask.png": mask.getvalue()}
    strays = {"__MACOSX/._front.png": b"x", ".DS_Store": b"x", "a/.ipynb_checkpoints/front.png": b"x"}
    item = catalog.load_item(make_zip(tmp_path / "mug.zip", photos | more | strays))
    assert (item.class_noun, item.title, len(item.photos)) == ("mug", "A mug", 3) and item.own_masks[0] is not None


def test_a_note_next_to_the_folder_does_not_hide_it(photos, tmp_path):
    path = make_zip(
        tmp_path / "shop.zip", {f"chair/{name}": each for name, each in photos.items()} | {"read me.txt": b""}
    )
    assert catalog.load_item(path, "chair").name == "chair"


@pytest.mark.parametrize(
    "name", ["../evil.png", "/tmp/evil.png", "a/../../evil.png", "..\\evil.png", "a\\..\\..\\evil.png"]
)
def test_no_file_is_written_outside(photos, tmp_path, name, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    path = make_zip(tmp_path / "evil.zip", photos | {name: b"evil"})
    with pytest.raises(InputError, match="outside its folder"):
        archives.unpack(path)
    assert not list(tmp_path.rglob("evil.png")) and not list((tmp_path / "temporary").iterdir())


def test_a_link_in_an_archive_becomes_a_file(tmp_path, photos):
    link = zipfile.ZipInfo("secret.png")
    link.external_attr = 0o120777 << 16
    path = make_zip(tmp_path / "links.zip", photos)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert not (archives.unpack(path) / "secret.png").is_symlink()
    with pytest.raises(InputError, match="secret.png cannot be read as a picture"):
        catalog.load_item(path, "armchair")


def test_bombs_are_refused_by_what_they_unpack_to(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_BYTES", 10_000_000)
    path = make_zip(tmp_path / "bomb.zip", {"front.png": bytes(20_000_000)})
    assert path.stat().st_size < 50_000
    with pytest.raises(InputError, match="unpacks to more than 10 MB"):
        archives.unpack(path)
    monkeypatch.setattr(archives, "MOST_FILES", 2)
    with pytest.raises(InputError, match="holds 3 files, but at most 2"):
        archives.unpack(make_zip(tmp_path / "many.zip", dict.fromkeys("abc", b"")))


def damaged(path, photos):
    content = make_zip(path, photos).read_bytes()
    path.write_bytes(content[:40] + bytes(len(content) // 2) + content[40 + len(content) // 2 :])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path, photos: path.write_bytes(b"no archive"), "cannot be unpacked"),
        (lambda path, photos: path.write_bytes(b""), "cannot be unpacked"),
        (damaged, "cannot be unpacked"),
        (lambda path, photos: make_zip(path, {}), "is an empty archive"),
        (lambda path, photos: make_zip(path, {"notes.txt": b"no photos"}), "holds 0 photos"),
    ],
)
def test_what_is_wrong_with_an_archive_is_one_sentence(photos, tmp_path, capsys, make, said):
    make(tmp_path / "photos.zip", photos)
    done = Done(capsys, "masks", tmp_path / "photos.zip", "--class-noun", "mug", "--out", tmp_path / "out")
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_damage_inside_is_one_sentence_whatever_the_compression(tmp_path, photos, method, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    path = tmp_path / "damaged.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("front.png", b"photo " * 1000)
    content = bytearray(path.read_bytes())
    start = content.find(b"front.png") + len("front.png")
    content[start + 9 : start + 30] = bytes([255] * 21)
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"damaged.zip cannot be unpacked \(.+\): zip the photos again"):
        archives.unpack(path)
    assert not list((tmp_path / "temporary").iterdir())


def test_a_password_is_told(tmp_path, photos):
    path = make_zip(tmp_path / "locked.zip", photos)
    content = bytearray(path.read_bytes())
    for start in (content.find(b"PK\x01\x02"), content.find(b"PK\x03\x04")):
        content[start + (8 if content[start + 2] == 1 else 6)] |= 1  # the flag "encrypted"
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="locked by a password"):
        archives.unpack(path)
