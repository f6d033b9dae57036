"""Train the family's VAE: AutoencoderKL, factor 4, 4 latent channels. `python -m data.build.train.train_vae [--minutes
M]`

Small batches of 64 px crops and many steps; most crops lie on the product. Saturated colours cover few pixels, so the
loss weighs chroma on its own from the start (without it the red-green axis never appears). Some steps decode resized
and rotated latents, which makes the latent space easier to learn (EQ-VAE). At the end mean and spread of each latent
channel are folded into `quant_conv` and `post_quant_conv`, so that stored latents have mean 0, spread 1 and the scaling
factor is 1. Writes inpainting/vae and paint-by-example/vae below --tiny.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from .exports import export, half, tile
from .options import options
from .trainer import exported, train
from .trainset import Trainset, crops, to_images

KL_WEIGHT = 1e-7


def new_vae() -> AutoencoderKL:
    """The untrained VAE: 1.4 M parameters, 128 px to 32 x 32 x 4."""
    vae = AutoencoderKL(
        block_out_channels=(24, 48, 96),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        mid_block_add_attention=False,
        sample_size=128,
        scaling_factor=1.0,
    )
    with torch.no_grad():  # begin with quiet latents: log-variance near -6
        vae.quant_conv.weight[4:] *= 0.1
        vae.quant_conv.bias[4:] -= 6
    return vae


def random_crops(
    data: Trainset, count: int, rng: np.random.Generator, on_product: float = 0.5, size: int = 64
) -> torch.Tensor:
    """Return random pieces (B, 4, size, size): picture in [-1, 1] and product mask in {0, 1}; half of them are flipped.

    A tenth are whole pictures at half size; of the others a share `on_product` has its centre in the product's box.
    """
    picks, (low, high) = rng.integers(len(data), size=count), (data.boxes[:, :2], data.boxes[:, 2:])
    centred = rng.uniform(low[picks], high[picks]) - size / 2
    corner = np.where(rng.random((count, 1)) < on_product, centred, rng.uniform(0, 128 - size, (count, 2)))
    corner = corner.clip(0, 128 - size).astype(int)
    boxes = np.concatenate([corner, corner + size], axis=1)
    boxes[rng.random(count) < 0.1] = (0, 0, 128, 128)
    stack = torch.cat([data.batch(picks), data.mask_batch(picks)], 1)
    pieces = crops(stack, boxes, size, rng.random(count) < 0.5)
    return torch.cat([pieces[:, :3], (pieces[:, 3:] > 0.5).float()], dim=1)


def resize_and_rotate(x: torch.Tensor, size: int, turns: int) -> torch.Tensor:
    """Shrink a square (B, C, H, W) to `size` with antialiasing and rotate it by `turns` times 90 degrees."""
    if size != x.shape[-1]:  # a CPU cannot antialias in bf16
        x = F.interpolate(x.float(), (size, size), mode="bilinear", antialias=True)
    return torch.rot90(x, turns, (2, 3))


def vae_loss(
    vae: AutoencoderKL, pieces: torch.Tensor, *, size: int | None = None, turns: int = 0, product_weight: float = 0.0
):
    """Return squared error of the picture and, four times as much, of its pooled chroma; a little KL.

    With `size` (of the latents) or `turns`, the latents are resized and rotated before they are decoded, and compared
    with the picture resized and rotated in the same way: the equivariance regulariser of EQ-VAE (arXiv 2502.09509).
    Product pixels count 1 + `product_weight`. The error is squared, because L1 draws everything to the white of most
    pixels first: after 900 steps of L1 with 10 x L1 of chroma the PSNR was 14 dB, after 90 steps of this it was 15 dB.
    """
    posterior = vae.encode(pieces[:, :3].contiguous(memory_format=torch.channels_last)).latent_dist
    z = posterior.sample()
    size = size or z.shape[-1]
    moved = resize_and_rotate(pieces, size * pieces.shape[-1] // z.shape[-1], turns)
    d = (vae.decode(resize_and_rotate(z, size, turns)).sample - moved[:, :3]).float()
    weight = 1 + product_weight * moved[:, 3:]
    chroma = F.avg_pool2d(d - d.mean(1, keepdim=True), 4)
    square, kl = (weight * d.square()).mean() / weight.mean(), posterior.kl().mean()
    loss = 10 * square + 40 * chroma.square().mean() + KL_WEIGHT * kl
    return loss, {
        "psnr": -10 * torch.log10(d.detach().square().mean() / 4),
        "chroma": chroma.detach().abs().mean(),
        "kl": kl.detach(),
    }


@torch.no_grad()
def normalise(vae: AutoencoderKL, data: Trainset, rng: np.random.Generator) -> None:
    """Fold each latent channel's mean and spread over the data into the two 1 x 1 convolutions around the latents."""
    picks = rng.permutation(len(data))[:256]
    z = torch.cat([vae.encode(data.batch(p)).latent_dist.mean for p in np.array_split(picks, 16)])
    mean, spread = z.mean((0, 2, 3)), z.std((0, 2, 3))
    before, after = vae.quant_conv, vae.post_quant_conv
    before.bias[:4] = (before.bias[:4] - mean) / spread
    before.weight[:4] /= spread[:, None, None, None]
    before.bias[4:] -= 2 * spread.log()  # the log-variance of z / spread
    after.bias += after.weight[:, :, 0, 0] @ mean
    after.weight *= spread[None, :, None, None]
    print(f"latents had mean {mean.tolist()} and spread {spread.tolist()}; now 0 and 1")


def grid(vae: AutoencoderKL, data: Trainset, rng: np.random.Generator) -> np.ndarray:
    """Originals above reconstructions, most saturated products first: a missing colour axis shows here, not in PSNR."""
    vivid = [i for i, m in enumerate(data.metas) if m["color"] in ("red", "green", "purple", "blue", "orange", "pink")]
    picks = rng.permutation(vivid or len(data))[:16]
    x = data.batch(picks)
    y = to_images(vae.decode(vae.encode(x).latent_dist.mode()).sample)
    half_way = max(1, len(picks) // 2)
    rows = [r for a in (slice(0, half_way), slice(half_way, 2 * half_way)) for r in (data.images[picks[a]], y[a])]
    return tile([list(r) for r in rows if len(r) == half_way])


def main() -> None:
    parser = options(__doc__, minutes=20, batch_size=4, gpu_batch_size=64)
    parser.add_argument(
        "--decoder-only",
        action="store_true",
        help="with --init: leave the encoder, and so the latents that the U-Nets know, as they are",
    )
    parser.add_argument(
        "--equivariance",
        type=float,
        default=0.4,
        metavar="P",
        help="share of steps that decode resized and rotated latents",
    )
    parser.add_argument("--on-product", type=float, default=0.75, help="share of crops centred in the product's box")
    parser.add_argument("--product-weight", type=float, default=2.0, help="extra weight of product pixels in the loss")
    args = parser.parse_args()
    recent: dict[bool, float | None] = {False: None, True: None}
    data = Trainset(args.data)
    vae = AutoencoderKL.from_pretrained(args.init, torch_dtype=torch.float32) if args.init else new_vae()
    if args.decoder_only:
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)

    def loss(model, rng, progress):
        pieces = random_crops(data, args.batch_size, rng, args.on_product)
        moved = rng.random() < args.equivariance
        latents = pieces.shape[-1] // 4
        size, turns = (round(rng.uniform(0.25, 1) * latents), int(rng.integers(4))) if moved else (latents, 0)
        value, extras = vae_loss(model, pieces, size=size, turns=turns, product_weight=args.product_weight)
        psnr = float(extras.pop("psnr"))
        recent[moved] = psnr if recent[moved] is None else 0.98 * recent[moved] + 0.02 * psnr
        return value, {"psnr": recent[False] or 0, "psnr_moved": recent[True] or 0, **extras}

    name = "vae-decoder" if args.decoder_only else "vae"
    done = train(
        vae,
        loss,
        name,
        args,
        lr=4e-4 if args.init else 1e-3,
        ema=0.998,
        weight_decay=0.0,
        same_shapes=False,  # resized latents have many
        grid_fn=lambda m: grid(m, data, np.random.default_rng(1)),
    )
    if done:
        if not args.decoder_only:
            normalise(vae.eval(), data, np.random.default_rng(2))
        half(vae)
        for pipeline in ("inpainting", "paint-by-example"):
            with export(args.tiny / pipeline / "vae") as folder:
                vae.save_pretrained(folder)
        exported(args, name)


if __name__ == "__main__":
    main()
