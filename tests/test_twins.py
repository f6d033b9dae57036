"""Near-twins: each differs from its item in a detail, and is seen with the same camera and light."""

import json

import numpy as np
import pytest
from PIL import Image

from dp_helpers import catalog, files

DATA = files.find_data()
TWINS = sorted(path.parent for path in DATA.glob("twins/*/item.json"))


def levels(path) -> np.ndarray:
    return np.asarray(catalog.load_photo(path)).astype(int)


def test_every_item_has_two_twins_and_a_bare_one_in_its_pairs():
    for folder in (DATA / "catalog").iterdir():
        twins = [json.loads((twin / "item.json").read_text()) for twin in TWINS]
        assert sum(twin["twin_of"] == folder.name for twin in twins) >= 3, folder.name
        pairs = sorted(DATA.glob(f"benchmark/{folder.name}--*"))
        assert (pairs[0] / "twin-1.png").is_file() and (pairs[0] / "twin-2.png").is_file(), pairs[0].name
        assert all((pair / "bare.png").is_file() for pair in pairs)


@pytest.mark.parametrize("folder", TWINS, ids=lambda folder: folder.name)
def test_photos_differ_from_the_items_in_a_detail(folder):
    twin = catalog.load_item(folder)
    own = DATA / "catalog" / twin.info["twin_of"] / "photos"
    assert len(twin.paths) >= 4 and twin.info["change"] and twin.title
    changed = [(np.abs(levels(path) - levels(own / path.name)).max(axis=2) > 24).mean() for path in twin.paths]
    largest = 0.5 if folder.name.endswith("-bare") else 0.3  # an arm that fills a quarter of a photo is one detail
    assert 0.001 < max(changed) < largest, changed


@pytest.mark.parametrize(
    "path",
    [path for kind in ("twin-*", "bare") for path in sorted(DATA.glob(f"benchmark/*/{kind}.png"))],
    ids=lambda path: f"{path.parent.name}-{path.stem}",
)
def test_scene_differs_from_the_true_picture_on_the_item_alone(path):
    change = np.abs(levels(path) - levels(path.with_name("truth.png"))).max(axis=2)
    with Image.open(path.with_name("mask.png")) as mask:
        inside = np.asarray(mask) > 127
    assert change[inside].max() > 40
    assert (change[~inside] > 24).mean() < 0.01  # light that the item throws on its surroundings


def test_each_twin_has_one_change():
    pytest.importorskip("mitsuba", reason="needs data/build/requirements.txt")
    from data.build.render import make_twins
    from data.build.render.items import ITEMS

    for item in ITEMS:
        twins = make_twins.TWINS[item["name"]]
        specs = [item["spec"], *(make_twins.twin_spec(item["spec"], changes) for _, changes in twins)]
        assert len({json.dumps(spec, sort_keys=True) for spec in specs}) == len(specs) >= 3
        for spec in specs[1:]:
            kinds = {key for key in spec if spec[key] != item["spec"][key]}
            assert kinds in ({"paint"}, {"emblem"}, {"color", "shade"}, {"color2", "shade2"}), kinds


@pytest.mark.parametrize("path", sorted(DATA.glob("benchmark/*/turned-*.png")), ids=lambda path: path.parent.name)
def test_turned_item_stands_in_the_same_scene(path):
    change = np.abs(levels(path) - levels(path.with_name("truth.png"))).max(axis=2) > 24
    assert 0.005 < change.mean() < 0.5  # stripes that shift by half a period differ nearly everywhere
    context = json.loads(path.with_name("pair.json").read_text())["context"]
    mask = catalog.load_context(DATA / "contexts" / context).masks["ellipse"]
    assert change[np.asarray(mask) < 128].mean() < 0.03
