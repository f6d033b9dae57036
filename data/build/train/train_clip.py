"""Train the family's CLIP, contrastive on pictures and captions. `python -m data.build.train.train_clip [--minutes M]`

A caption that names only some attributes fits every picture that has them: those are all positives. Pictures are crops
around the product more often than whole ones, so that the embedding of a mask's box (the CLIP score) means something;
now and then the background is painted over, so that the product is what counts. Next to the contrastive loss, the
zero-shot read-out of class, colour and pattern is trained for itself: on few pictures it learns much faster.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from .caption_batches import CaptionBatches
from .exports import export, half
from .options import DEVICE, options
from .text_tower import text_tower
from .tokenizer import LENGTH, build
from .trainer import exported, train
from .trainset import CLASSES, COLORS, PATTERNS, Trainset, article, crops, square

MEAN = STD = [0.5, 0.5, 0.5]


def new_clip(tokenizer) -> CLIPModel:
    """The untrained CLIP: text tower 128 x 4 layers and 48 positions, vision tower 192 x 5 layers on 8 x 8 patches."""
    text = dict(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=LENGTH,
        projection_dim=128,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = dict(
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=5,
        num_attention_heads=6,
        image_size=128,
        patch_size=16,
        projection_dim=128,
    )
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=128))


def token_ids(tokenizer, texts: list[str], pad: str = "longest") -> torch.Tensor:
    """Token ids (B, length), padded to the longest text or, with `pad="max_length"`, to the longest that the model
    takes.
    """
    return tokenizer(texts, padding=pad, truncation=True, return_tensors="pt").input_ids.to(DEVICE)


def views(data: Trainset, picks: torch.Tensor, flip: torch.Tensor, rng) -> torch.Tensor:
    """Return augmented pictures (B, 3, 128, 128) in [-1, 1]: crops or whole, some with the background painted over."""
    count = len(picks)
    stack = torch.cat([data.batch(picks), data.mask_batch(picks)], 1)
    boxes = np.stack(
        [
            square(box, rng.uniform(-0.1, 0.6))
            if rng.random() < 0.7
            else square((0, 0, 128, 128), rng.uniform(-0.1, 0))
            for box in data.boxes[picks.cpu()]
        ]
    )
    stack = crops(stack, boxes, 128, flip)
    images, masks = stack[:, :3], stack[:, 3:]
    paint = torch.rand(count, 3, 1, 1, device=DEVICE) * 2 - 1
    painted = torch.rand(count, 1, 1, 1, device=DEVICE) < 0.3
    return torch.where(painted, images * masks + paint * (1 - masks), images)


def anchor_prompts() -> list[str]:
    """Return the prompts of the zero-shot read-out: nouns, then each noun in all colours, then in all patterns."""
    prompts = [article(noun) for noun in CLASSES]
    prompts += [article(f"{color} {noun}") for noun in CLASSES for color in COLORS]
    return prompts + [article(f"{pattern} {noun}") for noun in CLASSES for pattern in PATTERNS]


def anchored_loss(model: CLIPModel, prompts: torch.Tensor, images: torch.Tensor, batch: dict[str, torch.Tensor]):
    """Return the zero-shot read-out as a loss: class among all nouns, colour and pattern before the true noun.

    `prompts` are the token ids of `anchor_prompts`.
    """
    text = F.normalize(model.get_text_features(input_ids=prompts).pooler_output, dim=-1)
    logits = model.logit_scale.exp() * images @ text.T
    nouns, rows = batch["class"], torch.arange(len(images), device=images.device)
    classes, colors, patterns = logits.split(
        [len(CLASSES), len(CLASSES) * len(COLORS), len(CLASSES) * len(PATTERNS)], 1
    )
    wanted = {
        "class": (classes, F.one_hot(nouns, len(CLASSES)).float()),
        "color": (colors.view(len(images), len(CLASSES), -1)[rows, nouns], batch["color"]),
        "pattern": (
            patterns.view(len(images), len(CLASSES), -1)[rows, nouns],
            F.one_hot(batch["pattern"], len(PATTERNS)).float(),
        ),
    }
    loss = sum(F.cross_entropy(score, share) for score, share in wanted.values())
    return loss, {name: (share[rows, score.argmax(1)] > 0).float().mean() for name, (score, share) in wanted.items()}


def clip_loss(model: CLIPModel, prompts: torch.Tensor, data: Trainset, batch: dict[str, torch.Tensor], rng):
    """Return InfoNCE with all fitting pairs as positives, plus the anchored loss."""
    pictures = views(data, batch["picks"], batch["flip"], rng)
    images = F.normalize(model.get_image_features(pixel_values=pictures).pooler_output, dim=-1)
    words = F.normalize(model.get_text_features(input_ids=batch["ids"]).pooler_output, dim=-1)
    logits, right = model.logit_scale.exp() * images @ words.T, batch["right"]
    per_image = -(logits.log_softmax(1) * right).sum(1) / right.sum(1)
    per_text = -(logits.log_softmax(0) * right).sum(0) / right.sum(0)
    anchored, figures = anchored_loss(model, prompts, images, batch)
    return (per_image.mean() + per_text.mean()) / 2 + anchored, figures


def start(folder: Path, tokenizer) -> CLIPModel:
    """Return the CLIP in `folder`, its text tower made to read what `tokenizer` writes."""
    model, earlier = new_clip(tokenizer), CLIPModel.from_pretrained(folder, torch_dtype=torch.float32)
    earlier.text_model = text_tower(folder, folder, tokenizer)
    model.load_state_dict(earlier.state_dict())
    return model


def main() -> None:
    parser = options(__doc__, minutes=10, batch_size=32, gpu_batch_size=256)
    parser.add_argument(
        "--vision-only",
        action="store_true",
        help="with --init: leave the text tower, and so the captions that the U-Nets know, as it is; "
        "only its projection into the common space is trained along",
    )
    args = parser.parse_args()
    data, tokenizer = Trainset(args.data), build()
    torch.manual_seed(args.seed)
    model = start(args.init, tokenizer) if args.init else new_clip(tokenizer)
    if args.vision_only:
        model.text_model.requires_grad_(False)
    name = "clip-vision" if args.vision_only else "clip"
    prompts = token_ids(tokenizer, anchor_prompts())
    done = train(
        model,
        lambda m, rng, _, batch: clip_loss(m, prompts, data, batch, rng),
        name,
        args,
        batches=CaptionBatches(data.metas, args.batch_size, args.seed).after,
        lr=4e-4 if args.init else 6e-4,
        ema=0.998,
        weight_decay=0.05,
    )
    if done:
        with export(args.tiny / "clip") as folder:
            half(model).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            CLIPImageProcessor(
                size={"shortest_edge": 128}, crop_size=128, image_mean=MEAN, image_std=STD
            ).save_pretrained(folder)
        exported(args, name)


if __name__ == "__main__":
    main()
