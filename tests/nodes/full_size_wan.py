"""Model files of Wan 2.1 1.3B's size and SynCamMaster's, with formula weights, under the names of the README.

    python -m tests.nodes.full_size_wan FOLDER

writes 3.8 GB in a few minutes. The text encoder is not among them, for UMT5-XXL would take 11 GB: conditionings take
its place, from a node of a small pack (:data:`TEXT_PACK`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from cvd_core.syncam.module import SynCamModules
from tests import formula
from tests.nodes.full_size import SYNCAM, WAN, WAN_VAE
from tests.nodes.host_process import host_folder

TEXT_TOKENS, TEXT_WIDTH = 512, 4096
TEXT_PACK = f'''"""Conditionings of Wan's size without its text encoder."""

from zlib import crc32

import torch


class Text:
    """A text as random states that depend on it."""

    CATEGORY, RETURN_TYPES, FUNCTION = "tests", ("CONDITIONING",), "give"

    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"text": ("STRING",)}}}}

    def give(self, text):
        generator = torch.Generator().manual_seed(crc32(text.encode()))
        return ([[torch.randn(1, {TEXT_TOKENS}, {TEXT_WIDTH}, generator=generator), {{}}]],)


NODE_CLASS_MAPPINGS = {{"TEST_WanText": Text}}
'''


def wan_transformer() -> nn.Module:
    """The host's network at the size of 1.3B, without data."""
    import comfy.ops
    from comfy.ldm.wan.model import WanModel

    sizes = {"dim": 1536, "ffn_dim": 8960, "num_heads": 12, "num_layers": 30, "in_dim": 16, "out_dim": 16}
    meta = {"device": torch.device("meta"), "dtype": torch.float32, "operations": comfy.ops.disable_weight_init}
    network: nn.Module = WanModel(model_type="t2v", text_len=TEXT_TOKENS, text_dim=TEXT_WIDTH, **sizes, **meta)
    return network


def wan_vae() -> nn.Module:
    """The host's autoencoder, without data."""
    from comfy.ldm.wan.vae import WanVAE

    with torch.device("meta"):
        network: nn.Module = WanVAE(dim=96, z_dim=16, temperal_downsample=[False, True, True])
    return network


def modules() -> nn.Module:
    """SynCamMaster's at the released size, without data."""
    with torch.device("meta"):
        return SynCamModules()


def weight(key: str, shape: list[int]) -> Tensor:
    """As in the recordings of SynCamMaster; scales of norms are about 1."""
    if "modulation" in key:
        return 0.3 * formula.noise(key, shape)
    if key.endswith("gamma"):
        return 1 + 0.1 * formula.noise(key, shape)
    return formula.weight(key, shape) * (0.5 if "head.head" in key and len(shape) > 1 else 1.0)


def write_wan(folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write transformer, autoencoder and modules into the models folder ``folder``."""
    for name, network in ((WAN, wan_transformer()), (WAN_VAE, wan_vae()), (SYNCAM, modules())):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        state = {key: weight(key, shape).to(dtype) for key, shape in formula.shapes_of(network).items()}
        if name.endswith(".ckpt"):
            torch.save(state, folder / name)
        else:
            save_file(state, folder / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a models folder, such as ComfyUI's")
    folder = parser.parse_args().folder
    sys.path.insert(0, str(host_folder()))
    from comfy.cli_args import args

    args.cpu = True
    write_wan(folder)


if __name__ == "__main__":
    main()
