"""Gradient checkpointing: the same gradients from fewer tensors kept."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel

from cvd_core.training.config_parts import StageName
from cvd_core.training.diffusion_stage import DiffusionStage
from cvd_core.training.sd15_trainer import Sd15Trainer
from tests.training.small import small_config


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


def new_stage(folder: Path, name: StageName) -> DiffusionStage:
    """Untrained, but with nothing at zero: a module that adds nothing gives the others no gradient."""
    trainer = Sd15Trainer(replace(small_config(folder), seed=1), resume=True)
    generator = torch.Generator().manual_seed(0)
    for parameter in trainer.denoiser.parameters():
        if not parameter.any():
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    stage = trainer.stage(name)
    assert isinstance(stage, DiffusionStage)
    stage.clips()  # made here, not inside autocast
    return stage


def learn(stage: DiffusionStage, cameras: bool, autocast: bool) -> tuple[Tensor, dict[str, Tensor], int]:
    """Loss and gradients of one batch, and the bytes kept for the gradients besides the parameters."""
    step = next(step for step in range(100) if stage.on_static(step) == cameras)
    parameters = {p.untyped_storage().data_ptr() for p in stage.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    stage.zero_grad()
    arithmetic: AbstractContextManager[Any] = torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext()
    with sdpa_kernel(SDPBackend.MATH):
        with arithmetic, saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = stage(stage.batch(step, range(2)))["loss"]
        loss.backward()
    return (
        loss.detach(),
        {name: p.grad for name, p in stage.named_parameters() if p.grad is not None},
        sum(kept.values()),
    )


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize(("name", "cameras"), [("images", True), ("video", True), ("sync", True), ("sync", False)])
def test_gradients_are_the_same_and_less_is_kept_for_them(
    folder: Path, name: StageName, cameras: bool, autocast: bool
) -> None:
    """In the sync stage the slopes of pseudo lines are drawn anew at each attention, but not when it is repeated."""
    kept, repeated = new_stage(folder, name), new_stage(folder, name)
    repeated.unet.enable_gradient_checkpointing()
    loss, gradients, many = learn(kept, cameras, autocast)
    again, same, few = learn(repeated, cameras, autocast)
    assert torch.equal(loss, again)
    assert gradients.keys() == same.keys()
    assert all(torch.equal(value, same[key]) for key, value in gradients.items())
    assert any(bool(value.any()) for value in gradients.values())
    assert few < many / 2, f"{few} of {many} bytes"
