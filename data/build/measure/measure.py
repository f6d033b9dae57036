"""Measure the tiny family on held-out scenes: `python -m data.build.measure.measure [--only vae,clip,...]`

Writes figures.json in the family's folder (shares as 0 to 1); `--only` updates a part of it. The parts vae, clip and
clipseg are measured on scenes of decorated products as well (`decorated_...`). The text tries cut the product's box out
of a held-out scene and ask for another colour; the pattern tries ask for a pattern in two colours; the example tries
show a catalogue picture of another product of that class. Of stripes and checks, which give two colours the same area,
either colour counts as the main one. A judge that learnt from true renders and from fakes (judge.py) names what was
painted; the part judge has its own figures. `python -m dp_helpers evaluate` measures data/benchmark.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from PIL import Image
from skimage.metrics import structural_similarity
from transformers import CLIPModel, CLIPSegForImageSegmentation, CLIPSegProcessor, CLIPTokenizer

from dp_helpers.plots import overlay

from ..train.options import DEVICE, HERE
from ..train.train_vae import resize_and_rotate
from ..train.trainset import CLASSES, COLORS, PATTERNS, Trainset, article, crops, main_colors, square, to_images
from .failures import Failures
from .tries import batches, measure_judge, measure_pattern, measure_pbe, measure_text


def ids(tokenizer, texts: list[str]) -> torch.Tensor:
    """Return token ids (B, length), padded to the longest that the model takes."""
    return tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids.to(DEVICE)


def psnr(image: np.ndarray, truth: np.ndarray, where=...) -> float:
    """Return the PSNR in dB of uint8 pictures, over some pixels or all."""
    error = (image.astype(float) - truth) ** 2
    return float(10 * np.log10(255**2 / max(error[where].mean(), 1e-3)))


def measure_vae(args, data: Trainset) -> dict:
    """Measure PSNR and SSIM of reconstructions, over whole pictures and over product pixels, and after moving the
    latents.

    `rotated` and `half` decode latents turned by 90 degrees or shrunk to half, and compare with the picture moved
    alike.
    """
    vae = AutoencoderKL.from_pretrained(args.tiny / "inpainting/vae", torch_dtype=torch.float32).to(DEVICE).eval()
    found: dict[str, list] = {
        key: [] for key in ("psnr_db", "ssim", "psnr_product_db", "psnr_rotated_db", "psnr_half_db")
    }
    failures = Failures()
    for part in batches(min(200, len(data)), 10):
        x = data.batch(part)
        z = vae.encode(x).latent_dist.mode()
        decoded = {"": to_images(vae.decode(z).sample)}
        for name, size, turns in (("rotated", 1.0, 1), ("half", 0.5, 0)):
            moved = to_images(vae.decode(resize_and_rotate(z, int(size * z.shape[-1]), turns)).sample)
            truth = to_images(resize_and_rotate(x, int(size * x.shape[-1]), turns))
            found[f"psnr_{name}_db"] += [psnr(a, b) for a, b in zip(moved, truth, strict=True)]
        for i, image in zip(part, decoded[""], strict=True):
            truth = data.images[i]
            found["psnr_db"].append(psnr(image, truth))
            found["psnr_product_db"].append(psnr(image, truth, data.masks[i] > 127))
            found["ssim"].append(structural_similarity(image, truth, channel_axis=2))
            failures.add([truth, image], f"true, and decoded: {found['psnr_db'][-1]:.1f} dB", -found["psnr_db"][-1])
    failures.save(args.work / "failures-vae.jpg")
    return {f"vae_{key}": np.mean(values) for key, values in found.items()}


def measure_clip(args, data: Trainset) -> dict:
    """Measure zero-shot class, colour and pattern by the nearest prompt, on crops of the product's box; class on
    wholes, too.
    """
    model = CLIPModel.from_pretrained(args.tiny / "clip", dtype=torch.float32).to(DEVICE).eval()
    tokenizer = CLIPTokenizer.from_pretrained(args.tiny / "clip")

    def embed(boxes):
        parts = [
            model.get_image_features(pixel_values=crops(data.batch(p), boxes[p])).pooler_output
            for p in batches(len(data), 30)
        ]
        return torch.nn.functional.normalize(torch.cat(parts), dim=-1)

    def nearest(image, prompts):
        text = model.get_text_features(input_ids=ids(tokenizer, prompts)).pooler_output
        return (image @ torch.nn.functional.normalize(text, dim=-1).T).argmax(1).tolist()

    cut = embed(np.stack([square(b, 0.15) for b in data.boxes]))
    whole = embed(np.tile(np.array([0, 0, 128, 128], np.float32), (len(data), 1)))
    nouns, failures = np.array([CLASSES.index(m["class_noun"]) for m in data.metas]), Failures()
    prompts = [article(noun) for noun in CLASSES]
    found = nearest(cut, prompts)
    for i in np.nonzero(found != nouns)[0]:
        shown = to_images(crops(data.batch([i]), square(data.boxes[i], 0.15)[None]))[0]
        failures.add([shown], f"{CLASSES[nouns[i]]}: {CLASSES[found[i]]}?")
    failures.save(args.work / "failures-clip.jpg")
    result = {
        "clip_class_accuracy": np.mean(found == nouns),
        "clip_class_accuracy_whole_picture": np.mean(nearest(whole, prompts) == nouns),
    }
    for field, names in (("color", COLORS), ("pattern", PATTERNS)):
        hits = []
        for n in np.unique(nouns):
            rows = np.nonzero(nouns == n)[0]
            best = nearest(cut[rows], [article(f"{name} {CLASSES[n]}") for name in names])
            right = [main_colors(data.metas[i]) if field == "color" else {data.metas[i][field]} for i in rows]
            hits += [names[b] in accepted for b, accepted in zip(best, right, strict=True)]
        result[f"clip_{field}_accuracy"] = np.mean(hits)
    return result


def measure_clipseg(args, data: Trainset) -> dict:
    """Measure the mean IoU of the mask for "a photo of a {class noun}", threshold 0.5, on catalogue pictures and in
    scenes.
    """
    model = CLIPSegForImageSegmentation.from_pretrained(args.tiny / "clipseg", dtype=torch.float32).to(DEVICE).eval()
    processor = CLIPSegProcessor.from_pretrained(args.tiny / "clipseg")
    ious: dict[str, list] = {"catalog": [], "scene": []}
    failures = Failures()
    for part in batches(len(data), 30):
        prompts = ["a photo of " + article(data.metas[i]["class_noun"]) for i in part]
        pixels = processor.image_processor(list(data.images[part]), return_tensors="pt").pixel_values
        logits = model(input_ids=ids(processor.tokenizer, prompts), pixel_values=pixels.to(DEVICE)).logits
        logits = F.interpolate(logits[:, None], data.masks.shape[1:], mode="bilinear", antialias=True)[:, 0]
        guess, truth = (logits.cpu() > 0).numpy(), data.masks[part] > 127
        for i, g, t in zip(part, guess, truth, strict=True):
            ious[data.metas[i]["kind"]].append(iou := (g & t).sum() / max(1, (g | t).sum()))
            marked = np.asarray(overlay(Image.fromarray(data.images[i]), Image.fromarray(g.astype(np.uint8) * 255)))
            failures.add([data.images[i], marked], f"{data.metas[i]['class_noun']}: IoU {iou:.2f}", -iou)
    failures.save(args.work / "failures-clipseg.jpg")
    return {f"clipseg_iou_{kind}": np.mean(values) for kind, values in ious.items()}


PARTS = {
    "vae": measure_vae,
    "clip": measure_clip,
    "clipseg": measure_clipseg,
    "judge": measure_judge,
    "text": measure_text,
    "pattern": measure_pattern,
    "pbe": measure_pbe,
}
ON_DECORATED = ("vae", "clip", "clipseg")


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"comma-separated part of {','.join(PARTS)}")
    parser.add_argument("--tries", type=int, default=400)
    parser.add_argument("--batch-size", type=int, default=10)
    parser.add_argument("--inference-steps", type=int, default=20)
    parser.add_argument("--guidance-scale", type=float, default=4.0)
    parser.add_argument(
        "--eta", type=float, default=0.0, help="noise drawn again in every denoising step, 0 to less than 1"
    )
    parser.add_argument("--judge-steps", type=int, default=3000, help="training of each judge, if work/ has none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=HERE / "work" / "heldout")
    parser.add_argument("--work", type=Path, default=HERE / "work")
    parser.add_argument("--tiny", type=Path, default=HERE.parent / "tiny")
    args = parser.parse_args()
    chosen = args.only.split(",") if args.only else list(PARTS)
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"unknown part: {', '.join(sorted(unknown))}")
    path, data = args.tiny / "figures.json", Trainset(args.data)
    decorated = Trainset(args.data.parent / "heldout-decorated")
    aside = argparse.Namespace(**vars(args) | {"work": args.work / "decorated"})  # keeps the other failures
    aside.work.mkdir(parents=True, exist_ok=True)
    for part in chosen:
        found = PARTS[part](args, data)
        if part in ON_DECORATED:
            found |= {f"decorated_{key}": value for key, value in PARTS[part](aside, decorated).items()}
        found = {key: round(float(value), 4) for key, value in found.items()}
        print(json.dumps(found, indent=1), flush=True)
        old = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(dict(sorted((old | found).items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
