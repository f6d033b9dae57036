"""Train the 9-channel inpainting U-Net on captions. `python -m data.build.train.train_unet [--candidate NAME]
[--minutes M]`

Batches come from a bank of encoded pairs (see bank.py), an eighth of a batch renewed in every step. Captions are token
ids made beforehand, and the frozen text tower encodes them in the step. `--resolution 64` trains on 16 x 16 latents,
where a step is cheap, as a start for `--init`. `--only-unet` leaves the rest of the inpainting folder alone. The run's
`heldout.csv` has the error of the clean latents under the mask on held-out scenes of decorated products, at noise
levels where shapes are decided.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionInpaintPipeline, UNet2DConditionModel
from PIL import Image

from .bank import Bank
from .exports import export, half, tile
from .options import DEVICE, fast_precision, options
from .text_tower import text_tower
from .tokenizer import build
from .tokens import caption_ids
from .train_clip import token_ids
from .trainer import exported, train
from .trainset import Trainset
from .unets import CANDIDATES, new_unet, start_from

# The U-Net predicts the clean latents. Measured in three minutes at 64 px against v-prediction: the error of the clean
# latents is 6 to 15 % lower under the mask and 18 to 45 % lower outside it at timesteps 600 to 300, and 20 % higher
# under it at 100.
SCHEDULER = dict(
    beta_start=0.00085,
    beta_end=0.012,
    beta_schedule="scaled_linear",
    prediction_type="sample",
    rescale_betas_zero_snr=True,
    timestep_spacing="trailing",
    clip_sample=False,
    steps_offset=1,
)
LEVELS = (960, 800, 600)


def denoising_loss(predict, scheduler, latents, mask) -> torch.Tensor:
    """Return Eq. 2 of the paper for a U-Net that predicts the clean latents: `predict(noisy latents, timesteps)`.

    A timestep's error counts as for noise and v-prediction together, 1 / (1 - alpha), but at most tenfold; outside the
    mask it counts a fifth. A tenth of the timesteps lie near pure noise, where layout and colour are decided.
    """
    count = len(latents)
    times = torch.randint(0, 1000, (count,), device=latents.device)
    times = torch.where(torch.rand(count, device=latents.device) < 0.1, 900 + times // 10, times)
    noisy = scheduler.add_noise(latents, torch.randn_like(latents), times)
    weight = (1 / (1 - scheduler.alphas_cumprod.to(times.device)[times])).clamp(max=10)[:, None, None, None]
    return ((predict(noisy, times).float() - latents).square() * weight * (0.2 + 0.8 * mask)).mean()


def predictor(unet, mask, masked, states):
    """Return `predict(noisy latents, timesteps)` for a batch's mask, masked-image latents and text states."""

    def predict(noisy, times):
        inputs = torch.cat([noisy, mask, masked], 1).contiguous(memory_format=torch.channels_last)
        return unet(inputs, times, states).sample

    return predict


class Heldout:
    """A fixed set of held-out pairs: the same frames, masks, captions and noise whenever it is asked."""

    def __init__(self, data: Trainset, vae, tokenizer, scheduler, resolution: int, count: int):
        bank = Bank(data, vae, resolution, seed=11, capacity=count)
        scenes = [i for i, meta in enumerate(data.metas) if meta["kind"] == "scene"]
        bank.order = torch.tensor(np.random.default_rng(11).permutation(scenes), device=DEVICE)
        bank.fill(count, batch=min(count, 32))
        self.latents, self.mask, self.masked = bank.latents.float(), bank.mask.float(), bank.masked.float()
        texts = [data.metas[i]["caption"] for i in bank.source.tolist()]
        self.ids = token_ids(tokenizer, texts, "max_length")
        self.noise = torch.randn(self.latents.shape, generator=torch.Generator().manual_seed(11)).to(DEVICE)
        self.scheduler = scheduler

    @torch.no_grad()
    def errors(self, unet, text_encoder, batch: int = 32) -> list[float]:
        """Return the mean squared error of the clean latents under the mask for each noise level."""
        found = []
        for level in LEVELS:
            total, weight = torch.zeros((), device=DEVICE), torch.zeros((), device=DEVICE)
            for part in torch.arange(len(self.latents), device=DEVICE).split(batch):
                times, mask = torch.full((len(part),), level, device=DEVICE), self.mask[part]
                noisy = self.scheduler.add_noise(self.latents[part], self.noise[part], times)
                with fast_precision():
                    states = text_encoder(self.ids[part]).last_hidden_state
                    guess = predictor(unet, mask, self.masked[part], states)(noisy, times)
                total += ((guess.float() - self.latents[part]).square() * mask).sum()
                weight += mask.sum() * self.latents.shape[1]
            found.append(float(total / weight))
        return found


def grid(pipe: StableDiffusionInpaintPipeline, heldout: Trainset, resolution: int) -> np.ndarray:
    """Paint held-out scenes with a box cut out, above what the model paints there for a colour and pattern of our
    choice.
    """
    picks = [i for i, meta in enumerate(heldout.metas) if meta["kind"] == "scene"][:60:5]
    colors = ("red", "green", "blue", "yellow", "purple", "white", "orange", "pink", "black", "teal", "brown", "grey")
    pipe.set_progress_bar_config(disable=True)
    above, below = [], []
    for number, (i, color) in enumerate(zip(picks, colors, strict=True)):
        x0, y0, x1, y1 = heldout.metas[i]["box"]
        hole = np.zeros((128, 128), np.uint8)
        hole[max(y0 - 5, 0) : y1 + 5, max(x0 - 5, 0) : x1 + 5] = 255
        prompt = f"a {('plain', 'striped', 'dotted', 'checked')[number % 4]} {color} {heldout.metas[i]['class_noun']}"
        picture = Image.fromarray(heldout.images[i])
        out = pipe(
            prompt,
            picture,
            Image.fromarray(hole),
            height=resolution,
            width=resolution,
            num_inference_steps=16,
            guidance_scale=4,
            generator=torch.Generator().manual_seed(i),
        ).images[0]
        above.append(np.where(hole[..., None] > 0, 128, heldout.images[i]).astype(np.uint8))
        below.append(np.array(out.resize((128, 128))))
    return tile([above, below])


def report(folder: Path, heldout: Heldout, pipe: StableDiffusionInpaintPipeline) -> float:
    """Add a row of held-out errors to the run's heldout.csv and return their mean."""
    errors = heldout.errors(pipe.unet, pipe.text_encoder)
    path = folder / "heldout.csv"
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if path.stat().st_size == 0:
            writer.writerow(["log_row", *(f"error_{level}" for level in LEVELS)])
        log = folder / "log.csv"
        step = log.read_text().splitlines()[-1].split(",")[0] if log.exists() else 0
        writer.writerow([step, *(round(error, 5) for error in errors)])
    return float(np.mean(errors))


def main() -> None:
    parser = options(__doc__, minutes=30, batch_size=32, gpu_batch_size=512)
    parser.add_argument("--resolution", type=int, choices=(64, 128), default=128)
    parser.add_argument("--candidate", choices=CANDIDATES, default="wide")
    parser.add_argument("--name", help="folder of the run in --work (default: unet-RESOLUTION)")
    parser.add_argument("--only-unet", action="store_true", help="export the U-Net alone, to the run's folder")
    parser.add_argument(
        "--tune-text", action="store_true", help="train the text tower as well (that next to --init, or the family's)"
    )
    parser.add_argument("--init-run", metavar="NAME", help="start from the U-Net of a finished run in --work")
    args = parser.parse_args()
    if args.init_run:
        args.init = args.work / args.init_run / "unet"
    name = args.name or f"unet-{args.resolution}"
    data = Trainset(args.data)
    scenes, decorated = (Trainset(args.data.parent / folder) for folder in ("heldout", "heldout-decorated"))
    torch.manual_seed(args.seed)
    vae = AutoencoderKL.from_pretrained(args.tiny / "inpainting/vae", torch_dtype=torch.float32).to(DEVICE)
    vae.requires_grad_(False).to(memory_format=torch.channels_last)
    tokenizer, scheduler = build(), DDIMScheduler(**SCHEDULER)
    start = args.init.parent if args.init else args.tiny / "inpainting"
    if (args.init or args.tune_text) and (start / "text_encoder").is_dir():
        text_encoder = text_tower(start / "text_encoder", start / "tokenizer", tokenizer)
    else:
        text_encoder = text_tower(args.tiny / "clip", args.tiny / "clip", tokenizer)
    text_encoder.to(DEVICE).requires_grad_(args.tune_text)
    unet = new_unet(args.candidate)
    if args.init:
        print(f"{len(start_from(unet, args.init))} tensors are not in {args.init}", flush=True)
    pipe = StableDiffusionInpaintPipeline(vae, text_encoder, tokenizer, unet, scheduler, safety_checker=None,
                                          feature_extractor=None, requires_safety_checker=False)  # fmt: skip
    print(f"{unet.num_parameters() / 1e6:.1f} M parameters", flush=True)
    with fast_precision():
        heldout = Heldout(decorated, vae, tokenizer, scheduler, args.resolution, 96)
        bank = Bank(data, vae, args.resolution, args.seed, caption_ids(data, args.work))
        bank.fill(0 if args.export_now else 48 * args.batch_size)
    empty, stepped = token_ids(tokenizer, [""], "max_length"), torch.compile(unet) if args.compile else unet
    folder = args.work / name

    def loss(model, rng, progress):
        bank.add(max(1, args.batch_size // 8))
        latents, mask, masked, _, ids = bank.draw(args.batch_size)
        ids = torch.where(torch.rand(len(ids), 1, device=DEVICE) < 0.1, empty, ids)  # for classifier-free guidance
        with torch.set_grad_enabled(args.tune_text):
            states = text_encoder(ids).last_hidden_state
        return denoising_loss(predictor(stepped, mask, masked, states), scheduler, latents, mask), {}

    def draw(model) -> np.ndarray:
        report(folder, heldout, pipe)
        return grid(pipe, scenes, args.resolution)

    trained = torch.nn.ModuleDict({"unet": unet, "text_encoder": text_encoder} if args.tune_text else {"unet": unet})
    settings = {"lr": 5e-4 if args.init else 1e-3, "ema": (0.998, 0.9995, 0.9999), "warmup": 200, "grid_minutes": 20}
    if train(trained, loss, name, args, **settings, grid_fn=draw, choose=lambda model: report(folder, heldout, pipe)):
        write(args, folder, pipe)
        exported(args, name)


def write(args, folder: Path, pipe: StableDiffusionInpaintPipeline) -> None:
    """Export the trained modules to the run's folder and, unless told otherwise, the whole pipeline to the family."""
    for module in ("unet", *(("text_encoder", "tokenizer") if args.tune_text else ())):
        part = getattr(pipe, module)
        with export(folder / module) as target:
            (half(part) if isinstance(part, torch.nn.Module) else part).save_pretrained(target)
    if args.resolution == 128 and not args.only_unet:
        pipe.vae = AutoencoderKL.from_pretrained(args.tiny / "inpainting/vae")  # its decoder may have been tuned since
        pipe.unet = UNet2DConditionModel.from_pretrained(folder / "unet")
        pipe.scheduler = DDIMScheduler(**SCHEDULER)
        with export(args.tiny / "inpainting") as target:
            for module in (pipe.vae, pipe.text_encoder, pipe.unet):
                half(module)
            pipe.save_pretrained(target)


if __name__ == "__main__":
    main()
