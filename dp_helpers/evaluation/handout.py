"""The study on paper, for raters without computers: one HTML file to print, readable in black and white.

Page 1 is the answer sheet: print it once for each rater. The other pages show the pictures: print them once for each
group. The file holds its pictures, so it can be sent by mail. What raters write is typed into form.csv.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from string import Template

from PIL import Image

from ..files import whole_file
from .raters import SCORES
from .study import Card, Study

PER_PAGE = 3  # cards
PER_COLUMN = 30  # lines of the answer sheet; it has two columns
_SIDES = {"picture": 640, "small": 256}  # pixels: more than a printer shows at the printed size

_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Rate the pictures ($study)</title>
<style>
@page { size: A4; margin: 12mm; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 186mm; color: #000; background: #fff;
  font: 10.5pt/1.35 Arial, Helvetica, sans-serif; }
section { break-after: page; }
section:last-of-type { break-after: auto; }
h1 { margin: 0 0 3mm; font-size: 17pt; }
p, ol { margin: 0 0 2.5mm; }
ol { padding-left: 5mm; }
.write { display: flex; gap: 8mm; margin: 0 0 4mm; }
.write span { flex: 1; border-bottom: .3mm solid #000; padding-bottom: 1mm; }
.columns { display: flex; gap: 8mm; }
table { flex: 1; border-collapse: collapse; }
th { font-size: 8.5pt; text-align: left; padding: 0 1mm 1mm; }
td { padding: .55mm 1mm; border-top: .2mm solid #000; white-space: nowrap; }
tr:nth-child(5n+1) td { border-top-width: .5mm; }
td:first-child, h2 { font-weight: bold; font-variant-numeric: tabular-nums; }
i { display: inline-block; width: 5mm; height: 5mm; line-height: 4.5mm; margin-right: .8mm; border: .25mm solid #000;
  border-radius: 50%; font-style: normal; font-size: 8.5pt; text-align: center; }
article { display: grid; grid-template-columns: 78mm 1fr; gap: 1.5mm 6mm; break-inside: avoid; height: 86mm;
  margin-bottom: 4mm; padding-top: 2mm; border-top: .5mm solid #000; align-content: start; }
h2 { grid-column: 1 / -1; margin: 0; font-size: 13pt; line-height: 1; }
figure { margin: 0; }
figcaption { font-size: 8.5pt; }
img { display: block; max-width: 100%; border: .2mm solid #000; }
.picture img { width: 78mm; height: 74mm; object-fit: contain; object-position: left top; border: 0; }
.product { display: grid; grid-template-columns: repeat(4, 23mm); gap: 1.5mm; }
.product figcaption { grid-column: 1 / -1; }
.product img { width: 23mm; height: 23mm; object-fit: contain; }
.photo { margin-top: 1.5mm; }
.photo img { height: 21mm; }
aside { margin: 4mm 0; padding: 3mm 4mm; border: .3mm solid #000; }
@media print { aside { display: none; } }
</style>
<aside>
<p><b>For the teacher; this box is not printed.</b> Page 1 is the answer sheet: print it once for each rater. Print the
other pages once for each group, in colour if you can. A print in black and white hides colours, so do not mix its
ratings with those of a colour print or a screen.</p>
<p>Type the answers of each rater into a copy of form.csv, and save it as ratings/NAME.csv.</p>
</aside>
<section>
<h1>Rate the pictures</h1>
<div class="write"><span>Rater:</span><span>Date:</span><span>Study: $study</span></div>
<p>Each numbered picture shows a product that a computer has painted into a photo. You see the product's real photos
next to it, and the photo before. An outline marks the region that was painted. Ring two numbers for each picture.</p>
<p><b>Similarity:</b> how much does the painted object look like the product? 1 is the best, 5 is the worst.<br>
<b>Harmony:</b> how well does the painted object fit into the photo? 1 is the best, 5 is the worst.</p>
<p>Rate alone and in any order. Leave out a picture that you cannot judge.</p>
$sheets
</section>
$pages
</html>
""")


def write_handout(study: Study, path: str | Path) -> Path:
    """Write the study as one HTML file to print on A4, and return its path."""
    text = _PAGE.substitute(study=html.escape(study.name), sheets=_sheets(study.cards), pages=_pages(study.cards))
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def _sheets(cards: Sequence[Card]) -> str:
    """Return the lines of the answer sheet in columns, two side by side."""
    rings = "".join(f"<i>{score}</i>" for score in SCORES)
    head = "<tr><th></th><th>Similarity, 1 is best</th><th>Harmony, 1 is best</th></tr>"
    lines = [f"<tr><td>{html.escape(card.name)}</td><td>{rings}</td><td>{rings}</td></tr>" for card in cards]
    columns = [
        f"<table>{head}<tbody>{''.join(lines[at : at + PER_COLUMN])}</tbody></table>"
        for at in range(0, len(lines), PER_COLUMN)
    ]
    return "\n".join(f'<div class="columns">{"".join(columns[at : at + 2])}</div>' for at in range(0, len(columns), 2))


def _pages(cards: Sequence[Card]) -> str:
    pages = [cards[at : at + PER_PAGE] for at in range(0, len(cards), PER_PAGE)]
    return "\n".join(f"<section>{''.join(map(_article, page))}</section>" for page in pages)


def _article(card: Card) -> str:
    name = html.escape(card.name)
    references = "".join(_image(path, "small", "A photo of the product") for path in card.references)
    return (
        f'<article><h2>{name}</h2><figure class="picture">{_image(card.picture, "picture", f"Picture {name}")}</figure>'
        f'<div><figure class="product"><figcaption>The product</figcaption>{references}</figure>'
        f'<figure class="photo"><figcaption>The photo before, with the painted region outlined</figcaption>'
        f"{_image(card.photo, 'small', 'The photo before')}</figure></div></article>\n"
    )


def _image(path: Path, kind: str, alt: str) -> str:
    """Return an HTML image that holds its data, as JPEG to keep the file small."""
    with Image.open(path) as image:
        shown = image.convert("RGB")
    shown.thumbnail((_SIDES[kind], _SIDES[kind]), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    shown.save(buffer, "JPEG", quality=88)
    return f'<img alt="{alt}" src="data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode("ascii")}">'
