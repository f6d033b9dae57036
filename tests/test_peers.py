"""The defects that were found in similar trainers, and the test that keeps each of them out of this one."""

from __future__ import annotations

from pathlib import Path

import pytest

DEFECTS = {
    "the text-to-image class is saved around a U-Net of nine channels": (
        "test_export.py",
        "test_the_folder_is_an_inpainting_pipeline_in_fp16",
    ),
    "gradient checkpointing does nothing for the text encoder, which is in eval mode": (
        "test_loop.py",
        "test_gradient_checkpointing_computes_both_modules_again",
    ),
    "the limit on the number of checkpoints has no effect": (
        "test_checkpoints.py",
        "test_the_latest_are_kept_and_none_is_wasted_on_the_last_step",
    ),
    "a full optimizer state is written on the very last step": (
        "test_checkpoints.py",
        "test_the_latest_are_kept_and_none_is_wasted_on_the_last_step",
    ),
    "the rotation that a camera writes into a photo is ignored": ("test_catalog.py", "test_photos_stand_upright"),
    "stray files and .ipynb_checkpoints are taken for photos": ("test_catalog.py", "test_stray_files_are_passed_over"),
    "prompts are padded at painting but not in training": ("test_models.py", "test_prompts_are_padded_to_full_length"),
    "random crops cut the product": ("test_views.py", "test_views_move_photo_and_mask_alike_and_cut_nothing"),
    "the picture is mirrored after its mask was made": (
        "test_views.py",
        "test_a_mirrored_view_and_its_mask_belong_together",
    ),
    "latents are cached with one fixed mask each": ("test_latents.py", "test_bank_pairs_belong_together"),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_each_defect_of_a_peer_has_its_test(defect):
    file, name = DEFECTS[defect]
    assert f"def {name}(" in (Path(__file__).parent / file).read_text(encoding="utf-8")
