"""What a run is made from: settings that cannot change the result do not tell two runs apart."""

import pytest

from dp_helpers import presets
from dp_helpers.origin import made_from

NOT_READ = [
    ({}, {"lora_alpha": 4.0, "lora_targets": ["to_q"]}, True),
    ({"lora_rank": 2}, {"lora_alpha": 4.0}, False),
    ({}, {"class_pictures": 7}, True),
    ({"prior_weight": 1.0}, {"class_pictures": 7}, False),
    ({"train_text_encoder": False}, {"text_encoder_learning_rate": 1e-4, "text_encoder_stop_step": 1}, True),
    ({}, {"text_encoder_learning_rate": 1e-4}, False),
    ({"lr_scheduler": "constant"}, {"lr_warmup_steps": 5}, True),
    ({"lr_scheduler": "cosine"}, {"lr_warmup_steps": 5}, False),
    ({}, {"checkpointing_steps": 2, "validation_steps": 1, "report_to": "tensorboard"}, True),
]


@pytest.mark.parametrize(("setting", "changed", "same"), NOT_READ)
def test_settings_that_nothing_reads_do_not_tell_runs_apart(preset, item, setting, changed, same):
    origins = [made_from(item, presets.change(preset, finetune=each), 0) for each in (setting, setting | changed)]
    assert (origins[0] == origins[1]) is same


def test_only_models_and_paintings_that_fine_tuning_reads_tell_runs_apart(preset, item):
    def origin(weight=0.0, **changed):
        return made_from(item, presets.change(preset, finetune={"prior_weight": weight}, **changed), 0)

    assert origin(models={"clip": ["./other"], "paint_by_example": ["./other"]}) == origin()
    for model in ("inpainting", "clipseg"):
        assert origin(models={model: ["./other"]}) != origin()
    assert origin(inpaint={"guidance_scale": 2.0}) == origin()
    assert origin(1.0, inpaint={"guidance_scale": 2.0}) != origin(1.0), "the base model draws class pictures with it"
    assert origin(1.0, inpaint={"feather": 0.5}) == origin(1.0)
