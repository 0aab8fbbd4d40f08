"""The training of SynCamMaster's modules on Wan 2.1."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import cast

import torch
from diffusers import WanTransformer3DModel

from cvd_core.engine.model_paths import MODEL_FILES
from cvd_core.engine.wan.loading import WanModel, load_wan
from cvd_core.engine.wan.network import SynCamTransformer
from cvd_core.engine.wan.texts import tokenize
from cvd_core.syncam.checkpoint import load_syncam
from cvd_core.syncam.module import MultiViewSync, SynCamModules
from cvd_core.training.config_parts import StageName
from cvd_core.training.data.scenes import SceneSource
from cvd_core.training.new_networks import save_tensors
from cvd_core.training.precision import COMPUTED_IN
from cvd_core.training.stage import Stage
from cvd_core.training.syncam_stage import SynCamStage, WanMaterial
from cvd_core.training.trainer import Trainer


class SynCamTrainer(Trainer):
    """The stage "syncam".

    ``start_from`` holds ``base``, a diffusers folder of Wan 2.1, and, to go on from modules that there are,
    ``sync.safetensors``.
    """

    def stage(self, name: StageName) -> Stage:
        folders = self.config.folders
        assert folders is not None
        source = SceneSource(folders, self.config.data, self.config.syncam, self.config.seed)
        tokens = {prompt: tokenize(self.base.tokenizer, [prompt]) for prompt in sorted({"", *source.prompts()})}
        material = WanMaterial(self.config, source, self.base.vae, self.base.text_encoder, tokens)
        return SynCamStage(self.network, material)

    def exported(self, trained: Collection[StageName]) -> list[str]:
        self.check_exportable(trained, "syncam")
        return [MODEL_FILES.sync]

    def write(self, folder: Path, trained: Collection[StageName], dtype: torch.dtype) -> None:
        """Write the modules; Wan stays as it is, where it is."""
        assert self.network.sync is not None
        save_tensors(self.network.sync.state_dict(), folder / MODEL_FILES.sync, dtype)

    @cached_property
    def base(self) -> WanModel:
        """Wan, in the type of its arithmetic."""
        assert self.config.start_from is not None
        dtype = COMPUTED_IN.get(self.config.precision, torch.float32)
        return load_wan(self.config.start_from / MODEL_FILES.base, dtype=dtype)

    @cached_property
    def network(self) -> SynCamTransformer:
        """Wan's transformer with the modules, which are float32."""
        assert self.config.start_from is not None
        file = self.config.start_from / MODEL_FILES.sync
        transformer = self.base.transformer
        if file.exists():
            head_width = int(transformer.config.attention_head_dim)
            modules = load_syncam(file, dtype=torch.float32, head_width=head_width)
        else:
            modules = new_modules(transformer)
        return SynCamTransformer(transformer, modules)


def new_modules(transformer: WanTransformer3DModel) -> SynCamModules:
    """Modules that change nothing yet: projectors and camera encoders are zero; their attention is a copy of each
    block's self-attention, with its modulation (Sec. 4.1)."""
    config = transformer.config
    heads = int(config.num_attention_heads)
    modules = SynCamModules(int(config.num_layers), heads * int(config.attention_head_dim), heads)
    with torch.no_grad():
        for made, block in zip(modules.blocks, transformer.blocks, strict=True):
            module, attention = cast(MultiViewSync, made), block.attn1
            module.mvs_attn.load_state_dict(
                {
                    f"{ours}.{key}": value.float()
                    for ours, theirs in (
                        ("q", attention.to_q), ("k", attention.to_k), ("v", attention.to_v), ("o", attention.to_out[0]),
                        ("norm_q", attention.norm_q), ("norm_k", attention.norm_k),
                    )
                    for key, value in theirs.state_dict().items()
                }
            )  # fmt: skip
            module.modulation_mvs.copy_(block.scale_shift_table[:, :3])
            for layer in (module.cam_encoder, module.projector):
                layer.weight.zero_()
                layer.bias.zero_()
    return modules
