"""Measure the tiny family on held-out scenes: `python data/build/measure.py [--only vae,clip,clipseg,text,pbe,benchmark]`

Writes data/tiny/figures.json (shares as 0 to 1); `--only` updates a part of it. The text tries cut the product's box out
of a held-out scene and ask for "a plain {color} {class noun}", the colour drawn at random and never the one that was there;
the example tries show a catalogue picture of another product of that class. Of stripes and checks, which give two colours the
same area, either colour counts as the main one. A judge trained on true renders alone (judge.py)
names what was painted; its own share of right answers on held-out renders stands beside the figures. For `benchmark` see
benchmark.py; it fine-tunes all catalogue items first, unless strips.py has.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import benchmark
import judge
import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionInpaintPipeline, UNet2DConditionModel
from failures import Failures
from PIL import Image
from skimage.metrics import structural_similarity
from trainer import DEVICE, HERE, tile
from trainset import CLASSES, COLORS, PATTERNS, Trainset, article, crops, main_colors, square, to_images, to_tensor
from transformers import CLIPImageProcessor, CLIPModel, CLIPSegForImageSegmentation, CLIPTokenizer

from dp_helpers.plots import overlay

PARTS = ("vae", "clip", "clipseg", "text", "pbe", "benchmark")


def ids(tokenizer, texts: list[str]) -> torch.Tensor:
    return tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids.to(DEVICE)


def batches(count: int, size: int) -> list[np.ndarray]:
    return np.array_split(np.arange(count), max(1, -(-count // size)))


def measure_vae(args, data: Trainset) -> dict:
    """Mean PSNR and SSIM of reconstructions, over whole pictures and (PSNR) over product pixels alone."""
    vae = AutoencoderKL.from_pretrained(args.tiny / "inpainting/vae", torch_dtype=torch.float32).to(DEVICE).eval()
    psnr, inside, ssim, failures = [], [], [], Failures()
    for part in batches(min(200, len(data)), 10):
        y = to_images(vae.decode(vae.encode(data.batch(part).to(DEVICE)).latent_dist.mode()).sample)
        for i, image in zip(part, y, strict=True):
            error = (image.astype(float) - data.images[i]) ** 2
            psnr.append(10 * np.log10(255**2 / error.mean()))
            inside.append(10 * np.log10(255**2 / error[data.masks[i] > 127].mean()))
            ssim.append(structural_similarity(image, data.images[i], channel_axis=2))
            failures.add([data.images[i], image], f"true, and decoded: {psnr[-1]:.1f} dB", -psnr[-1])
    failures.save(args.work / "failures-vae.jpg")
    return {"vae_psnr_db": np.mean(psnr), "vae_ssim": np.mean(ssim), "vae_psnr_product_db": np.mean(inside)}


def measure_clip(args, data: Trainset) -> dict:
    """Zero-shot class, main colour and pattern by the nearest prompt, on crops of the product's box; class on wholes too."""
    model = CLIPModel.from_pretrained(args.tiny / "clip", dtype=torch.float32).to(DEVICE).eval()
    tokenizer = CLIPTokenizer.from_pretrained(args.tiny / "clip")

    def embed(boxes):
        parts = [model.get_image_features(pixel_values=crops(data.batch(p), boxes[p]).to(DEVICE)).pooler_output
                 for p in batches(len(data), 30)]
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
    result = {"clip_class_accuracy": np.mean(found == nouns),
              "clip_class_accuracy_whole_picture": np.mean(nearest(whole, prompts) == nouns)}
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
    """Mean IoU of the mask for "a photo of a {class noun}", threshold 0.5, on catalogue pictures and in scenes."""
    model = CLIPSegForImageSegmentation.from_pretrained(args.tiny / "clipseg", dtype=torch.float32).to(DEVICE).eval()
    tokenizer = CLIPTokenizer.from_pretrained(args.tiny / "clipseg")
    ious: dict[str, list] = {"catalog": [], "scene": []}
    failures = Failures()
    for part in batches(len(data), 30):
        prompts = ["a photo of " + article(data.metas[i]["class_noun"]) for i in part]
        logits = model(input_ids=ids(tokenizer, prompts), pixel_values=data.batch(part).to(DEVICE)).logits
        guess, truth = (logits.cpu() > 0).numpy(), data.masks[part] > 127
        for i, g, t in zip(part, guess, truth, strict=True):
            ious[data.metas[i]["kind"]].append(iou := (g & t).sum() / max(1, (g | t).sum()))
            marked = np.asarray(overlay(Image.fromarray(data.images[i]), Image.fromarray(g.astype(np.uint8) * 255)))
            failures.add([data.images[i], marked], f"{data.metas[i]['class_noun']}: IoU {iou:.2f}", -iou)
    failures.save(args.work / "failures-clipseg.jpg")
    return {f"clipseg_iou_{kind}": np.mean(values) for kind, values in ious.items()}


def holes(data: Trainset, index) -> list[Image.Image]:
    """Masks of the records' boxes grown by a twentieth, mode L, 255 = repaint."""
    masks = []
    for x0, y0, x1, y1 in data.boxes[index]:
        extra, mask = 0.05 * max(x1 - x0, y1 - y0), np.zeros((128, 128), np.uint8)
        mask[max(0, int(y0 - extra)):int(np.ceil(y1 + extra)), max(0, int(x0 - extra)):int(np.ceil(x1 + extra))] = 255
        masks.append(Image.fromarray(mask))
    return masks


def tries(args, data: Trainset, name: str, paint, wanted) -> dict:
    """Paint `--tries` boxes in batches; `wanted(index, rng)` gives what to ask for, `paint` the pictures.

    What is asked for is a dict of `class_noun`, `colors` (any of them is right), and a `prompt` or an `example` picture.
    """
    rng = np.random.default_rng(args.seed)
    scenes = [i for i, m in enumerate(data.metas) if m["kind"] == "scene"]
    chosen = rng.choice(scenes, args.tries, replace=args.tries > len(scenes))
    model, right, shown = judge.load(args.data.parent / "train", args.work), {"class": [], "color": []}, []
    failures = Failures()
    for part in batches(args.tries, args.batch_size):
        index = chosen[part]
        orders = [wanted(int(i), rng) for i in index]
        photos = [Image.fromarray(data.images[i]) for i in index]
        generators = [torch.Generator().manual_seed(args.seed * 100_000 + int(k)) for k in part]
        images = np.stack([np.array(im) for im in paint(orders, photos, holes(data, index), generators)])
        nouns, colors = judge.verdicts(model, to_tensor(images), data.boxes[index])
        right["class"] += [o["class_noun"] == n for o, n in zip(orders, nouns, strict=True)]
        right["color"] += [c in o["colors"] for o, c in zip(orders, colors, strict=True)]
        for order, image, noun, color in zip(orders, images, nouns, colors, strict=True):
            if order["class_noun"] != noun or color not in order["colors"]:
                asked = [np.asarray(order["example"])] if "example" in order else []
                failures.add([*asked, image], order.get("prompt", order["class_noun"]), order["class_noun"] != noun)
        shown += list(images)
        print(f"{name}: {len(shown)} tries, class {np.mean(right['class']):.3f}, color {np.mean(right['color']):.3f}", flush=True)
    failures.save(args.work / f"failures-{name}.jpg")
    rows = [shown[k:k + 10] for k in range(0, len(shown) - 9, 10)][:8]
    if rows:
        Image.fromarray(tile(rows)).save(args.work / f"measure-{name}.png")
    return {f"{name}_{key}_accuracy": np.mean(values) for key, values in right.items()} | {
        f"{name}_tries": args.tries, f"{name}_guidance": args.guidance_scale, f"{name}_inference_steps": args.inference_steps}


def measure_text(args, data: Trainset) -> dict:
    """Text-guided inpainting through diffusers' own pipeline."""
    pipe = StableDiffusionInpaintPipeline.from_pretrained(args.tiny / "inpainting", torch_dtype=torch.float32).to(DEVICE)
    pipe.set_progress_bar_config(disable=True)

    def wanted(i, rng):
        noun = data.metas[i]["class_noun"]
        color = str(rng.choice([c for c in COLORS if c not in (data.metas[i]["color"], data.metas[i]["color2"])]))
        return {"class_noun": noun, "colors": {color}, "prompt": article(f"plain {color} {noun}")}

    def paint(orders, photos, masks, generators):
        return pipe([o["prompt"] for o in orders], photos, masks, height=128, width=128, guidance_scale=args.guidance_scale,
                    num_inference_steps=args.inference_steps, eta=args.eta, generator=generators).images

    return tries(args, data, "text", paint, wanted)


def load_pbe(folder: Path):
    """The Paint by Example pipeline, part by part: its own from_pretrained fails since diffusers 0.38 (diffusers#14008)."""
    from diffusers.pipelines.deprecated.paint_by_example import PaintByExampleImageEncoder, PaintByExamplePipeline
    parts = {"vae": AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32),
             "unet": UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32),
             "image_encoder": PaintByExampleImageEncoder.from_pretrained(folder / "image_encoder", dtype=torch.float32),
             "scheduler": DDIMScheduler.from_pretrained(folder / "scheduler"),
             "feature_extractor": CLIPImageProcessor.from_pretrained(folder / "feature_extractor")}
    return PaintByExamplePipeline(**parts, safety_checker=None, requires_safety_checker=False).to(DEVICE)


def measure_pbe(args, data: Trainset) -> dict:
    """Paint by Example, the example a catalogue picture of another product of the same class and another colour."""
    pipe = load_pbe(args.tiny / "paint-by-example")
    pipe.set_progress_bar_config(disable=True)

    def wanted(i, rng):
        meta = data.metas[i]
        others = [j for j, m in enumerate(data.metas) if m["kind"] == "catalog" and m["class_noun"] == meta["class_noun"]]
        j = int(rng.choice([j for j in others if data.metas[j]["color"] != meta["color"]] or others))
        example = to_images(crops(data.batch([j]), square(data.boxes[j], 0.15)[None]))[0]
        chosen = data.metas[j]
        return {"class_noun": chosen["class_noun"], "colors": main_colors(chosen), "example": Image.fromarray(example)}

    def paint(orders, photos, masks, generators):
        examples = pipe.feature_extractor(images=[o["example"] for o in orders], return_tensors="pt").pixel_values
        return pipe(examples, photos, masks, guidance_scale=args.guidance_scale, generator=generators,
                    num_inference_steps=args.inference_steps, eta=args.eta).images

    return tries(args, data, "pbe", paint, wanted)


def measure_benchmark(args, _) -> dict:
    """DreamPaint beside the two others on data/benchmark."""
    return benchmark.measure_benchmark(args, load_pbe)


def judge_share(args, data: Trainset) -> dict:
    """How often the judge is right about held-out renders: the most that the painted pictures can reach."""
    model = judge.load(args.data.parent / "train", args.work)
    verdicts = [judge.verdicts(model, data.batch(p), data.boxes[p]) for p in batches(len(data), 50)]
    nouns, colors = ([v for pair in verdicts for v in pair[k]] for k in (0, 1))
    return {"judge_class_accuracy": np.mean([n == m["class_noun"] for n, m in zip(nouns, data.metas, strict=True)]),
            "judge_color_accuracy": np.mean([c in main_colors(m) for c, m in zip(colors, data.metas, strict=True)])}


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"comma-separated part of {','.join(PARTS)}")
    parser.add_argument("--tries", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=10)
    parser.add_argument("--benchmark-seeds", type=int, default=2, help="pictures of each method for each pair")
    parser.add_argument("--inference-steps", type=int, default=20)
    parser.add_argument("--guidance-scale", type=float, default=4.0)
    parser.add_argument("--eta", type=float, default=0.0, help="noise drawn anew in every denoising step, 0 to less than 1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=HERE / "work" / "heldout")
    parser.add_argument("--work", type=Path, default=HERE / "work")
    parser.add_argument("--tiny", type=Path, default=HERE.parent / "tiny")
    args = parser.parse_args()
    chosen = args.only.split(",") if args.only else PARTS
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"unknown part: {', '.join(sorted(unknown))}")
    path, data = args.tiny / "figures.json", Trainset(args.data)
    for part in chosen:
        found = globals()[f"measure_{part}"](args, data)
        if part in ("text", "pbe"):
            found |= judge_share(args, data)
        found = {key: round(float(value), 4) for key, value in found.items()}
        print(json.dumps(found, indent=1), flush=True)
        old = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(dict(sorted((old | found).items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
