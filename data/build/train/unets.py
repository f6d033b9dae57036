"""The U-Nets that were tried, by name, and how one starts from the weights of another."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel

# What differs from `flat`, the first generation's U-Net. The family has `wide`. The log has each one's speed.
CANDIDATES = {
    "flat": {},
    "middle": dict(mid_block_type="UNetMidBlock2DCrossAttn"),
    "attention": dict(
        mid_block_type="UNetMidBlock2DCrossAttn",
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    ),
}
CANDIDATES["layers"] = CANDIDATES["attention"] | dict(transformer_layers_per_block=(1, 1, 2, 1))
CANDIDATES["wide"] = CANDIDATES["attention"] | dict(
    block_out_channels=(48, 96, 160, 224), attention_head_dim=(3, 3, 5, 7)
)


def new_unet(name: str) -> UNet2DConditionModel:
    """Return an untrained U-Net with little width at the top, where a step costs most."""
    settings = dict(
        sample_size=32,
        in_channels=9,
        out_channels=4,
        block_out_channels=(32, 64, 128, 192),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type=None,
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        cross_attention_dim=128,
        attention_head_dim=(1, 2, 4, 6),
        norm_num_groups=16,
        resnet_time_scale_shift="scale_shift",
    )
    return UNet2DConditionModel(**settings | CANDIDATES[name])


@torch.no_grad()
def start_from(unet: UNet2DConditionModel, folder: Path) -> list[str]:
    """Copy the weights whose names and shapes agree with a U-Net in `folder`; return the names of the others.

    A block that the other U-Net lacks begins as the identity: its last layer is zero.
    """
    earlier = UNet2DConditionModel.from_pretrained(folder, torch_dtype=torch.float32).state_dict()
    new = []
    for name, weight in unet.state_dict().items():
        if name in earlier and earlier[name].shape == weight.shape:
            weight.copy_(earlier[name])
            continue
        new.append(name)
        last = (".proj_out.", ".conv2.") if ".transformer_blocks.0." not in name else ()
        inner = (".to_out.0.", ".ff.net.2.") if ".transformer_blocks.1." in name else ()
        if any(part in name for part in (*last, *inner)):
            weight.zero_()
    return new
