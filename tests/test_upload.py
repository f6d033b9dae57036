"""The upload panel, driven without a browser, in the shapes of ipywidgets 7 and 8."""

import io

import numpy as np
import pytest
from PIL import Image

from dp_helpers.errors import InputError
from dp_helpers.widgets import upload


def png(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def both_shapes(**files: bytes):
    """Return the value of a FileUpload as ipywidgets 7 gives it, and as 8 does."""
    seven = {name: {"metadata": {"name": name, "size": len(data)}, "content": data} for name, data in files.items()}
    eight = tuple({"name": name, "size": len(data), "content": memoryview(data)} for name, data in files.items())
    return seven, eight


@pytest.mark.parametrize("which", [0, 1])
def test_uploads_are_read_in_the_shapes_of_both_versions(which, photo):
    upright = Image.Exif()
    upright[0x0112] = 6
    turned = png(Image.new("RGB", (40, 20)), "JPEG", exif=upright)
    files = both_shapes(one=png(photo), two=turned, three=png(Image.new("P", (9, 9))))
    images = upload.uploaded_images(files[which])
    assert [(image.mode, image.size) for image in images] == [("RGB", photo.size), ("RGB", (20, 40)), ("RGB", (9, 9))]
    assert (np.asarray(images[0]) == np.asarray(photo)).all()
    assert upload.uploaded_images(both_shapes()[which]) == []


@pytest.mark.parametrize("which", [0, 1])
def test_an_upload_that_is_not_a_picture_is_named(which):
    with pytest.raises(InputError, match="^notes.txt cannot be read as a picture"):
        upload.uploaded_images(both_shapes(**{"notes.txt": b"hello"})[which])


def test_the_upload_panel_keeps_the_pictures_and_tells_mistakes(photo):
    got = []
    panel = upload.UploadPanel(on_images=got.extend)
    assert panel.images == []
    panel._on_upload({"new": both_shapes(**{"<b>.png": b"no picture"})[1]})
    assert "&lt;b&gt;.png cannot be read" in panel.status.value and panel.images == []
    panel._on_upload({"new": both_shapes(photo=png(photo))[1]})
    assert panel.images[0].size == got[0].size == photo.size and "90 x 70 pixels" in panel.status.value
