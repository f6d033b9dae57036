"""Paint boxes of held-out scenes and let the judge say what is there: the parts text, pattern and pbe of `measure`."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from diffusers import StableDiffusionInpaintPipeline
from diffusers.pipelines.deprecated.paint_by_example import PaintByExamplePipeline
from PIL import Image

from dp_helpers import baselines, presets

from ..train.exports import tile
from ..train.options import DEVICE
from ..train.trainset import COLORS, PATTERNS, Trainset, article, crops, main_colors, square, to_images, to_tensor
from . import judge
from .failures import Failures


def batches(count: int, size: int) -> list[np.ndarray]:
    """Split the numbers below `count` into runs of about `size`."""
    return np.array_split(np.arange(count), max(1, -(-count // size)))


def holes(data: Trainset, index) -> list[Image.Image]:
    """Return masks of the records' boxes grown by a twentieth, mode L, 255 = repaint."""
    masks = []
    for x0, y0, x1, y1 in data.boxes[index]:
        extra, mask = 0.05 * max(x1 - x0, y1 - y0), np.zeros((128, 128), np.uint8)
        mask[max(0, int(y0 - extra)) : int(np.ceil(y1 + extra)), max(0, int(x0 - extra)) : int(np.ceil(x1 + extra))] = (
            255
        )
        masks.append(Image.fromarray(mask))
    return masks


def answers(order: dict, verdict: dict) -> dict[str, bool]:
    """Return what of an order the judge finds fulfilled: class, colour, and pattern and second colour where they were
    asked.
    """
    found = {"class": order["class_noun"] == verdict["class_noun"], "color": verdict["color"] in order["colors"]}
    if "pattern" in order:
        found |= {"pattern": order["pattern"] == verdict["pattern"], "color2": order["color2"] in verdict["palette"]}
    return found


def tries(args, data: Trainset, name: str, paint, wanted) -> dict:
    """Paint `--tries` boxes in batches; `wanted(index, rng)` gives what to ask for, `paint` the pictures.

    What is asked for is a dict of `class_noun`, `colors` (any of them is right), a `prompt` or an `example` picture,
    and perhaps `pattern` and `color2`. The first generation's judge, which knows no reject class, is asked as well.
    """
    rng = np.random.default_rng(args.seed)
    scenes = [i for i, m in enumerate(data.metas) if m["kind"] == "scene"]
    chosen = rng.choice(scenes, args.tries, replace=args.tries > len(scenes))
    train = args.data.parent / "train"
    model, careless = (judge.load(train, args.work, with_fakes, args.judge_steps) for with_fakes in (True, False))
    outlines, failures = judge.Silhouettes(Trainset(train)), Failures()
    right: dict[str, list] = {}
    shown: list[np.ndarray] = []
    for part in batches(args.tries, args.batch_size):
        index = chosen[part]
        orders = [wanted(int(i), rng) for i in index]
        photos = [Image.fromarray(data.images[i]) for i in index]
        generators = [torch.Generator().manual_seed(args.seed * 100_000 + int(k)) for k in part]
        images = np.stack([np.array(im) for im in paint(orders, photos, holes(data, index), generators)])
        seen, seen_before = (
            judge.verdicts(m, to_tensor(images).to(DEVICE), data.boxes[index]) for m in (model, careless)
        )
        for order, image, verdict, before in zip(orders, images, seen, seen_before, strict=True):
            found = answers(order, verdict)
            found["class_by_careless_judge"] = before["class_noun"] == order["class_noun"]
            found["silhouette_iou"] = outlines.nearest(verdict["outline"], order["class_noun"])
            for key, value in found.items():
                right.setdefault(key, []).append(value)
            if not (found["class"] and found["color"]):
                asked = [np.asarray(order["example"])] if "example" in order else []
                failures.add([*asked, image], order.get("prompt", order["class_noun"]), not found["class"])
        shown += list(images)
        print(f"{name}: {len(shown)} tries,", ", ".join(f"{k} {np.mean(v):.3f}" for k, v in right.items()), flush=True)
    failures.save(args.work / f"failures-{name}.jpg")
    rows = [shown[k : k + 10] for k in range(0, len(shown) - 9, 10)][:8]
    if rows:
        Image.fromarray(tile(rows)).save(args.work / f"measure-{name}.png")
    kinds = {key: f"{name}_{key}" if key == "silhouette_iou" else f"{name}_{key}_accuracy" for key in right}
    return {kinds[key]: np.mean(values) for key, values in right.items()} | {
        f"{name}_tries": args.tries,
        f"{name}_guidance": args.guidance_scale,
        f"{name}_inference_steps": args.inference_steps,
    }


def _text_pipeline(args) -> StableDiffusionInpaintPipeline:
    pipe = StableDiffusionInpaintPipeline.from_pretrained(args.tiny / "inpainting", torch_dtype=torch.float32).to(
        DEVICE
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _paint_text(args, pipe):
    def paint(orders, photos, masks, generators):
        settings = {"guidance_scale": args.guidance_scale, "num_inference_steps": args.inference_steps, "eta": args.eta}
        prompts = [order["prompt"] for order in orders]
        return pipe(prompts, photos, masks, height=128, width=128, generator=generators, **settings).images

    return paint


def measure_text(args, data: Trainset) -> dict:
    """Measure text-guided inpainting with "a plain {color} {class noun}", in a colour that was not there."""

    def wanted(i, rng):
        noun = data.metas[i]["class_noun"]
        color = str(rng.choice([c for c in COLORS if c not in (data.metas[i]["color"], data.metas[i]["color2"])]))
        return {"class_noun": noun, "colors": {color}, "prompt": article(f"plain {color} {noun}")}

    return tries(args, data, "text", _paint_text(args, _text_pipeline(args)), wanted)


def measure_pattern(args, data: Trainset) -> dict:
    """Measure text-guided inpainting with "a {pattern} {color} and {color2} {class noun}"."""

    def wanted(i, rng):
        noun, pattern = data.metas[i]["class_noun"], str(rng.choice(PATTERNS[1:]))
        color, color2 = (str(c) for c in rng.choice(COLORS, 2, replace=False))
        right = main_colors({"color": color, "color2": color2, "pattern": pattern})
        prompt = article(f"{pattern} {color} and {color2} {noun}")
        return {"class_noun": noun, "colors": right, "pattern": pattern, "color2": color2, "prompt": prompt}

    return tries(args, data, "pattern", _paint_text(args, _text_pipeline(args)), wanted)


def _example_pipeline(args) -> PaintByExamplePipeline:
    preset = presets.load("tiny")
    source = (str((args.tiny / "paint-by-example").resolve()),)
    family = dataclasses.replace(preset, models=dataclasses.replace(preset.models, paint_by_example=source))
    return baselines.load_example_pipeline(family, str(DEVICE))


def measure_pbe(args, data: Trainset) -> dict:
    """Measure Paint by Example; the example shows another product of this class in another colour, on white."""
    pipe = _example_pipeline(args)
    pipe.set_progress_bar_config(disable=True)

    def wanted(i, rng):
        meta = data.metas[i]
        others = [
            j for j, m in enumerate(data.metas) if m["kind"] == "catalog" and m["class_noun"] == meta["class_noun"]
        ]
        j = int(rng.choice([j for j in others if data.metas[j]["color"] != meta["color"]] or others))
        example = to_images(crops(data.batch([j]), square(data.boxes[j], 0.15)[None]))[0]
        chosen = data.metas[j]
        return {"class_noun": chosen["class_noun"], "colors": main_colors(chosen), "example": Image.fromarray(example)}

    def paint(orders, photos, masks, generators):
        examples = pipe.feature_extractor(images=[o["example"] for o in orders], return_tensors="pt").pixel_values
        return pipe(examples, photos, masks, guidance_scale=args.guidance_scale, generator=generators,
                    num_inference_steps=args.inference_steps, eta=args.eta).images  # fmt: skip

    return tries(args, data, "pbe", paint, wanted)


def measure_judge(args, data: Trainset) -> dict:
    """Measure the judge on held-out renders, the most that painted pictures can reach, and on fakes, which it must
    reject.
    """
    train = args.data.parent / "train"
    model, careless = (judge.load(train, args.work, with_fakes, args.judge_steps) for with_fakes in (True, False))
    outlines, found, rng = judge.Silhouettes(Trainset(train)), {}, np.random.default_rng(args.seed)
    kinds: dict[str, list] = {}
    for part in batches(len(data), 48):
        metas, images = [data.metas[i] for i in part], data.batch(part)
        seen = judge.verdicts(model, images, data.boxes[part])
        for meta, verdict in zip(metas, seen, strict=True):
            noun = meta["class_noun"]
            order = {
                "class_noun": noun,
                "colors": main_colors(meta),
                "pattern": meta["pattern"],
                "color2": meta["color2"],
            }
            hits = answers(order, verdict) | {"silhouette_iou": outlines.nearest(verdict["outline"], noun)}
            if not meta["color2"]:
                del hits["color2"]
            for key, value in hits.items():
                found.setdefault(f"judge_{key}" if key == "silhouette_iou" else f"judge_{key}_accuracy", []).append(
                    value
                )
        for kind, values in _on_fakes(data, part, model, careless, outlines, rng).items():
            kinds.setdefault(kind, []).extend(values)
    return {key: np.mean(values) for key, values in (found | kinds).items()}


def _on_fakes(data: Trainset, part, model, careless, outlines, rng) -> dict[str, list]:
    """Return, for fakes of these pictures, whether they are rejected, and the outlines' agreement with the class."""
    stack = judge.cut(torch.cat([data.batch(part), data.mask_batch(part)], 1), data.boxes[part])
    made, _, kinds = judge.fakes(stack[:, :3], (stack[:, 3:] > 0.5).float(), rng)
    whole = np.tile(np.array([0, 0, judge.SIZE, judge.SIZE], np.float32), (len(part), 1))
    found: dict[str, list] = {}
    for i, kind, verdict in zip(part, kinds, judge.verdicts(model, made, whole, grow=0), strict=True):
        rejected = verdict["class_noun"] == judge.REJECTED
        found.setdefault("judge_rejects_fakes", []).append(rejected)
        found.setdefault(f"judge_rejects_{kind}", []).append(rejected)
        noun = data.metas[i]["class_noun"]
        found.setdefault("judge_silhouette_iou_of_fakes", []).append(outlines.nearest(verdict["outline"], noun))
    for i, verdict in zip(part, judge.verdicts(careless, made, whole, grow=0), strict=True):
        found.setdefault("careless_judge_accepts_fakes", []).append(
            verdict["class_noun"] == data.metas[i]["class_noun"]
        )
    return found
