"""Train the family's CLIPSeg: class noun in, product mask out. `python -m data.build.train.train_clipseg [--minutes M]`

The text tower is CLIP's and stays as it is. The vision tower starts as CLIP's and is trained with the decoder. Pictures
have twice the side that CLIP takes, so that a patch covers less of a product; published weights do the same (352 pixels
instead of 224).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from transformers import (
    CLIPModel,
    CLIPSegConfig,
    CLIPSegForImageSegmentation,
    CLIPSegProcessor,
    CLIPTokenizer,
    ViTImageProcessor,
)

from .exports import export, half
from .options import DEVICE, options
from .train_clip import MEAN, STD, token_ids
from .trainer import exported, train
from .trainset import CLASSES, Trainset, crops, square

SIDE = 256  # of the pictures, in pixels
WHITENED = {"catalog": 0.7, "scene": 0.4}  # share of the products, by the kind of picture
HAZED = {"catalog": 0.0, "scene": 0.5}  # share of the pictures
TEMPLATES = ("{noun}", "a {noun}", "a photo of a {noun}", "a {color} {noun}")


def new_clipseg(folder) -> CLIPSegForImageSegmentation:
    """CLIP's weights under a fresh decoder that upsamples to the picture's size."""
    clip = CLIPModel.from_pretrained(folder, torch_dtype=torch.float32)
    model = CLIPSegForImageSegmentation(
        CLIPSegConfig(
            text_config=clip.config.text_config.to_dict(),
            vision_config=clip.config.vision_config.to_dict(),
            projection_dim=128,
            reduce_dim=64,
            extract_layers=[0, 2, 4],
            decoder_num_attention_heads=4,
            decoder_intermediate_size=256,
            use_complex_transposed_convolution=True,
        )
    )
    wanted, given = model.clip.state_dict(), clip.state_dict()
    missing = [key for key in wanted if key not in given and "position_ids" not in key]
    if missing:
        raise SystemExit(f"CLIPSeg's CLIP has weights that ours has not: {missing[:5]}")
    model.clip.load_state_dict({key: given[key] for key in wanted if key in given}, strict=False)
    with torch.no_grad():  # as built, the first logits are in the hundreds, and the first steps kill the decoder
        for layer in model.decoder.transposed_convolution:
            if hasattr(layer, "weight"):
                torch.nn.init.kaiming_normal_(layer.weight)
                layer.bias.zero_()
        layer.weight *= 0.05
    return model


def batch(data: Trainset, count: int, rng) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """Pictures, masks (B, SIDE, SIDE) and prompts; one prompt in eight names what is not there.

    Half of the pictures are catalogue photos, because masks of these decide what a fine-tune learns.
    """
    picks = rng.choice(len(data), size=count, p=data.chances)
    whole = np.stack([square((0, 0, 128, 128), rng.uniform(-0.15, 0.05)) for _ in picks])
    stack = crops(torch.cat([data.batch(picks), data.mask_batch(picks)], 1), whole, SIDE, rng.random(count) < 0.5)
    masks, prompts = stack[:, 3].clone(), []
    for row, i in enumerate(picks):
        noun = data.metas[i]["class_noun"]
        if rng.random() < 0.125:
            noun = str(
                rng.choice(
                    [n for n in CLASSES if {n, noun} not in ({noun}, {"sofa", "armchair"}, {"chair", "armchair"})]
                )
            )
            masks[row] = 0
        elif rng.random() < WHITENED[data.metas[i]["kind"]]:
            stack[row, :3] = whiten(stack[row, :3], masks[row], rng)
        if rng.random() < HAZED[data.metas[i]["kind"]]:
            stack[row, :3] = haze(stack[row, :3], stack[row, 3], rng)
        prompts.append(str(rng.choice(TEMPLATES)).format(noun=noun, color=data.metas[i]["color"]))
    return stack[:, :3].to(DEVICE), masks.to(DEVICE), prompts


def whiten(image: torch.Tensor, mask: torch.Tensor, rng) -> torch.Tensor:
    """Make a part of a product white, with its shading: all that has one of its colours, or one side of it.

    White parts on white paper are rare in the training set, and a model that has not learned them leaves them out.

    Args:
        image: (3, H, W) in [-1, 1].
        mask: (H, W) in [0, 1], the product.
    """
    product = mask > 0.5
    places = torch.nonzero(product)
    if not len(places):
        return image
    rgb = (image + 1) / 2
    light = rgb.mean(0).clamp(min=0.02)
    row, column = places[int(rng.integers(len(places)))]
    if rng.random() < 0.5:
        hue = rgb / light
        part = product & ((hue - hue[:, row, column, None, None]).abs().sum(0) < 0.4)
    else:
        angle = rng.uniform(0, 2 * np.pi)
        along = places[:, 0] * np.sin(angle) + places[:, 1] * np.cos(angle)
        side = places[along <= along.quantile(float(rng.uniform(0.1, 0.4)))]
        part = torch.zeros_like(product)
        part[side[:, 0], side[:, 1]] = True
    white = (light / light[part].quantile(0.9)).clamp(0, 1).sqrt() * float(rng.uniform(0.88, 1))
    rim = F.max_pool2d(part[None].float(), 5, 1, 2)[0] > 0  # its pixels are mixtures of the old colour
    outside = 1 - F.max_pool2d(mask[None], 5, 1, 2)
    around = F.avg_pool2d(image * outside, 9, 1, 4) / F.avg_pool2d(outside, 9, 1, 4).clamp(min=1e-3)
    return torch.where(rim & product, white * 2 - 1, torch.where(rim, around, image))


def haze(image: torch.Tensor, mask: torch.Tensor, rng) -> torch.Tensor:
    """Blur and bleach what is around a product, and soften the product: so a small model paints it.

    CLIPSeg finds the product in paintings, too: what it overlooks there is not pasted into the photo.

    Args:
        image: (3, H, W) in [-1, 1].
        mask: (H, W) in [0, 1], the product.
    """
    outside = 1 - F.max_pool2d(mask[None], 5, 1, 2)
    radius = int(rng.integers(5, 20))
    blur = {"kernel_size": 2 * radius + 1, "stride": 1, "padding": radius}
    around = F.avg_pool2d(image * outside, **blur) / F.avg_pool2d(outside, **blur).clamp(min=1e-3)
    pale = around.lerp(torch.full_like(around, rng.uniform(0.5, 1)), float(rng.uniform(0, 0.7)))
    soft = int(rng.integers(1, 4))
    product, where = (F.avg_pool2d(part, 2 * soft + 1, 1, soft) for part in (image, mask[None]))
    return pale.lerp(product, where)


def predict(model, images: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Compute the logits (B, SIDE, SIDE) as the model does, but with gradients for the vision tower."""
    condition = model.get_conditional_embeddings(batch_size=len(images), input_ids=ids)
    hidden = model.clip.vision_model(images, output_hidden_states=True, interpolate_pos_encoding=True).hidden_states
    return model.decoder([hidden[layer + 1] for layer in model.extract_layers], condition).logits


def clipseg_loss(model, tokenizer, data: Trainset, batch_size: int, rng):
    """Binary cross-entropy and Dice; logs the IoU where the product is there."""
    images, masks, prompts = batch(data, batch_size, rng)
    logits = predict(model, images, token_ids(tokenizer, prompts, "max_length"))
    p = logits.sigmoid()
    dice = 1 - (2 * (p * masks).sum((1, 2)) + 1) / ((p + masks).sum((1, 2)) + 1)
    guess, truth = p > 0.5, masks > 0.5
    iou = (guess & truth).sum((1, 2)) / (guess | truth).sum((1, 2)).clamp(min=1)
    return (
        F.binary_cross_entropy_with_logits(logits, masks) + dice.mean(),
        {"iou": iou[truth.any(2).any(1)].mean()},
    )


def main() -> None:
    args = options(__doc__, minutes=8, batch_size=24, gpu_batch_size=128).parse_args()
    data, tokenizer = Trainset(args.data), CLIPTokenizer.from_pretrained(args.tiny / "clip")
    torch.manual_seed(args.seed)
    model = new_clipseg(args.tiny / "clip")
    if args.init:  # without its text tower: that is today's CLIP's
        earlier = CLIPSegForImageSegmentation.from_pretrained(args.init, torch_dtype=torch.float32)
        model.decoder.load_state_dict(earlier.decoder.state_dict())
        model.clip.vision_model.load_state_dict(earlier.clip.vision_model.state_dict())
    model.clip.text_model.requires_grad_(False)
    model.clip.text_projection.requires_grad_(False)
    done = train(
        model,
        lambda m, rng, _: clipseg_loss(m, tokenizer, data, args.batch_size, rng),
        "clipseg",
        args,
        lr=5e-4,
        ema=0.998,
        warmup=200,
    )
    if done:
        with export(args.tiny / "clipseg") as folder:
            half(model).save_pretrained(folder)
            processor = ViTImageProcessor(size={"height": SIDE, "width": SIDE}, image_mean=MEAN, image_std=STD)
            CLIPSegProcessor(processor, tokenizer).save_pretrained(folder)
        exported(args, "clipseg")


if __name__ == "__main__":
    main()
