"""Train the family's VAE: AutoencoderKL, factor 4, 4 latent channels. `python data/build/train_vae.py [--minutes M]`

Small batches of 64 px crops and many steps; half the crops lie on the product. Saturated colours cover few pixels, so the
loss weighs chroma on its own from the start (without it the red-green axis never appears). At the end mean and spread of
each latent channel are folded into `quant_conv` and `post_quant_conv`, so that stored latents have mean 0, spread 1 and
the scaling factor is 1. Writes data/tiny/inpainting/vae and data/tiny/paint-by-example/vae.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from trainer import DEVICE, export, half, options, tile, train
from trainset import Trainset, to_images

KL_WEIGHT = 1e-7


def new_vae() -> AutoencoderKL:
    """The untrained VAE: 1.4 M parameters, 128 px to 32 x 32 x 4."""
    vae = AutoencoderKL(
        block_out_channels=(24, 48, 96), down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3, layers_per_block=1, latent_channels=4, norm_num_groups=8,
        mid_block_add_attention=False, sample_size=128, scaling_factor=1.0)
    with torch.no_grad():                                       # begin with quiet latents: log-variance near -6
        vae.quant_conv.weight[4:] *= 0.1
        vae.quant_conv.bias[4:] -= 6
    return vae


def random_crops(data: Trainset, count: int, rng: np.random.Generator, size: int = 64) -> torch.Tensor:
    """(B, 3, size, size) pieces of pictures: half on the product, a tenth whole pictures at half size; flipped at random."""
    pieces = []
    for i in rng.integers(len(data), size=count):
        image = data.images[i]
        if rng.random() < 0.1:
            piece = image.reshape(size, 2, size, 2, 3).mean((1, 3)).astype(np.uint8)
        else:
            if rng.random() < 0.5:
                x0, y0, x1, y1 = data.boxes[i]
                x, y = rng.uniform(x0, x1) - size / 2, rng.uniform(y0, y1) - size / 2
            else:
                x, y = rng.uniform(0, 128 - size, 2)
            x, y = (int(np.clip(v, 0, 128 - size)) for v in (x, y))
            piece = image[y:y + size, x:x + size]
        pieces.append(piece[:, ::-1] if rng.random() < 0.5 else piece)
    return torch.from_numpy(np.stack(pieces)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def vae_loss(vae: AutoencoderKL, x: torch.Tensor):
    """Squared error of the picture and, four times as much, of its pooled chroma; a little KL.

    Squared, because L1 draws everything to the white of most pixels first: after 900 steps of L1 with 10 x L1 of chroma
    the PSNR was 14 dB, after 90 steps of this it was 15 dB. Nor does it help at the end: it costs PSNR.
    """
    posterior = vae.encode(x).latent_dist
    d = (vae.decode(posterior.sample()).sample - x).float()
    chroma = F.avg_pool2d(d - d.mean(1, keepdim=True), 4)
    square, kl = d.square().mean(), posterior.kl().mean()
    loss = 10 * square + 40 * chroma.square().mean() + KL_WEIGHT * kl
    return loss, {"psnr": -10 * torch.log10(square.detach() / 4), "chroma": chroma.detach().abs().mean(), "kl": kl.detach()}


@torch.no_grad()
def normalise(vae: AutoencoderKL, data: Trainset, rng: np.random.Generator) -> None:
    """Fold each latent channel's mean and spread over the data into the two 1 x 1 convolutions around the latents."""
    picks = rng.permutation(len(data))[:256]
    z = torch.cat([vae.encode(data.batch(p).to(DEVICE)).latent_dist.mean for p in np.array_split(picks, 16)])
    mean, spread = z.mean((0, 2, 3)), z.std((0, 2, 3))
    before, after = vae.quant_conv, vae.post_quant_conv
    before.bias[:4] = (before.bias[:4] - mean) / spread
    before.weight[:4] /= spread[:, None, None, None]
    before.bias[4:] -= 2 * spread.log()                                          # the log-variance of z / spread
    after.bias += after.weight[:, :, 0, 0] @ mean
    after.weight *= spread[None, :, None, None]
    print(f"latents had mean {mean.tolist()} and spread {spread.tolist()}; now 0 and 1")


def grid(vae: AutoencoderKL, data: Trainset, rng: np.random.Generator) -> np.ndarray:
    """Originals above reconstructions, most saturated products first: a missing colour axis shows here, not in PSNR."""
    vivid = [i for i, m in enumerate(data.metas) if m["color"] in ("red", "green", "purple", "blue", "orange", "pink")]
    picks = rng.permutation(vivid or len(data))[:16]
    x = data.batch(picks)
    y = to_images(vae.decode(vae.encode(x.to(DEVICE)).latent_dist.mode()).sample)
    half_way = max(1, len(picks) // 2)
    rows = [r for a in (slice(0, half_way), slice(half_way, 2 * half_way)) for r in (data.images[picks[a]], y[a])]
    return tile([list(r) for r in rows if len(r) == half_way])


def main() -> None:
    parser = options(__doc__, minutes=20, batch_size=4)
    parser.add_argument("--decoder-only", action="store_true",
                        help="with --init: leave the encoder, and so the latents that the U-Nets know, as they are")
    args = parser.parse_args()
    data = Trainset(args.data)
    vae = AutoencoderKL.from_pretrained(args.init, torch_dtype=torch.float32) if args.init else new_vae()
    if args.decoder_only:
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)

    def loss(model, rng, progress):
        crops = random_crops(data, args.batch_size, rng).to(DEVICE).contiguous(memory_format=torch.channels_last)
        return vae_loss(model, crops)

    done = train(vae, loss, "vae-decoder" if args.decoder_only else "vae", args, lr=4e-4 if args.init else 1e-3, ema=0.998,
                 weight_decay=0.0, grid_fn=lambda m: grid(m, data, np.random.default_rng(1)))
    if done:
        if not args.decoder_only:
            normalise(vae.eval(), data, np.random.default_rng(2))
        half(vae)
        for pipeline in ("inpainting", "paint-by-example"):
            with export(args.tiny / pipeline / "vae") as folder:
                vae.save_pretrained(folder)


if __name__ == "__main__":
    main()
