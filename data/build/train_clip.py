"""Train the family's CLIP on pictures and captions. `python data/build/train_clip.py [--minutes M]`

Contrastive, but with soft targets: a picture fits every caption whose words are all true of it ("an armchair", "a red
armchair"), and each caption has a hard negative beside it in which one attribute is changed. Most pictures are crops
around the product, as for the CLIP score; some have the background painted over. The vision tower sees a random quarter of
its patches for most of the run (as in FLIP, arXiv 2212.00794: four times cheaper), then half, then all.
Writes data/tiny/clip with tokenizer and image processor.
"""

from __future__ import annotations

import numpy as np
import tokenizer as words
import torch
from torch import Tensor
from trainer import DEVICE, export, half, options, train
from trainset import CLASSES, COLORS, PATTERNS, Trainset, article, caption, crops, square
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

MEAN = STD = [0.5, 0.5, 0.5]
FIELDS = {"class_noun": CLASSES, "color": COLORS, "color2": [None, *COLORS], "pattern": PATTERNS}


def new_clip(tokenizer: CLIPTokenizer) -> CLIPModel:
    """The untrained model: text 128 wide, 4 layers, 16 positions; vision 128 wide, 5 layers, 8 px patches."""
    text = {"vocab_size": len(tokenizer), "hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 4,
            "num_attention_heads": 4, "max_position_embeddings": words.LENGTH, "projection_dim": 128,
            "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id}
    vision = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 5, "num_attention_heads": 4,
              "image_size": 128, "patch_size": 8, "projection_dim": 128}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=128))


def views(data: Trainset, index: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Augmented pictures (B, 3, 128, 128): two thirds crops around the product, flips, painted backgrounds."""
    count = len(index)
    stack = torch.cat([data.batch(index), data.mask_batch(index)], 1)
    boxes = np.stack([square(data.boxes[i], g) for i, g in zip(index, rng.uniform(0, 0.5, count), strict=True)])
    boxes[rng.random(count) < 0.3] = [0, 0, 128, 128]
    center, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    center = center + size * rng.uniform(-0.06, 0.06, (count, 2))
    size = size * rng.uniform(0.85, 1.1, (count, 2))
    stack = crops(stack, np.concatenate([center - size / 2, center + size / 2], 1), 128, rng.random(count) < 0.5)
    images, masks = stack[:, :3], stack[:, 3:]
    paint = torch.from_numpy(np.where(rng.random((count, 1)) < 0.5, 1.0, rng.uniform(-1, 1, (count, 3)))).float()
    painted = torch.from_numpy(rng.random(count) < 0.2)[:, None, None, None]
    return torch.where(painted, images * masks + paint[:, :, None, None] * (1 - masks), images)


def codes(dicts: list[dict]) -> Tensor:
    """Attributes as numbers (N, 4); -1 for an attribute that is not named."""
    return torch.tensor([[names.index(d[f]) if f in d else -1 for f, names in FIELDS.items()] for d in dicts])


def changed(meta: dict, rng: np.random.Generator) -> dict:
    """The record with one attribute replaced by another value: what a hard negative describes."""
    field = str(rng.choice(["class_noun", "color", "color", "pattern"]))
    value = str(rng.choice([v for v in FIELDS[field] if v != meta[field]]))
    new = meta | {field: value}
    if field == "pattern":
        new["color2"] = None if value == "plain" else meta["color2"]
    said = " and ".join(c for c in (new["color"], new["color2"]) if c)
    return new | {"caption": f"a photo of a {new['pattern']} {said} {new['class_noun']}"}


def token_ids(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Token numbers (N, 16), padded to the full length as the pipelines do."""
    return tokenizer(list(texts), padding="max_length", truncation=True, return_tensors="pt").input_ids.to(DEVICE)


def encode_text(model: CLIPModel, tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Unit embeddings (N, 128) of texts."""
    features = model.get_text_features(input_ids=token_ids(tokenizer, texts)).pooler_output
    return torch.nn.functional.normalize(features, dim=-1)


def encode_image(model: CLIPModel, pixels: Tensor, keep: int | None = None) -> Tensor:
    """Unit embeddings (N, 128) of pictures in [-1, 1]; with `keep`, from that many random patches only."""
    tower = model.vision_model
    hidden = tower.embeddings(pixels)
    count = hidden.shape[1] - 1
    if keep and keep < count:
        chosen = torch.rand(len(hidden), count, device=hidden.device).argsort(1)[:, :keep] + 1
        hidden = torch.cat([hidden[:, :1], hidden.gather(1, chosen[..., None].expand(-1, -1, hidden.shape[2]))], 1)
    hidden = tower.encoder(inputs_embeds=tower.pre_layrnorm(hidden)).last_hidden_state
    return torch.nn.functional.normalize(model.visual_projection(tower.post_layernorm(hidden[:, 0])), dim=-1)


def clip_loss(model: CLIPModel, tokenizer, data: Trainset, count: int, rng, progress: float):
    """Cross entropy, both ways, with all fitting pairs as equal targets."""
    index = rng.integers(len(data), size=count)
    metas = [data.metas[i] for i in index]
    described = [caption(m, rng) for m in [*metas, *(changed(m, rng) for m in metas)]]
    described += [("a photo of " + article(noun), {"class_noun": noun}) for noun in CLASSES]
    texts, said = zip(*described, strict=True)
    keep = 64 if progress < 0.75 else 128 if progress < 0.92 else None
    image = encode_image(model, views(data, index, rng).to(DEVICE), keep)
    logits = model.logit_scale.exp().clamp(max=100) * image @ encode_text(model, tokenizer, list(texts)).T
    named, has = codes(list(said))[None], codes(metas)[:, None]
    fit = ((named == -1) | (named == has)).all(-1).float().to(DEVICE)                      # (pictures, captions)
    per_image = -(logits.log_softmax(1) * fit).sum(1) / fit.sum(1)
    some = fit.sum(0) > 0
    per_text = -(logits.log_softmax(0) * fit).sum(0)[some] / fit.sum(0)[some]
    hit = fit.gather(1, logits.argmax(1, keepdim=True)).mean()
    return (per_image.mean() + per_text.mean()) / 2, {"hit": hit, "keep": keep or 256}


@torch.no_grad()
def zero_shot(model: CLIPModel, tokenizer, data: Trainset, crop: bool = True, limit: int = 450) -> dict[str, float]:
    """Shares of pictures whose class, main colour and pattern are found by the nearest prompt, class given for the latter."""
    index = np.arange(min(limit, len(data)))
    boxes = np.stack([square(data.boxes[i], 0.15) if crop else np.array([0, 0, 128, 128]) for i in index])
    image = torch.cat([encode_image(model, crops(data.batch(part), boxes[part], 128).to(DEVICE))
                       for part in np.array_split(index, max(1, len(index) // 45))])
    result = {}
    for field, names in (("class_noun", CLASSES), ("color", COLORS), ("pattern", PATTERNS)):
        nouns = [None] if field == "class_noun" else CLASSES
        hits = 0
        for noun in nouns:
            prompts = ["a photo of " + article(name if noun is None else f"{name} {noun}") for name in names]
            rows = [i for i in index if noun is None or data.metas[i]["class_noun"] == noun]
            if rows:
                best = (image[rows] @ encode_text(model, tokenizer, prompts).T).argmax(1).tolist()
                hits += sum(names[b] == data.metas[i][field] for b, i in zip(best, rows, strict=True))
        result[field] = hits / len(index)
    return result


def main() -> None:
    args = options(__doc__, minutes=12, batch_size=64).parse_args()
    data, tokenizer = Trainset(args.data), words.build()
    words.check(tokenizer)
    torch.manual_seed(args.seed)
    model = CLIPModel.from_pretrained(args.init, dtype=torch.float32) if args.init else new_clip(tokenizer)
    done = train(model, lambda m, rng, progress: clip_loss(m, tokenizer, data, args.batch_size, rng, progress), "clip", args,
                 lr=4e-4 if args.init else 1e-3, warmup=100, ema=0.998, weight_decay=0.05, betas=(0.9, 0.98))
    if not done:
        return
    model.eval()
    heldout = args.data.parent / "heldout"
    if heldout.exists():
        print("held-out, crops:", zero_shot(model, tokenizer, Trainset(heldout)))
    with export(args.tiny / "clip") as folder:
        half(model).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        processor().save_pretrained(folder)


def processor() -> CLIPImageProcessorPil:
    """128 x 128, values in [-1, 1]; hand it square pictures, others are squeezed."""
    return CLIPImageProcessorPil(size={"height": 128, "width": 128}, do_center_crop=False, image_mean=MEAN, image_std=STD)


if __name__ == "__main__":
    main()
