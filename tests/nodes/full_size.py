"""Model files of Stable Diffusion 1.5's size with formula weights, under the names and in the folders of the README.

    python -m tests.nodes.full_size FOLDER

writes 4 GB in about a minute. With ``CVD_FULL_SIZE_MODELS=FOLDER`` the slow tests of the example workflows use
them instead of writing their own.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests import formula
from tests.nodes.host_process import host_folder
from tests.original_layout import original_layout

BASE = "checkpoints/v1-5-pruned-emaonly-fp16.safetensors"
DREAMBOOTH = "checkpoints/toonyou_beta6.safetensors"
MOTION = "animatediff_models/v3_sd15_mm.ckpt"
CAMERA = "animatediff_models/CameraCtrl_pruned.safetensors"
ADAPTER = "loras/v3_sd15_adapter.ckpt"
STYLE = "loras/add_detail.safetensors"
SYNC = "cvd/CVD.ckpt"


def write_models(folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write every file that the example workflows name into the models folder ``folder``."""
    for name in (BASE, MOTION, ADAPTER, SYNC):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    keys = formula.key_list("full")
    save_file(_checkpoint(dtype), folder / BASE)
    (folder / DREAMBOOTH).unlink(missing_ok=True)
    (folder / DREAMBOOTH).hardlink_to(folder / BASE)
    torch.save(formula.tensors(keys["mm"], dtype), folder / MOTION)
    camera = formula.tensors(keys["pose_encoder"] | keys["attention_processor"], dtype)
    save_file(camera, folder / CAMERA)
    torch.save(formula.adapter_lora(keys["base"], dtype), folder / ADAPTER)
    save_file(formula.kohya_lora(keys["base"], dtype), folder / STYLE)
    torch.save({"unet_trainable_dict": formula.tensors(keys["epi"], dtype)}, folder / SYNC)


def _checkpoint(dtype: torch.dtype) -> dict[str, Tensor]:
    """The base in the original layout; shapes of its VAE and text encoder come from the host and from transformers."""
    from comfy.ldm.models.autoencoder import AutoencoderKL
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12
    )
    picture = {"double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "dropout": 0.0}
    depth = {"ch": 128, "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": []}
    with torch.device("meta"):
        text = formula.shapes_of(CLIPTextModel(config))
        vae = formula.shapes_of(AutoencoderKL(embed_dim=4, ddconfig=picture | depth))
    text = {f"text_model.{key.removeprefix('text_model.')}": shape for key, shape in text.items()}
    unet = formula.tensors(formula.key_list("full")["base"], dtype)
    single = original_layout(unet, {}, formula.tensors(text, dtype))
    return single | {f"first_stage_model.{k}": formula.weight(f"vae.{k}", v).to(dtype) for k, v in vae.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a models folder, such as ComfyUI's")
    folder = parser.parse_args().folder
    sys.path.insert(0, str(host_folder()))
    from comfy.cli_args import args

    args.cpu = True
    write_models(folder)


if __name__ == "__main__":
    main()
