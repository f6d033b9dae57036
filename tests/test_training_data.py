"""Captions, training pairs and U-Net candidates of data/build/train, and the fakes that the judge must reject."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from transformers import CLIPModel, CLIPTokenizer

from data.build.measure import fakes, judge, tries
from data.build.render import products
from data.build.train import (
    bank,
    caption_batches,
    captions,
    make_tiny,
    text_tower,
    tokenizer,
    train_clip,
    train_clipseg,
    train_unet,
    train_vae,
    unets,
)
from data.build.train.options import DEVICE
from dp_helpers import files


def record(seed: int) -> dict:
    """A record as the renderer writes it, of a decorated product."""
    rng = np.random.default_rng(seed)
    spec = products.decorate(products.random_spec(rng), rng)
    kind = "catalog" if seed % 3 == 0 else "scene"
    return {
        "class_noun": spec["class_noun"],
        "color": spec["color"],
        "color2": spec["color2"] if spec["pattern"] != "plain" else None,
        "pattern": spec["pattern"],
        "decorated": products.decorated(spec),
        "kind": kind,
        "product": seed,
        "spec": spec,
        "turn": float(rng.uniform(-40, 40)),
        "camera": float(rng.uniform(-20, 20)),
        "setting": "catalog" if kind == "catalog" else products.WHERE[spec["class_noun"]],
    }


def test_every_caption_fits_its_own_picture():
    for seed in range(300):
        meta, rng = record(seed), np.random.default_rng(seed)
        text, said = captions.describe(meta, rng, "small")
        assert captions.fits(captions.facts(meta), said), (text, said)
        assert meta["class_noun"] in text or any(kind in text for kind in captions.KINDS[meta["class_noun"]])


def test_captions_range_from_the_class_noun_to_everything():
    counts = [len(captions.describe(record(seed), np.random.default_rng(seed))[1]) for seed in range(300)]
    assert min(counts) == 1 and max(counts) >= 7


def test_a_mirrored_picture_swaps_left_and_right():
    meta = record(1) | {"turn": 30.0, "camera": 0.0}
    meta["spec"] = meta["spec"] | {"class_noun": "sofa", "paint": {"left": products.COLORS["red"]}, "shape": [0.5] * 8}
    mirrored = captions.mirrored(meta)
    assert captions.details(meta) == {"left arm": "red"} and captions.details(mirrored) == {"right arm": "red"}
    assert (captions.turned(meta), captions.turned(mirrored)) == ("left", "right")
    assert captions.mirrored(mirrored)["mirrored"] is False


def test_parts_that_a_shape_lacks_are_not_named():
    meta = record(1)
    meta["spec"] = meta["spec"] | {"class_noun": "vase", "paint": {"left": products.COLORS["red"]}, "shape": [0.5] * 8}
    assert captions.details(meta) == {}


def test_one_odd_leg_is_told_apart():
    white, orange = products.COLORS["white"], products.COLORS["orange"]
    meta = record(1)
    meta["spec"] = meta["spec"] | {
        "class_noun": "chair",
        "paint": dict.fromkeys(products.LEGS, white) | {"leg0": orange},
    }
    assert captions.details(meta) == {"front left leg": "orange", "legs": "white"}


def test_a_products_token_is_the_same_in_all_its_pictures_and_the_rare_tokens_are_among_them():
    tokens = [captions.token(record(seed)) for seed in range(200)]
    assert tokens == [captions.token(captions.mirrored(record(seed))) for seed in range(200)]
    assert set(tokenizer.RARE) <= set(tokens) and len(set(tokens)) > 100


def test_shades_keep_their_name():
    rng = np.random.default_rng(0)
    named = [(color, captions.color_name(products.shade(color, rng))) for color in products.COLORS for _ in range(50)]
    assert np.mean([a == b for a, b in named]) > 0.99


def test_the_tokenizer_has_a_token_for_each_caption_word():
    own = tokenizer.build()
    tokenizer.check(own)
    texts = [captions.describe(record(seed), np.random.default_rng(seed), "medium")[0] for seed in range(300)]
    lengths = [len(ids) for ids in own(texts).input_ids]
    assert np.percentile(lengths, 99) <= tokenizer.LENGTH


def test_a_tower_that_learns_words_and_length_reads_old_texts_as_before():
    words = tokenizer.build()
    folder = files.find_data() / "tiny/clip"
    old, pieces = CLIPModel.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
    words.add_tokens(["zebra"])
    words.model_max_length = pieces.model_max_length + 5
    tower = text_tower.text_tower(folder, folder, words)
    assert tower.config.max_position_embeddings == words.model_max_length
    assert tower.config.vocab_size == len(words) == len(tower.get_input_embeddings().weight)
    for text in ("a sks armchair", "a photo of a red striped mug"):
        states = [
            model(**ids(text, return_tensors="pt")).last_hidden_state
            for model, ids in ((old.text_model, pieces), (tower, words))
        ]
        assert torch.allclose(*states, atol=1e-5)
    parts = pieces("zebra", add_special_tokens=False).input_ids
    mean = old.text_model.get_input_embeddings().weight[parts].mean(0)
    assert torch.equal(tower.get_input_embeddings().weight[words.convert_tokens_to_ids("zebra")], mean)
    started = train_clip.start(folder, tokenizer.build())
    assert torch.equal(started.visual_projection.weight, old.visual_projection.weight)


def test_caption_batches_depend_on_their_step_alone():
    batches = caption_batches.CaptionBatches([record(seed) for seed in range(60)], 8, seed=0)
    source = batches.after(0)
    first, second = next(source), next(source)
    again = next(batches.after(1))
    assert all(torch.equal(second[key], again[key]) for key in second) and not torch.equal(
        first["picks"], again["picks"]
    )
    assert (first["right"].diagonal() == 1).all() and not first["right"].all()


def boxes(count: int = 400) -> torch.Tensor:
    rng = np.random.default_rng(0)
    corner, size = rng.uniform(2, 50, (count, 2)), rng.uniform(30, 70, (count, 2))
    return torch.from_numpy(np.concatenate([corner, corner + size], 1)).float().to(DEVICE)


def test_latents_can_be_resized_in_bf16():
    """As a CPU computes them that is fast in bf16; there, torch cannot antialias in bf16."""
    latents = torch.rand(2, 4, 16, 16)
    moved = train_vae.resize_and_rotate(latents.bfloat16(), 7, 1)
    assert torch.allclose(moved.float(), train_vae.resize_and_rotate(latents, 7, 1), atol=0.01)


def test_frames_hold_the_product_at_the_sizes_at_which_it_is_painted():
    given, white = boxes(), torch.arange(400, device=DEVICE) % 3 == 0
    frames = bank.frames(given, white, torch.Generator(DEVICE).manual_seed(0))
    side = frames[:, 2] - frames[:, 0]
    share = (given[:, 2:] - given[:, :2]).amax(1) / side
    assert (frames[:, :2] <= given[:, :2] + 0.01).all() and (frames[:, 2:] >= given[:, 2:] - 0.01).all()
    assert share.max() <= bank.SHARE[1] + 0.01 and (128 / side).max() <= bank.ZOOM + 0.01
    assert (frames[~white] >= -0.01).all() and (
        frames[~white] <= 128.01
    ).all()  # scenes have nothing beyond their border


def test_most_masks_hide_the_whole_product():
    given = boxes()
    place = torch.arange(128, device=DEVICE) + 0.5
    inside = (place > given[:, :1]) & (place < given[:, 2:3]), (place > given[:, 1:2]) & (place < given[:, 3:])
    shapes = (inside[1][:, :, None] & inside[0][:, None]).float()[:, None]
    masks = bank.masks(shapes, given, torch.Generator(DEVICE).manual_seed(0))
    hidden = (masks * shapes).sum((1, 2, 3)) / shapes.sum((1, 2, 3))
    assert masks.shape == shapes.shape and set(masks.unique().tolist()) == {0.0, 1.0}
    assert (hidden > 0.99).float().mean() > 0.6 and hidden.min() < 0.5


@pytest.mark.parametrize("name", unets.CANDIDATES)
def test_a_candidate_starts_as_the_unet_that_it_starts_from(name, tmp_path):
    torch.manual_seed(0)
    flat = unets.new_unet("flat").eval()
    flat.save_pretrained(tmp_path)
    unet = unets.new_unet(name).eval()
    new = unets.start_from(unet, tmp_path)
    inputs = torch.randn(1, 9, 16, 16), torch.tensor([500]), torch.randn(1, 48, 128)
    with torch.no_grad():
        same = torch.allclose(unet(*inputs).sample, flat(*inputs).sample, atol=1e-4)
    assert bool(new) == (name != "flat")
    assert same == (name != "wide")  # other widths share no weights


def test_a_fifth_of_the_timesteps_lies_near_pure_noise():
    seen = []

    def predict(noisy, times):
        seen.append(times)
        return noisy

    torch.manual_seed(0)
    latents, mask = torch.zeros(4096, 4, 2, 2), torch.ones(4096, 1, 2, 2)
    train_unet.denoising_loss(predict, DDIMScheduler(**train_unet.SCHEDULER), latents, mask)
    assert 0 <= seen[0].min() and seen[0].max() < 1000
    assert 0.16 < (seen[0] >= 900).float().mean() < 0.22


def test_fakes_keep_the_surroundings_and_hide_the_product():
    rng = np.random.default_rng(0)
    images, masks = torch.rand(24, 3, 64, 64) * 0.2 - 1, torch.zeros(24, 1, 64, 64)
    masks[:, :, 16:48, 20:44] = 1
    images = torch.where(masks > 0.5, torch.tensor(1.0), images)
    empty = fakes.without(images, masks)
    assert empty.max() < -0.7
    made, shapes, kinds = fakes.fakes(images, masks, rng)
    assert set(kinds) == set(fakes.KINDS) and made.shape == images.shape
    assert torch.equal(made[:, :, :4, :4][shapes[:, :, :4, :4].expand(-1, 3, -1, -1) == 0],
                       images[:, :, :4, :4][shapes[:, :, :4, :4].expand(-1, 3, -1, -1) == 0])  # fmt: skip


@pytest.mark.parametrize("init", [None, "data/tiny"])
def test_the_plan_of_the_family_keeps_to_its_time_and_order(init):
    stages = make_tiny.plan(100, init)
    order = [name for stage in stages for name in stage]
    assert set(order) == set(make_tiny.STEPS) - ({"unet-64"} if init else set())
    assert order.index("vae") < order.index("unet") < order.index("pbe") < order.index("measure")
    longest = [max(float(words[2]) if "--minutes" in words else 0 for words in stage.values()) for stage in stages]
    assert sum(longest) == pytest.approx(100)
    unets = [words for stage in stages for words in stage.values() if words[0] == "train.train_unet"]
    assert unets and all("--tune-text" in words for words in unets)  # as the committed family was trained


def test_clipseg_is_trained_on_the_logits_of_the_library_with_its_vision_tower():
    model = train_clipseg.new_clipseg(files.find_data() / "tiny" / "clip")
    images, ids = torch.randn(2, 3, 256, 256), torch.tensor([[1, 2, 745], [3, 4, 745]])
    logits = train_clipseg.predict(model, images, ids)
    with torch.no_grad():
        expected = model(pixel_values=images, input_ids=ids).logits
    assert logits.shape == (2, 256, 256)
    torch.testing.assert_close(logits.detach(), expected, rtol=1e-4, atol=1e-5)
    logits.mean().backward()
    assert model.clip.vision_model.embeddings.patch_embedding.weight.grad.abs().sum() > 0


def test_a_part_of_a_product_becomes_white_and_nothing_far_from_it_changes():
    image, mask = torch.zeros(3, 32, 32), torch.zeros(32, 32)
    image[:, 8:24, 8:24] = torch.tensor([-1.0, -1.0, 0.6])[:, None, None]  # a blue square with a red half, on grey
    image[:, 8:24, 16:24] = torch.tensor([0.6, -1.0, -1.0])[:, None, None]
    mask[8:24, 8:24] = 1
    kept = torch.nn.functional.max_pool2d(mask[None], 5, 1, 2)[0] == 0
    for seed in range(8):
        white = train_clipseg.whiten(image, mask, np.random.default_rng(seed))
        assert torch.equal(white[:, kept], image[:, kept])
        turned = (white.min(0).values > 0.5) & (mask > 0)
        assert 0.05 < turned.sum() / mask.sum() < 0.8
    black = train_clipseg.whiten(torch.full((3, 32, 32), -1.0), mask, np.random.default_rng(0))
    assert black.isfinite().all()


def test_a_haze_keeps_the_product_and_hides_what_is_around_it():
    image, mask = torch.zeros(3, 64, 64), torch.zeros(64, 64)
    image[:, :, ::4] = -1  # a wall with stripes
    image[:, 16:48, 16:48] = torch.tensor([-1.0, -1.0, 0.6])[:, None, None]
    mask[16:48, 16:48] = 1
    for seed in range(8):
        hazy = train_clipseg.haze(image, mask, np.random.default_rng(seed))
        assert torch.allclose(hazy[:, 22:42, 22:42], image[:, 22:42, 22:42], atol=1e-5)
        wall = hazy[:, 26:38, :10]
        assert wall.std(2).max() < 0.1 < image[:, 26:38, :10].std(2).max()
        assert wall.mean() > image[:, 26:38, :10].mean() - 0.05


def test_an_outline_counts_by_its_form_alone():
    box, small = np.zeros((32, 32), bool), np.zeros((32, 32), bool)
    box[4:28, 2:30], small[10:14, 10:20] = True, True
    assert (
        judge.fill_box(box).all() and judge.fill_box(small).all() and not judge.fill_box(np.zeros((32, 32), bool)).any()
    )
    disc = np.hypot(*(np.mgrid[:32, :32] - 15.5)) < 12
    outlines = judge.Silhouettes.__new__(judge.Silhouettes)
    outlines.shapes = {"mug": judge.fill_box(disc).reshape(1, -1)}
    assert outlines.nearest(disc, "mug") == 1 and outlines.nearest(box, "mug") == pytest.approx(np.pi / 4, abs=0.03)


def test_what_the_judge_sees_is_compared_with_what_was_asked():
    order = {"class_noun": "mug", "colors": {"red", "white"}, "pattern": "striped", "color2": "white"}
    seen = {"class_noun": "mug", "color": "white", "pattern": "checked", "palette": {"white", "red"}}
    assert tries.answers(order, seen) == {"class": True, "color": True, "pattern": False, "color2": True}
    assert not tries.answers(order, seen | {"class_noun": judge.REJECTED})["class"]


def test_the_judge_is_trained_once_and_then_loaded(tmp_path):
    rng, box = np.random.default_rng(0), [30, 40, 90, 100]
    mask = np.zeros((4, 128, 128), np.uint8)
    mask[:, 40:100, 30:90] = 255
    meta = {"class_noun": "mug", "color": "red", "color2": None, "pattern": "plain", "kind": "scene", "box": box}
    (tmp_path / "train").mkdir()
    np.savez(
        tmp_path / "train/shard-00000.npz",
        image=rng.integers(0, 256, (4, 128, 128, 3), np.uint8),
        mask=mask,
        meta=np.array(json.dumps([meta | {"product": product} for product in range(4)])),
    )
    trained = judge.load(tmp_path / "train", tmp_path, steps=1)
    loaded = judge.load(tmp_path / "nowhere", tmp_path)
    for one, other in zip(trained.parameters(), loaded.parameters(), strict=True):
        assert torch.equal(one, other)
