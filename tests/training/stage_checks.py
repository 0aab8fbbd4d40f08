"""What tests of several training stages do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
import yaml
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from cvd_core.training.checkpoint import CHECKPOINT, load_checkpoint
from cvd_core.training.config import TrainConfig
from cvd_core.training.config_parts import LoopConfig
from cvd_core.training.loop import train_stage
from cvd_core.training.stage import Stage, StageBatch

S = TypeVar("S", bound=nn.Module)


def written_config(config: TrainConfig, folder: Path) -> Path:
    """``folder/config.yaml``, which trains into ``folder/out``."""
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(plain(asdict(config)) | {"output": str(folder / "out")}))
    return file


def plain(value: Any) -> Any:
    """As YAML has it."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


def assert_less_is_kept(kept: S, repeated: S, gradients: Callable[[S], dict[str, Tensor]]) -> None:
    """The second stage, which computes layers again, has the same gradients from less than half of the memory."""
    sizes, found = [], []
    for stage in (kept, repeated):
        saved: dict[int, int] = {}
        parameters = {p.untyped_storage().data_ptr() for p in stage.parameters()}

        def keep(tensor: Tensor, saved: dict[int, int] = saved, parameters: set[int] = parameters) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in parameters:
                saved[storage.data_ptr()] = storage.nbytes()
            return tensor

        with saved_tensors_hooks(keep, lambda tensor: tensor):
            found.append(gradients(stage))
        sizes.append(sum(saved.values()))
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())
    assert sizes[1] < sizes[0] / 2, sizes


def assert_same_as_whole(folder: Path, stage: str, steps: int) -> None:
    """The training in ``folder/out`` ended as that in ``folder/whole``."""
    ours, theirs = (load_checkpoint(folder / out / stage / CHECKPOINT) for out in ("out", "whole"))
    assert ours.step == theirs.step == steps
    for part in ("weights", "average"):
        assert all(torch.equal(value, getattr(theirs, part)[key]) for key, value in getattr(ours, part).items())


def assert_continues(
    whole: Stage, first: Stage, second: Stage, loop: LoopConfig, folder: Path, *, stop_after: int
) -> None:
    """Three equal stages: one trained at a stretch is, bit for bit, one that goes on where another was stopped."""
    train_stage(whole, loop, folder / "whole")
    train_stage(first, loop, folder / "parts", stop_after=stop_after)
    train_stage(second, loop, folder / "parts", resume=True)
    for (key, value), (_, other) in zip(whole.trained(), second.trained(), strict=True):
        assert torch.equal(value, other), key


def losses_of(stage: Stage, batch: StageBatch, *, steps: int, learning_rate: float) -> list[float]:
    """Losses while a stage learns one batch by heart."""
    optimizer = torch.optim.AdamW([p for _, p in stage.trained()], learning_rate)
    losses = []
    for _ in range(steps):
        loss = stage(batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses
