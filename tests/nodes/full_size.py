"""Model files of full size with formula weights, under the names and in the folders of the README.

    python -m tests.nodes.full_size FOLDER

writes 4 GB for Stable Diffusion 1.5 in about a minute, and 12 GB for CamI2V in about five. With
``CVD_FULL_SIZE_MODELS=FOLDER`` the slow tests of the example workflows use them instead of writing their own.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests import formula
from tests.golden.cami2v import weight as cami2v_weight
from tests.nodes.host_process import host_folder
from tests.original_layout import original_layout

BASE = "checkpoints/v1-5-pruned-emaonly-fp16.safetensors"
DREAMBOOTH = "checkpoints/toonyou_beta6.safetensors"
MOTION = "animatediff_models/v3_sd15_mm.ckpt"
CAMERA = "animatediff_models/CameraCtrl_pruned.safetensors"
ADAPTER = "loras/v3_sd15_adapter.ckpt"
STYLE = "loras/add_detail.safetensors"
SYNC = "cvd/CVD.ckpt"
CAMI2V = "checkpoints/256_cami2v.pt"
CAMI2V_512 = "checkpoints/512_cami2v_100k.pt"
_TEXT_LAYERS, _TEXT_WIDTH, _VISION_LAYERS, _VISION_WIDTH = 24, 1024, 32, 1280
"""Of OpenCLIP ViT-H/14."""
WAN = "diffusion_models/wan2.1_t2v_1.3B_fp16.safetensors"
WAN_TEXT = "text_encoders/umt5_xxl_fp8_e4m3fn_scaled.safetensors"
WAN_VAE = "vae/wan_2.1_vae.safetensors"
SYNCAM = "cvd/step20000.ckpt"


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
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12
    )
    with torch.device("meta"):
        text = formula.shapes_of(CLIPTextModel(config))
    text = {f"text_model.{key.removeprefix('text_model.')}": shape for key, shape in text.items()}
    unet = formula.tensors(formula.key_list("full")["base"], dtype)
    single = original_layout(unet, {}, formula.tensors(text, dtype))
    return single | {
        f"first_stage_model.{k}": formula.weight(f"vae.{k}", v).to(dtype) for k, v in _vae_shapes().items()
    }


def _vae_shapes() -> formula.Shapes:
    """Of Stable Diffusion's autoencoder, from the host."""
    from comfy.ldm.models.autoencoder import AutoencoderKL

    picture = {"double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "dropout": 0.0}
    depth = {"ch": 128, "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": []}
    with torch.device("meta"):
        return formula.shapes_of(AutoencoderKL(embed_dim=4, ddconfig=picture | depth))


def write_cami2v(folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write CamI2V's two models, whole files as released, into the models folder ``folder``."""
    (folder / CAMI2V).parent.mkdir(parents=True, exist_ok=True)
    keys = json.loads((formula.DATA / "cami2v" / "cami2v_keys_full.json").read_text())
    shapes = keys["keys_256"] | _open_clip() | {f"first_stage_model.{k}": v for k, v in _vae_shapes().items()}
    state = {key: cami2v_weight(key, shape).to(dtype) for key, shape in shapes.items()}
    torch.save(state, folder / CAMI2V)
    torch.save({"module": {k: v for k, v in state.items() if k not in keys["absent_in_512"]}}, folder / CAMI2V_512)


def _open_clip() -> formula.Shapes:
    """Text and vision tower under OpenCLIP's names."""
    text, vision = "cond_stage_model.model.", "embedder.model.visual."
    shapes: formula.Shapes = {
        f"{text}token_embedding.weight": [49408, _TEXT_WIDTH],
        f"{text}positional_embedding": [77, _TEXT_WIDTH],
        f"{text}text_projection": [_TEXT_WIDTH, _TEXT_WIDTH],
        f"{vision}class_embedding": [_VISION_WIDTH],
        f"{vision}positional_embedding": [257, _VISION_WIDTH],
        f"{vision}conv1.weight": [_VISION_WIDTH, 3, 14, 14],
        f"{vision}proj": [_VISION_WIDTH, _TEXT_WIDTH],
    }
    norms = [(text, "ln_final", _TEXT_WIDTH), (vision, "ln_pre", _VISION_WIDTH), (vision, "ln_post", _VISION_WIDTH)]
    for tower, layers, width in ((text, _TEXT_LAYERS, _TEXT_WIDTH), (vision, _VISION_LAYERS, _VISION_WIDTH)):
        for layer in range(layers):
            block = f"{tower}transformer.resblocks.{layer}."
            norms += [(block, name, width) for name in ("ln_1", "ln_2")]
            shapes |= {
                f"{block}attn.in_proj_weight": [3 * width, width],
                f"{block}attn.in_proj_bias": [3 * width],
                f"{block}attn.out_proj.weight": [width, width],
                f"{block}attn.out_proj.bias": [width],
                f"{block}mlp.c_fc.weight": [4 * width, width],
                f"{block}mlp.c_fc.bias": [4 * width],
                f"{block}mlp.c_proj.weight": [width, 4 * width],
                f"{block}mlp.c_proj.bias": [width],
            }
    return shapes | {f"{place}{name}.{kind}": [width] for place, name, width in norms for kind in ("weight", "bias")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a models folder, such as ComfyUI's")
    folder = parser.parse_args().folder
    sys.path.insert(0, str(host_folder()))
    from comfy.cli_args import args

    args.cpu = True
    write_models(folder)
    write_cami2v(folder)


if __name__ == "__main__":
    main()
