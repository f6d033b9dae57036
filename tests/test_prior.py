"""Prior preservation: class pictures by the base model, kept, and in their place in the batch."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from dp_helpers import models, presets
from dp_helpers.errors import Rejected
from dp_helpers.finetune import finetune
from dp_helpers.training import prior
from dp_helpers.training.latents import build_bank
from dp_helpers.training.loop import train
from dp_helpers.training.step import Prompts, batch_loss, step_generator


@pytest.fixture
def preserving(preset):
    return presets.change(preset, finetune={"prior_weight": 0.5, "class_pictures": 3, "mixed_precision": "no"})


def test_pictures_are_drawn_once_and_kept_next_to_the_run(preserving, item, tmp_path, monkeypatch):
    drawn, real = [], prior._draw
    monkeypatch.setattr(prior, "_draw", lambda *given: drawn.append((given[1], given[3])) or real(*given))
    folder = prior.picture_folder(item, preserving, tmp_path / "runs" / "box")
    assert folder.parent == tmp_path / "runs" / "class-pictures" and folder.name.startswith("armchair-")
    pictures = prior.class_pictures(item, preserving, folder)
    assert drawn == [("a armchair", [0, 1]), ("a armchair", [2])], "batch_size at once"
    assert [picture.size for picture in pictures] == [(32, 32)] * 3
    more = presets.change(preserving, finetune={"class_pictures": 4})
    shown = []
    again = prior.class_pictures(item, more, folder, lambda *counts: shown.append(counts))
    assert shown == [(3, 4), (4, 4)]
    assert drawn[2:] == [("a armchair", [3])], "only the missing picture is drawn"
    assert [picture.tobytes() for picture in again[:3]] == [picture.tobytes() for picture in pictures]


def test_a_picture_depends_on_its_seed_alone(preserving, item):
    """However many are drawn at once."""
    alone = prior.class_pictures(item, presets.change(preserving, finetune={"batch_size": 1}))
    together = prior.class_pictures(item, presets.change(preserving, finetune={"batch_size": 3}))
    for one, other in zip(alone, together, strict=True):
        assert abs(np.asarray(one).astype(int) - np.asarray(other)).max() <= 1
    assert alone[0].tobytes() != alone[1].tobytes()


def test_other_models_or_settings_have_another_folder(preserving, item, tmp_path):
    def place(**changes):
        return prior.picture_folder(item, presets.change(preserving, **changes), tmp_path / "box")

    assert place() == place(finetune={"class_pictures": 9, "learning_rate": 1e-5}, inpaint={"feather": 0.2})
    assert place() != place(inpaint={"guidance_scale": 4.0}) and place() != place(models={"inpainting": ["a/b"]})


def test_class_pictures_are_encoded_as_they_are(preserving):
    pictures = [Image.new("RGB", (32, 32), colour) for colour in ("red", "green", "blue")]
    preset = presets.change(preserving, finetune={"augment_background": 1.0, "augment_flip": True})
    bank = prior.class_bank(pictures, preset)
    assert len(bank.latents) == 3 and (bank.object_mask == 1).all()
    vae = models.load_vae(preserving)
    by_hand = build_bank(
        vae,
        pictures,
        [Image.new("L", (32, 32), 255)] * 3,
        presets.change(preserving, finetune={"views": 3, "augment_scale": (1, 1), "augment_shift": 0.0}),
    )
    torch.testing.assert_close(bank.latents, by_hand.latents)


def test_the_batch_holds_the_item_first_and_then_the_class(preserving, item, monkeypatch):
    """Embeddings, latents and weights of each half belong together, whatever the prompt dropout does."""
    seen = {}

    def loss(unet, scheduler, batch, text, noise, timesteps, **options):
        seen.update(batch=batch, text=text, noise=noise, **options)
        return torch.zeros(())

    monkeypatch.setattr("dp_helpers.training.step.inpainting_loss", loss)
    preset = presets.change(preserving, finetune={"prompt_dropout": 0.5, "batch_size": 4})
    vae = models.load_vae(preset)
    bank = build_bank(vae, item.photos, item.own_masks, preset)
    class_bank = prior.class_bank([Image.new("RGB", (32, 32), "green")] * 3, preset)
    unet, text_encoder, tokenizer, scheduler = models.load_trainable(preset)
    prompts = Prompts(text_encoder, models.tokenize(tokenizer, ["a sks armchair", "", "a armchair"]))
    embeddings = prompts.embed(torch.arange(3), trained=False)
    batch_loss(unet, prompts, scheduler, bank, preset, step_generator(0, 0), class_bank=class_bank)

    def is_in(latents, others) -> bool:
        return any(torch.equal(latents, other) for other in others)

    assert seen["batch"].latents.shape[0] == seen["noise"].shape[0] == 8
    assert all(is_in(latents, bank.latents) for latents in seen["batch"].latents[:4])
    assert all(is_in(latents, class_bank.latents) for latents in seen["batch"].latents[4:])
    assert all(is_in(latents, class_bank.masked_image_latents) for latents in seen["batch"].masked_image_latents[4:])
    torch.testing.assert_close(seen["text"][4:], embeddings[2].expand(4, -1, -1))
    first = [min(range(3), key=lambda row: (text - embeddings[row]).abs().sum().item()) for text in seen["text"][:4]]
    assert set(first) <= {0, 1}
    assert seen["sample_weight"].tolist() == [2, 2, 2, 2, 1, 1, 1, 1]


def test_the_loss_is_the_items_plus_the_weighted_classs(preserving, item):
    preset = presets.change(preserving, finetune={"prompt_dropout": 0.0, "mask_weight": 1.0})
    bank = build_bank(models.load_vae(preset), item.photos, item.own_masks, preset)
    class_bank = prior.class_bank([Image.new("RGB", (32, 32), "green")] * 3, preset)
    unet, text_encoder, tokenizer, scheduler = models.load_trainable(preset)
    prompts = Prompts(text_encoder, models.tokenize(tokenizer, ["a sks armchair", "", "a armchair"]))

    def value(weight: float) -> float:
        chosen = presets.change(preset, finetune={"prior_weight": weight})
        given = (unet, prompts, scheduler, bank, chosen, step_generator(0, 0))
        return batch_loss(*given, class_bank=class_bank).item()

    item_alone, both, double = value(0.0), value(1.0), value(2.0)
    assert both > item_alone and double - both == pytest.approx(both - item_alone, rel=1e-3)


def test_a_run_with_class_pictures(preserving, item, tmp_path, capsys):
    run = finetune(item, item.own_masks, preserving, output_dir=tmp_path / "runs" / "box")
    shown = capsys.readouterr().err
    assert "draw class pictures" in shown and "encode" in shown
    plain = finetune(item, item.own_masks, preserving, prior_weight=0.0, progress=False)
    assert run.losses != plain.losses
    assert len(list((tmp_path / "runs" / "class-pictures").glob("*/*.png"))) == 3
    assert sorted(path.name for path in run.folder.iterdir()) == ["run.json", "text_encoder", "unet"]


def test_without_a_class_bank_no_draw_changes(preset, item):
    bank = build_bank(models.load_vae(preset), item.photos, item.own_masks, preset)
    one, other = (train(bank, "a sks armchair", preset, class_prompt=words, progress=False)[1] for words in ("", "a x"))
    assert one == other


class Checked:
    """A pipeline whose safety checker rejects the pictures of some seeds. Others are as bright as their seed says."""

    def __init__(self, bad) -> None:
        self.bad, self.seeds = bad, []

    def __call__(self, generator, **_):
        seeds = [each.initial_seed() for each in generator]
        self.seeds += seeds
        rejected = [seed in self.bad for seed in seeds]
        images = [
            Image.new("RGB", (32, 32), "black" if bad else (100, 0, seed % 256))
            for seed, bad in zip(seeds, rejected, strict=True)
        ]
        return SimpleNamespace(images=images, nsfw_content_detected=rejected)


def test_rejected_pictures_are_drawn_again(preserving, item, tmp_path, monkeypatch):
    apart = prior.SEEDS_APART
    pipe = Checked({1, 2, 2 + apart})
    monkeypatch.setattr(prior, "_pipeline", lambda preset: pipe)
    Image.new("RGB", (32, 32)).save(tmp_path / "0000.png")  # kept by an older version
    pictures = prior.class_pictures(item, preserving, tmp_path)
    assert [picture.getpixel((0, 0))[2] for picture in pictures] == [0, (1 + apart) % 256, (2 + 2 * apart) % 256]
    assert pipe.seeds == [0, 1, 1 + apart, 2, 2 + apart, 2 + 2 * apart]
    assert all(Image.open(path).getbbox() for path in tmp_path.glob("*.png"))


def test_pictures_that_are_always_rejected_end_the_run(preserving, item, tmp_path, monkeypatch):
    pipe = Checked(range(10**6))
    monkeypatch.setattr(prior, "_pipeline", lambda preset: pipe)
    with pytest.raises(Rejected, match=f"rejected {prior.TRIES} pictures of 'a armchair' in a row.*prior_weight=0"):
        prior.class_pictures(item, preserving, tmp_path)
    assert len(pipe.seeds) == prior.TRIES * 2 and not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize("noun", ["/etc/x", "../../../x", "a\\b:c", "..", "/", "x" * 400, "chaise/../../longue"])
def test_a_class_noun_is_no_path(preserving, item, tmp_path, noun):
    folder = prior.picture_folder(replace(item, class_noun=noun), preserving, tmp_path / "box")
    assert folder.parent == tmp_path / prior.FOLDER and len(folder.name) < 60
    assert re.fullmatch(r"[\w-]+-[0-9a-f]{8}", folder.name)


def test_plain_nouns_keep_their_folders(preserving, item, tmp_path):
    for noun, start in (("coffee mug", "coffee-mug-"), ("t-shirt", "t-shirt-"), ("Küchenstuhl", "Küchenstuhl-")):
        folder = prior.picture_folder(replace(item, class_noun=noun), preserving, tmp_path / "box")
        assert folder.name.startswith(start)
