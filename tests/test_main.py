"""The command line, run as a person runs it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tools import profiles
from tools.command import Done, run
from tools.family import make_item

from dp_helpers import baselines, catalog, inpaint, presets, runs


@pytest.fixture
def scene(tmp_path, photo, mask):
    """A working folder with a photo and its mask."""
    folder = tmp_path / "work"
    folder.mkdir()
    photo.save(folder / "photo.png")
    mask.save(folder / "mask.png")
    return folder


def test_photos_in_picture_out(family, item_folder, scene, monkeypatch, capsys):
    monkeypatch.chdir(scene)
    preset = family / "preset.toml"
    done = Done(capsys, "masks", item_folder, "--preset", preset, "--out", "masks")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(Path("masks/overlay.png"))]
    made = sorted((scene / "masks").glob("*.mask.png"))
    assert len(made) == 3
    for path in made:  # of the photo's own size, so that it can be put next to it
        own = item_folder / "photos" / path.name
        assert Image.open(path).tobytes() == Image.open(own).tobytes()
    made[0].write_bytes(b"corrected by hand")
    again = Done(capsys, "masks", item_folder, "--preset", preset, "--out", "masks")
    assert again.returncode == 2 and f"{Path('masks') / made[0].name} is there already" in again.stderr
    assert made[0].read_bytes() == b"corrected by hand"

    options = ("--preset", preset, "--out", "runs/box", "--steps", 2, "--seed", 4)
    done = Done(capsys, "finetune", item_folder, *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(Path("runs/box"))]
    assert json.loads((scene / "runs/box/run.json").read_text())["seed"] == 4

    arguments = ("inpaint", "runs/box", "photo.png", "mask.png", "--guidance-scale", 5)
    for name in ("one.png", "same.png"):
        done = Done(capsys, *arguments, "--out", name)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == [name]
    before, one, same = (np.asarray(Image.open(scene / name)) for name in ("photo.png", "one.png", "same.png"))
    outside = np.asarray(Image.open(scene / "mask.png")) == 0
    assert (one == same).all()
    assert (one[outside] == before[outside]).all() and (one != before).any()
    parameters = json.loads(Image.open(scene / "one.png").text["dreampaint"])
    assert parameters["prompt"] == "a sks armchair" and parameters["guidance_scale"] == 5


def test_the_runs_own_preset_and_prompt_are_used_unless_others_are_given(family, item_folder, scene, capsys):
    run_folder, preset = scene / "run", family / "preset.toml"
    done = Done(capsys, "finetune", item_folder, "--preset", preset, "--out", run_folder, "--steps", 1)
    assert done.returncode == 0 and runs.read_record(run_folder)["preset"]["source"] == str(preset)
    other = family / "other.toml"
    other.write_text(preset.read_text().replace("num_inference_steps = 2", "num_inference_steps = 3"))
    for options, steps, prompt in (
        ((), 2, "a sks armchair"),
        (("--preset", other), 3, "a sks armchair"),
        (("--prompt", "a photo of a sks armchair"), 2, "a photo of a sks armchair"),
        (("--prompt", ""), 2, ""),
    ):
        given = (run_folder, scene / "photo.png", scene / "mask.png", "--out", scene / "out.png")
        assert Done(capsys, "inpaint", *given, *options).returncode == 0
        parameters = json.loads(Image.open(scene / "out.png").text["dreampaint"])
        assert (parameters["num_inference_steps"], parameters["prompt"]) == (steps, prompt)


def test_any_setting_can_be_set(family, item_folder, scene, capsys):
    settings = ("finetune.learning_rate=2e-3", "finetune.lr_scheduler=linear", "finetune.lora_rank=2", "token=mug")
    words = [word for setting in settings for word in ("--set", setting)]
    given = (item_folder, "--preset", family / "preset.toml", "--out", scene / "run", "--steps", 1)
    done = Done(capsys, "finetune", *given, *words)
    assert done.returncode == 0, done.stderr
    made = runs.read_record(scene / "run")["preset"]
    assert (made["finetune"]["learning_rate"], made["finetune"]["lr_scheduler"], made["token"]) == (
        2e-3,
        "linear",
        "mug",
    )
    assert (made["finetune"]["lora_rank"], made["finetune"]["steps"]) == (2, 1)


def test_a_run_can_be_watched(family, item_folder, context_folder, scene, capsys):
    given = (item_folder, "--preset", family / "preset.toml", "--out", scene / "run", "--steps", 2)
    done = Done(capsys, "finetune", *given, "--watch", context_folder)
    assert done.returncode == 0, done.stderr
    assert "3 paintings after 2 steps" in done.stderr
    assert len(list((scene / "run" / "validation").glob("step-*.png"))) == 2
    done = Done(capsys, "finetune", *given, "--watch", "nowhere-room")
    assert done.returncode == 2 and "nowhere-room" in done.stderr


def test_painting_by_other_settings(family, item_folder, scene, capsys):
    given = (item_folder, "--preset", family / "preset.toml", "--out", scene / "run", "--steps", 1)
    assert Done(capsys, "finetune", *given, "--set", "finetune.lora_rank=2").returncode == 0
    options = ("--num-inference-steps", 4, "--strength", 0.5, "--negative-prompt", "a mug", "--lora-scale", 0.5)
    options = (*options, "--start", scene / "photo.png")
    painting = ("inpaint", scene / "run", scene / "photo.png", scene / "mask.png", "--out", scene / "out.png")
    done = Done(capsys, *painting, *options, "--set", "inpaint.eta=0.5")
    assert done.returncode == 0, done.stderr
    made = json.loads(Image.open(scene / "out.png").text["dreampaint"])
    wanted = {"num_inference_steps": 4, "strength": 0.5, "negative_prompt": "a mug", "lora_scale": 0.5, "eta": 0.5}
    assert wanted.items() <= made.items() and made["start"]


def test_painting_over_a_photo_of_the_item(family, item_folder, scene, monkeypatch, capsys):
    given = (item_folder, "--preset", family / "preset.toml", "--out", scene / "run", "--steps", 1)
    assert Done(capsys, "finetune", *given).returncode == 0
    painting = ("inpaint", scene / "run", scene / "photo.png", scene / "mask.png", "--num-inference-steps", 4)
    done = Done(capsys, *painting, "--out", scene / "over.png", "--over", item_folder, "--over-photo", 1)
    assert done.returncode == 0, done.stderr
    made = json.loads(Image.open(scene / "over.png").text["dreampaint"])
    assert made["start"] and made["strength"] == baselines.STRENGTH_OVER_PASTE
    monkeypatch.setenv("DREAMPAINT_DATA", str(scene))
    shutil.copytree(item_folder, scene / "catalog" / "red-cube")
    named = Done(capsys, *painting, "--out", scene / "named.png", "--over", "red-cube", "--over-photo", 1)
    assert named.returncode == 0, named.stderr
    assert (scene / "named.png").read_bytes() == (scene / "over.png").read_bytes()
    item, preset = catalog.load_item(item_folder), presets.load(family / "preset.toml")
    photo, mask = (Image.open(scene / f"{name}.png") for name in ("photo", "mask"))
    pasted = baselines.paste_in(preset, item, item.own_masks)(photo, mask, variant=0).image
    painter = inpaint.load_painter(preset, scene / "run")
    plain = painter(photo, mask, start=pasted, strength=made["strength"], num_inference_steps=4).image
    assert (np.asarray(Image.open(scene / "over.png")) == np.asarray(plain)).all()
    less = Done(capsys, *painting, "--out", scene / "less.png", "--over", item_folder, "--set", "inpaint.strength=0.5")
    assert less.returncode == 0, less.stderr
    assert json.loads(Image.open(scene / "less.png").text["dreampaint"])["strength"] == 0.5
    for wrong, words in (
        (("--over", item_folder, "--over-photo", 9), "has the photos 1 to 3"),
        (("--over-photo", 1), "name the item with --over"),
        (("--over", "nowhere"), "There is no item 'nowhere'"),
        (("--over", item_folder, "--start", scene / "photo.png"), "not allowed with"),
    ):
        done = Done(capsys, *painting, "--out", scene / "no.png", *wrong)
        assert done.returncode == 2 and words in done.stderr and not (scene / "no.png").exists()


def test_a_soft_mask_of_the_preset_is_used(family, item_folder, scene, capsys):
    given = (item_folder, "--preset", family / "preset.toml", "--out", scene / "run", "--steps", 1)
    assert Done(capsys, "finetune", *given).returncode == 0
    faint = Image.open(scene / "mask.png").point(lambda value: value * 100 // 255)  # nothing is left of it at 128
    faint.save(scene / "faint.png")
    soft = family / "soft.toml"
    soft.write_text((family / "preset.toml").read_text() + "soft_mask = true\n")  # [inpaint] is the last table
    painting = ("inpaint", scene / "run", scene / "photo.png", scene / "faint.png", "--out")
    made = []
    for index, options in enumerate((["--set", "inpaint.soft_mask=true"], ["--preset", soft], ["--soft-mask"])):
        done = Done(capsys, *painting, scene / f"{index}.png", *options)
        assert done.returncode == 0, done.stderr
        made.append(Image.open(scene / f"{index}.png"))
        assert json.loads(made[-1].text["dreampaint"])["soft_mask"]
    assert made[0].tobytes() == made[1].tobytes() == made[2].tobytes() != Image.open(scene / "photo.png").tobytes()
    done = Done(capsys, *painting, scene / "hard.png")
    assert done.returncode == 2 and "its brightest level is 100 of 255" in done.stderr
    assert not (scene / "hard.png").exists()


def test_a_run_on_another_base_is_refused(family, item_folder, scene, capsys):
    """The preset of the run is loaded again, without what --set had changed in it."""
    shutil.copytree(family / "inpainting", scene / "other")
    settings = ("--set", f'models.inpainting=["{(scene / "other").as_posix()}"]')
    for rank, name in ((0, "whole"), (2, "lora")):
        given = (item_folder, "--preset", family / "preset.toml", "--out", scene / name, "--steps", 1, *settings)
        assert Done(capsys, "finetune", *given, "--set", f"finetune.lora_rank={rank}").returncode == 0
        painting = ("inpaint", scene / name, scene / "photo.png", scene / "mask.png", "--out", scene / f"{name}.png")
        done = Done(capsys, *painting)
        assert done.returncode == 2 and "names ./inpainting: paint and export with --set" in done.stderr
        assert str(scene / "other") in done.stderr and not (scene / f"{name}.png").exists()
        done = Done(capsys, *painting, *settings)
        assert done.returncode == 0, done.stderr


def test_demo(family, item_folder, context_folder, scene):
    given = ("--preset", family / "preset.toml", "--item", item_folder, "--context", context_folder)
    done = run("demo", *given, "--out", "out", "--steps", 2, folder=scene)
    assert done.returncode == 0, done.stderr
    report = json.loads((scene / "out" / "report.json").read_text())
    assert json.loads(done.stdout) == report
    assert report["outside_max_change"] == 0 and report["steps"] == 2
    assert {"masks", "finetune", "inpaint", "total"} <= report["seconds"].keys()
    assert 0 < report["peak_memory_mb"] < 1500 and -1 <= report["clip_score"] <= 1
    assert sorted(path.name for path in (scene / "out").iterdir()) == [
        "figure.png",
        "over-paste.png",
        "report.json",
        "result.png",
        "run",
    ]


def test_a_transparent_grey_photo_comes_out_as_it_came_in(family, item_folder, scene, capsys):
    """Grey and alpha with a profile, a mask drawn in white on clear, and a prompt that is too long."""
    preset = family / "preset.toml"
    done = Done(capsys, "finetune", item_folder, "--preset", preset, "--out", scene / "run", "--steps", 1)
    assert done.returncode == 0, done.stderr
    photo = Image.open(scene / "photo.png").convert("L")
    photo.putalpha(Image.linear_gradient("L").resize(photo.size))
    photo.save(scene / "grey.png", icc_profile=profiles.grey(), dpi=(300, 300))
    mask = Image.new("RGBA", photo.size, (255, 255, 255, 0))
    mask.paste("white", (30, 20, 60, 55))
    mask.putpixel((0, 0), (255, 255, 255, 255))
    mask.save(scene / "drawn.png")
    given = ("inpaint", scene / "run", scene / "grey.png", scene / "drawn.png", "--out", scene / "out.png")
    done = Done(capsys, *given, "--prompt", "a " * 20)
    assert done.returncode == 0, done.stderr
    notes = [line for line in done.stderr.splitlines() if line.startswith("dp_helpers: ")]
    assert len(notes) == 2 and "is not read" in notes[0]
    assert "Specks of the mask far from its rest (1 pixel)" in notes[1]
    with Image.open(scene / "out.png") as out:
        assert out.mode == "LA" and out.info["icc_profile"] == profiles.grey()
        outside = np.asarray(mask)[..., 3] == 0
        assert (np.asarray(out)[outside] == np.asarray(photo)[outside]).all()
        assert (np.asarray(out)[30:40, 40:50, 1] == 255).all()


def few_photos(count):
    return lambda scene: make_item(scene.parent / "bad", count)


def no_noun(scene):
    folder = make_item(scene.parent / "bad")
    (folder / "item.json").unlink()
    return folder


def broken_photo(scene):
    folder = make_item(scene.parent / "bad")
    (folder / "photos" / "photo-1.png").write_bytes(b"no picture")
    return folder


@pytest.mark.parametrize("command", ["finetune", "masks"])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (few_photos(0), "0 photos"),
        (no_noun, "class noun"),
        (broken_photo, "photo-1.png"),
        (lambda scene: scene.parent / "nowhere", "no item"),
    ],
    ids=["no photos", "no class noun", "broken photo", "no item"],
)
def test_bad_items(family, scene, command, make, words, monkeypatch, capsys):
    monkeypatch.chdir(scene)
    done = Done(capsys, command, make(scene), "--preset", family / "preset.toml", "--out", "new/out")
    assert_one_sentence(done, words, scene)


def test_bad_masks(scene, monkeypatch, capsys):
    monkeypatch.chdir(scene)
    Image.new("L", (9, 9), 255).save(scene / "small.png")
    Image.new("L", (90, 70), 0).save(scene / "empty.png")
    before = sorted(scene.iterdir())
    for mask, words in (("small.png", "9 x 9"), ("empty.png", "empty"), ("none.png", "no picture")):
        done = Done(capsys, "inpaint", "runs/box", "photo.png", mask, "--out", "new/out.png")
        assert_one_sentence(done, words, scene, before)


def test_bad_outputs_runs_and_presets(scene, item_folder, monkeypatch, capsys):
    monkeypatch.chdir(scene)
    before = sorted(scene.iterdir())
    painting = ("inpaint", "runs/box", "photo.png", "mask.png", "--out")
    for arguments, words in (
        ((*painting, "out.jpg"), "must end with .png"),
        ((*painting, "out.png"), "not a fine-tuned run"),
        (("finetune", item_folder, "--out", "photo.png"), "is a file"),
        (("finetune", item_folder, "--out", "x", "--steps", "0"), "at least 1"),
        (("finetune", item_folder, "--out", "x", "--preset", "sd99"), "no preset"),
        (("finetune", item_folder, "--out", "x", "--set", "finetune.rate=1"), "unknown key 'finetune.rate'"),
        (("finetune", item_folder, "--out", "x", "--set", "finetune.learning_rate=high"), "finite number"),
        (("finetune", item_folder, "--out", "x", "--set", "training.steps=1"), "the tables of a preset are"),
    ):
        assert_one_sentence(Done(capsys, *arguments), words, scene, before)


def assert_one_sentence(done, words, scene, before=None):
    """Exit code 2, one line on stderr with the words, and nothing new on the disk."""
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    expected = before if before is not None else sorted([scene / "mask.png", scene / "photo.png"])
    assert sorted(scene.iterdir()) == expected


def test_a_stop_says_that_nothing_is_half_written(scene, monkeypatch, capsys):
    def stop(options):
        raise KeyboardInterrupt

    monkeypatch.setattr("dp_helpers.commands.check.run", stop)
    done = Done(capsys, "check")
    assert done.returncode == 130 and done.stderr == "\ndp_helpers: stopped; no half-written file is left.\n"
