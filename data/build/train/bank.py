"""Training pairs of the inpainting models, cut, masked and encoded on the device: image latents, mask, masked-image
latents.

A pair is cut as it will be when a product is painted: the product's box takes 45 to 85 % of the square, and most masks
lie around the whole product. All of it is arithmetic on batches of tensors, so that a GPU does not wait for Python.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .captions import SIZES
from .options import DEVICE
from .parallel import RANK
from .trainset import Trainset, crops

SHARE, ZOOM = (0.45, 0.85), 1.4  # more zoom than this would train on blurred pictures


def frames(boxes: torch.Tensor, on_white: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return random squares (B, 4) in which the boxes take SHARE of the side; they leave a picture only over white
    paper.
    """
    uniform = torch.rand(3, len(boxes), device=boxes.device, generator=generator)
    share = (boxes[:, 2:] - boxes[:, :2]).amax(1) / 128
    zoom = (SHARE[0] + (SHARE[1] - SHARE[0]) * uniform[0]) / share
    side = 128 / zoom.clamp(max=ZOOM).maximum(torch.where(on_white, 0.5, 1.0))
    low = (boxes[:, 2:] - side[:, None]).maximum(torch.where(on_white, -128.0, 0.0)[:, None])
    high = boxes[:, :2].minimum(torch.where(on_white, 128.0, 128 - side)[:, None])
    corner = low + (high - low) * uniform[1:].T
    return torch.cat([corner, corner + side[:, None]], 1)


def masks(shapes: torch.Tensor, boxes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return masks (B, 1, S, S) in {0, 1} for product shapes (B, 1, S, S) and their boxes in pixels.

    Rectangle around the product 40 %, ellipse around it 20 %, its grown shape 22 %, everything 8 %, anywhere 10 %.
    """
    count, size = len(shapes), shapes.shape[-1]
    kind, turn, amount = torch.rand(3, count, device=shapes.device, generator=generator)
    free = torch.rand(count, 2, 2, device=shapes.device, generator=generator).mul(size).sort(1).values.flatten(1)
    anywhere = kind >= 0.9
    start = torch.where(anywhere[:, None], free, boxes)
    extent = (start[:, 2:] - start[:, :2]).clamp(min=size / 32)
    grow = torch.rand(count, 4, device=shapes.device, generator=generator) * 0.28 + 0.02
    low, high = start[:, :2] - grow[:, :2] * extent, start[:, 2:] + grow[:, 2:] * extent
    y, x = torch.meshgrid(*[torch.arange(size, device=shapes.device) + 0.5] * 2, indexing="ij")
    place = torch.stack([x, y], -1)[None]  # (1, S, S, 2)
    low, high = low[:, None, None], high[:, None, None]
    rectangle = ((place > low) & (place < high)).all(-1)
    ellipse = (((place - (low + high) / 2) / ((high - low) * (0.55 + 0.15 * amount)[:, None, None, None])) ** 2).sum(
        -1
    ) < 1
    grown = [F.max_pool2d(shapes, 2 * r + 1, 1, r)[:, 0] > 0.5 for r in (size // 64, size // 26, size // 13)]
    which = (amount * len(grown)).long()[:, None, None]
    shape = torch.stack(grown, 1).gather(1, which[:, None].expand(-1, 1, size, size))[:, 0]
    kind, turn = kind[:, None, None], turn[:, None, None]
    around = torch.where(kind < 0.4, rectangle, torch.where(kind < 0.6, ellipse, torch.where(kind < 0.82, shape, True)))
    mask = torch.where(kind >= 0.9, torch.where(turn < 0.5, rectangle, ellipse), around)
    return mask[:, None].float()


class Bank:
    """The encoded pairs, the oldest replaced by fresh ones; with `captions` (see tokens.py) each pair has its token
    ids.
    """

    def __init__(
        self,
        data: Trainset,
        vae,
        resolution: int,
        seed: int,
        captions: torch.Tensor | None = None,
        capacity: int = 65536,
    ):
        self.data, self.vae, self.resolution, self.capacity = data, vae, resolution, capacity
        self.captions = None if captions is None else captions.to(DEVICE)
        self.generator = torch.Generator(DEVICE).manual_seed(1_000_003 * seed + RANK)
        self.order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed + RANK)).to(DEVICE)
        self.boxes = torch.from_numpy(data.boxes).to(DEVICE)
        self.on_white = torch.tensor([meta["kind"] == "catalog" for meta in data.metas], device=DEVICE)
        self.next, side = 0, resolution // 4
        self.latents, self.masked = (
            torch.zeros(capacity, 4, side, side, dtype=torch.float16, device=DEVICE) for _ in range(2)
        )
        self.mask = torch.zeros(capacity, 1, side, side, dtype=torch.bool, device=DEVICE)
        self.source, self.size = (torch.zeros(capacity, dtype=torch.long, device=DEVICE) for _ in range(2))
        self.flip = torch.zeros(capacity, dtype=torch.long, device=DEVICE)

    def cut(self, picks: torch.Tensor, flip: torch.Tensor):
        """Return pictures (B, 3, S, S), product shapes (B, 1, S, S) and boxes in pixels, in random frames."""
        boxes = self.boxes[picks]
        square = frames(boxes, self.on_white[picks], self.generator)
        stack = torch.cat([self.data.batch(picks), self.data.mask_batch(picks)], 1)
        stack = crops(stack, square, self.resolution, flip)
        scale = self.resolution / (square[:, 2:] - square[:, :2])
        boxes = (boxes - square[:, :2].repeat(1, 2)) * scale.repeat(1, 2)
        mirrored = torch.stack(
            [self.resolution - boxes[:, 2], boxes[:, 1], self.resolution - boxes[:, 0], boxes[:, 3]], 1
        )
        return stack[:, :3], (stack[:, 3:] > 0.5).float(), torch.where(flip[:, None], mirrored, boxes)

    @torch.no_grad()
    def encode(self, images: torch.Tensor, mask: torch.Tensor):
        """Return image latents, masked-image latents and the mask at latent size."""
        pair = torch.cat([images, images * (mask < 0.5)]).contiguous(memory_format=torch.channels_last)
        latents, masked = (self.vae.encode(pair).latent_dist.mode() * self.vae.config.scaling_factor).chunk(2)
        return latents, masked, F.interpolate(mask, size=latents.shape[-2:])

    @torch.no_grad()
    def add(self, count: int) -> None:
        """Encode the next `count` pictures in fresh frames under fresh masks."""
        places = torch.arange(self.next, self.next + count, device=DEVICE)
        picks, slots = self.order[places % len(self.order)], places % self.capacity
        self.next += count
        flip = torch.rand(count, device=DEVICE, generator=self.generator) < 0.5
        images, shapes, boxes = self.cut(picks, flip)
        latents, masked, mask = self.encode(images, masks(shapes, boxes, self.generator))
        self.latents[slots], self.masked[slots], self.mask[slots] = latents.half(), masked.half(), mask > 0.5
        share = (boxes[:, 2:] - boxes[:, :2]).amax(1) / self.resolution
        self.source[slots], self.flip[slots] = picks, flip.long()
        self.size[slots] = torch.bucketize(share, torch.tensor(list(SIZES.values())[1:], device=DEVICE))

    def fill(self, count: int, batch: int = 64) -> None:
        """Encode `count` pictures."""
        for _ in range(-(-count // batch)):
            self.add(batch)

    def draw(self, count: int):
        """Return latents, mask, masked-image latents, the pictures' numbers, and token ids (None without captions)."""
        rows = torch.randint(min(self.next, self.capacity), (count,), device=DEVICE)
        latents, mask, masked = (t[rows].float() for t in (self.latents, self.mask, self.masked))
        source, ids = self.source[rows], None
        if self.captions is not None:
            variant = torch.randint(self.captions.shape[3], (count,), device=DEVICE)
            ids = self.captions[source, self.flip[rows], self.size[rows], variant].long()
        return latents, mask, masked, source, ids
