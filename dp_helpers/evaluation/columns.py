"""The names of all metrics, and what is better. Nothing is imported, so that a mistake in a name is told at once."""

from __future__ import annotations

GROUPS = {  # question: {column: what is better}
    "Is it the product?": {
        "clip_score": "higher",
        "similarity": "higher",
        "rank": "lower",
        "reciprocal_rank": "higher",
        "top1": "higher",
    },
    "Is it like the true picture?": {
        "color_difference": "lower",
        "detail_error": "lower",
        "structural_similarity": "higher",
        "patch_distance": "lower",
    },
    "Does it fit?": {
        "seam_ratio": "nearer to 1",
        "containment": "lower",
        "aspect_error": "lower",
        "outside_max_change": "lower",
    },
}
METRICS = {name: better for group in GROUPS.values() for name, better in group.items()}
