"""Pictures of what the tiny family gets wrong: measure.py collects them, cards.py shows them on the model cards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SHOWN, COLUMNS, LINE = 8, 4, 16


class Failures:
    """Keeps the worst pictures of one measurement, each with a line of words.

    `add` takes one or more (128, 128, 3) uint8 pictures that belong together, and how bad it is (of equals the first
    stay).
    """

    def __init__(self):
        self.rows: list[tuple[float, list[np.ndarray], str]] = []

    def add(self, pictures: list[np.ndarray], words: str, badness: float = 0.0) -> None:
        self.rows.append((badness, pictures, words))

    def save(self, path: Path) -> None:
        """A sheet of the eight worst, with their words above; no file when nothing went wrong."""
        path.unlink(missing_ok=True)
        worst = sorted(self.rows, key=lambda row: -row[0])[:SHOWN]
        if not worst:
            return
        tiles = [np.hstack(pictures) for _, pictures, _ in worst]
        height, width = tiles[0].shape[:2]
        columns = max(1, COLUMNS * 128 // width)
        step_x, step_y = width + 8, height + LINE + 8
        sheet = Image.new(
            "RGB", (step_x * min(columns, len(tiles)) - 8, step_y * -(-len(tiles) // columns) - 8), "white"
        )
        draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
        for number, (tile, (_, _, words)) in enumerate(zip(tiles, worst, strict=True)):
            x, y = number % columns * step_x, number // columns * step_y
            draw.text((x, y), words, fill="black", font=font)
            sheet.paste(Image.fromarray(tile), (x, y + LINE))
        sheet.save(path, quality=90)
