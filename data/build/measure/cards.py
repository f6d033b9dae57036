"""Write the model cards of data/tiny and the README's table of figures, from configurations, training logs and
figures.json.

`python -m data.build.measure.cards`. The pictures of failures are those that measure.py left in work/. A model's
history is kept in data/tiny/MODEL/training.json: every session adds the runs that it finds in work/, so that a card
counts the samples of all sessions. What the tables do not say stands in data/tiny/MODEL/note.md, written by hand.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from pathlib import Path

from safetensors import safe_open

from ..train.options import HERE

FRONT = "---\nlicense: apache-2.0\n---\n"
MODELS = {
    "clip": {
        "title": "CLIP of the tiny family",
        "class": "CLIPModel, CLIPTokenizer, CLIPImageProcessor (transformers)",
        "runs": ["clip", "clip-vision"],
        "recipe": "`data/build/train/train_clip.py`",
        "figures": "clip_",
        "what": "Embeds pictures of 128 x 128 and texts of up to 16 tokens as unit vectors of 128 numbers. It was "
        "trained contrastively from random weights. A caption that names some attributes counts as right "
        "for every picture that has them. The tokens sks, nbsn, zwx, qrv, vxj, pdq, hjk and wqz occur in no"
        " caption, so new items can take them.",
        "fails": "It knows nine nouns, twelve colours and four patterns and nothing else of the world.",
        "pictures": {"clip": "Held-out products whose kind it got wrong: the true kind, and its answer."},
    },
    "clipseg": {
        "title": "CLIPSeg of the tiny family",
        "class": "CLIPSegForImageSegmentation, CLIPSegProcessor (transformers)",
        "runs": ["clipseg"],
        "recipe": "`data/build/train/train_clipseg.py`",
        "figures": ("clipseg_", "decorated_clipseg_"),
        "what": "Finds the product that a class noun names and returns a mask of 256 x 256. Its text tower is that of "
        "`../clip`. The vision tower starts as that of `../clip` and is trained with the decoder.",
        "fails": "Thin parts (chair legs, lamp stems) come out broad or missing, and white parts on white paper may "
        "lack a piece. A patterned rug may be taken along, and now and then most of a product is overlooked.",
        "pictures": {"clipseg": "The held-out pictures with the worst masks, for a threshold of 0.5."},
    },
    "inpainting": {
        "title": "Text-guided inpainting, tiny family",
        "class": "StableDiffusionInpaintPipeline (diffusers)",
        "runs": ["vae", "vae-decoder", "unet-64", "unet-128"],
        "recipe": "`data/build/train/train_vae.py` and `data/build/train/train_unet.py`",
        "figures": ("vae_", "text_", "judge_"),
        "what": "Paints pictures of 128 x 128 with the same classes as Stable Diffusion 1.5 inpainting: a VAE of "
        "factor 4 with 4 latent channels (32 x 32), a 9-channel U-Net, and a text tower that began as that of "
        "`../clip`. It reads 48 tokens and was trained on with the U-Net. The U-Net predicts the clean "
        "latents, and the terminal SNR is zero; both are in the scheduler's configuration.",
        "fails": "Fine texture is soft. Patterns and second colours follow the words less well than class and main "
        "colour. Sofas and armchairs come out as lumps. The surroundings under the mask are soft, so the edge of the "
        "mask is visible.",
        "pictures": {
            "text": "Tries in which the judge sees the wrong kind or colour, each with its prompt.",
            "vae": "The worst reconstructions: the picture, and the VAE's output.",
        },
    },
    "paint-by-example": {
        "title": "Paint by Example, tiny family",
        "class": "parts of PaintByExamplePipeline (diffusers)",
        "runs": ["pbe"],
        "recipe": "`data/build/train/train_pbe.py`",
        "figures": ("pbe_", "judge_"),
        "what": "Inpaints after an example picture. Its U-Net was started from `../inpainting`, and its image "
        "encoder is built on the vision tower of `../clip`. Load the parts one by one: diffusers 0.38 and "
        "later cannot load this folder with `DiffusionPipeline.from_pretrained` (diffusers#14008).",
        "fails": "One token carries the whole example. Class and colour come through, details of the item do not. "
        "This is a weakness of the method itself.",
        "pictures": {"pbe": "Tries in which the judge sees the wrong kind or colour: the example, and the result."},
    },
}


def parameters(folder: Path) -> dict[str, float]:
    """Return the millions of parameters of each safetensors file below a folder, by the name of its folder."""
    counts = {}
    for path in sorted(folder.rglob("*.safetensors")):
        with safe_open(path, "np") as file:
            shapes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118
        total = 0
        for shape in shapes:
            size = 1
            for side in shape:
                size *= side
            total += size
        counts[path.parent.name] = round(total / 1e6, 2)
    return counts


def history(folder: Path, work: Path, runs: list[str]) -> list[dict]:
    """Return the runs of all sessions: those kept in training.json, updated from the logs in work/."""
    path = folder / "training.json"
    kept = json.loads(path.read_text()) if path.exists() else []
    for run in runs:
        log = work / run / "log.csv"
        if not log.exists():
            continue
        rows = list(csv.DictReader(log.open()))
        entry = {
            "run": run,
            "steps": int(rows[-1]["step"]),
            "samples": int(rows[-1]["samples"]),
            "minutes": round(float(rows[-1]["seconds"]) / 60, 1),
            "first_loss": float(rows[0]["loss"]),
        }
        known = [(k["run"], k["first_loss"]) for k in kept]
        place = known.index((run, entry["first_loss"])) if (run, entry["first_loss"]) in known else len(kept)
        kept[place : place + 1] = [entry]  # a run keeps its place: the card tells them in their order
    path.write_text(json.dumps(kept, indent=1) + "\n")
    return kept


def card(name: str, folder: Path, work: Path, figures: dict) -> str:
    """Return the text of one model card."""
    model = MODELS[name]
    sizes = ", ".join(f"{part} {count} M" for part, count in parameters(folder).items())
    runs = history(folder, work, model["runs"])
    lines = [
        FRONT,
        f"# {model['title']}\n",
        model["what"] + "\n",
        f"- Classes: {model['class']}",
        f"- Parameters: {sizes}; stored in fp16, trained in fp32 with bf16 arithmetic where that is fast",
        "- Trained on: pictures of 128 x 128, rendered by `data/build/` with Mitsuba 3: nine kinds of "
        "products, on white, in rooms, on desks and on mannequins. Their captions are known by "
        "construction. No picture or weight comes from elsewhere.",
        f"- Recipe: {model['recipe']}",
        "- Licence: Apache-2.0\n",
    ]
    if runs:
        lines += ["| run | steps | samples | minutes |", "|---|---|---|---|"]
        lines += [f"| {r['run']} | {r['steps']:,} | {r['samples']:,} | {r['minutes']:g} |" for r in runs]
    note = folder / "note.md"
    if note.is_file():
        lines.append("\n" + note.read_text().strip())
    found = {k: v for k, v in figures.items() if k.startswith(model["figures"])}
    if found:
        lines += [
            "\nMeasured on held-out renders by `data/build/measure/measure.py`:\n",
            "| figure | value |",
            "|---|---|",
        ]
        lines += [f"| {key} | {value:g} |" for key, value in found.items()]
    lines += ["\n## Known failures\n", model["fails"]]
    for part, words in model["pictures"].items():
        found, kept = work / f"failures-{part}.jpg", folder / f"failures-{part}.jpg"
        if found.exists():
            shutil.copy(found, kept)
        if kept.exists():
            lines += [f"\n{words}\n", f"![{words}]({kept.name})"]
    return "\n".join(lines) + "\n"


def fill_readme(path: Path, figures: dict) -> None:
    """Put the measured figures into the last column of the README's table, between its two comments."""
    before, begin, rest = path.read_text().partition("<!-- figures:begin -->\n")
    table, end, after = rest.partition("<!-- figures:end -->")
    lines = []
    for line in table.splitlines():
        cells = line.split("|")
        key = cells[3].strip(" `") if len(cells) > 5 else ""
        if key in figures:
            cells[5] = f" {figures[key]:.1f} " if key.endswith("_db") else f" {figures[key]:.3f} "
        lines.append("|".join(cells))
    path.write_text(before + begin + "\n".join(lines) + "\n" + end + after)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=HERE / "work")
    parser.add_argument("--tiny", type=Path, default=HERE.parent / "tiny")
    args = parser.parse_args()
    path = args.tiny / "figures.json"
    figures = json.loads(path.read_text()) if path.exists() else {}
    for name in MODELS:
        if (args.tiny / name).exists():
            (args.tiny / name / "README.md").write_text(card(name, args.tiny / name, args.work, figures))
            print(f"wrote {args.tiny / name / 'README.md'}")
    if args.tiny.resolve() == HERE.parent / "tiny":  # the figures of another family do not belong into our README
        fill_readme(HERE.parents[1] / "README.md", figures)
    size = sum(f.stat().st_size for f in args.tiny.rglob("*") if f.is_file()) / 1e6
    made = f"{size:.0f} MB in all. `make data` renders the training pictures, then `make tiny` trains these models."
    lines = [f"# The tiny family\n\n{made}\n"]
    lines += [
        f"- [{model['title']}]({name}/README.md)" for name, model in MODELS.items() if (args.tiny / name).exists()
    ]
    (args.tiny / "README.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
