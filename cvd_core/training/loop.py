"""The training loop: one for all stages, to be stopped and continued at any step.

On one CPU an interrupted and continued run gives the weights of an uninterrupted one, bit for bit: batches and noise
depend on the step alone, and a checkpoint holds weights, their average, buffers and the optimizer.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from cvd_core.files import atomic_path
from cvd_core.training.config import LoopConfig, Precision
from cvd_core.training.metrics import Metrics
from cvd_core.training.stage import Stage


class Average:
    """Exponential moving average of a stage's trained parameters, with a faster start."""

    def __init__(self, stage: Stage, decay: float) -> None:
        self.decay = decay
        self.names = [name for name, _ in stage.trained()]
        self.parameters = [p for _, p in stage.trained()]
        self.values = [p.detach().clone() for p in self.parameters]

    def update(self, step: int) -> None:
        """Take in the weights after ``step`` (from 1)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.values, [p.detach() for p in self.parameters], 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The stage with the averaged weights inside the block."""
        kept = [p.detach().clone() for p in self.parameters]
        self._copy(self.values)
        try:
            yield
        finally:
            self._copy(kept)

    def copy(self) -> None:
        """Give the stage the averaged weights for good."""
        self._copy(self.values)

    def _copy(self, values: list[Tensor]) -> None:
        with torch.no_grad():
            for parameter, value in zip(self.parameters, values, strict=True):
                parameter.copy_(value)


def learning_rate(config: LoopConfig, step: int) -> float:
    """Of ``step`` (from 0): linear warm-up, then a cosine down to ``final_rate`` of the highest."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return config.learning_rate * (config.final_rate + (1 - config.final_rate) * cosine)


def train_stage(
    stage: Stage,
    config: LoopConfig,
    folder: Path,
    *,
    precision: Precision = "no",
    tensorboard: bool = False,
    resume: bool = False,
    stop_after: int | None = None,
) -> Average:
    """Train a stage to its last step, or until Ctrl-C, after which the checkpoint is complete.

    Args:
        stage: on the CPU; moved to accelerate's device.
        config: of the loop.
        folder: receives ``checkpoint.pt`` and the metrics.
        precision: the same for all stages of a process.
        tensorboard: write the metrics for TensorBoard too.
        resume: continue from the checkpoint if there is one.
        stop_after: step after which to stop as Ctrl-C does.

    Returns:
        the averaged weights.

    Raises:
        KeyboardInterrupt: after saving, when interrupted.
        ValueError: the checkpoint is of other networks, or one exists and ``resume`` is not set.
    """
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)  # a step without cameras has no pose encoder
    accelerator = Accelerator(mixed_precision=precision, cpu=not torch.cuda.is_available(), kwargs_handlers=[unused])
    stage.to(accelerator.device).train()
    optimizer = torch.optim.AdamW(
        [p for _, p in stage.trained()], config.learning_rate, betas=(0.9, 0.99), weight_decay=config.weight_decay
    )
    average = Average(stage, config.ema)
    checkpoint = folder / "checkpoint.pt"
    step = 0
    if checkpoint.exists():
        if not resume:
            raise ValueError(f"{checkpoint} exists; continue it with `resume`, or choose another output folder")
        step = _load(checkpoint, stage, average, optimizer)
    wrapped, fast = accelerator.prepare(stage, optimizer)
    rank = accelerator.process_index
    positions = range(rank * config.batch, (rank + 1) * config.batch)
    end = config.steps if stop_after is None else min(config.steps, stop_after)
    is_main = accelerator.is_main_process
    metrics = Metrics(folder, config.log_every, step, tensorboard=tensorboard) if is_main else None
    saved = time.monotonic()
    stopping = False
    with _interruptible() as interrupted:
        while step < end and not stopping:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, step)
            batch = {key: value.to(accelerator.device) for key, value in stage.batch(step, positions).items()}
            with _fast_gradients(accelerator.device):  # of the backward pass too: it may compute activations again
                with accelerator.autocast():
                    results = wrapped(batch)
                accelerator.backward(results["loss"])
            norm = accelerator.clip_grad_norm_([p for _, p in stage.trained()], config.clip)
            fast.step()
            fast.zero_grad()
            step += 1
            average.update(step)
            if metrics is not None:
                metrics.add(step, results | {"gradient_norm": norm, "learning_rate": learning_rate(config, step - 1)})
            if is_main and time.monotonic() - saved > config.save_seconds:
                _save(checkpoint, step, stage, average, optimizer)
                saved = time.monotonic()
            # All processes stop after the same step, whichever of them hears of it first.
            stopping = bool(accelerator.reduce(torch.tensor(len(interrupted), device=accelerator.device)))
        if is_main:
            _save(checkpoint, step, stage, average, optimizer)
    if metrics is not None:
        metrics.close()
    if stopping or interrupted:
        raise KeyboardInterrupt
    return average


def _fast_gradients(device: torch.device) -> AbstractContextManager[None]:
    """On a CPU, attention as two matrix products: the gradient of its fused kernel takes twice as long."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def _save(path: Path, step: int, stage: Stage, average: Average, optimizer: torch.optim.Optimizer) -> None:
    state = {
        "step": step,
        "weights": {name: p.detach() for name, p in stage.trained()},
        "buffers": dict(stage.named_buffers()),
        "average": dict(zip(average.names, average.values, strict=True)),
        "optimizer": optimizer.state_dict(),
    }
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint: ``step``, ``weights``, ``buffers``, ``average`` and ``optimizer``.

    Tensors are mapped from the file and take memory only when they are used.
    """
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return state


def _load(path: Path, stage: Stage, average: Average, optimizer: torch.optim.Optimizer) -> int:
    state = load_checkpoint(path)
    names = {name for name, _ in stage.trained()}
    if names != state["weights"].keys():
        raise ValueError(
            f"{path} holds {len(state['weights'])} trained tensors, this configuration trains {len(names)}; continue "
            "with the configuration it was started with"
        )
    with torch.no_grad():
        for name, parameter in stage.trained():
            parameter.copy_(state["weights"][name])
        for name, buffer in stage.named_buffers():
            buffer.copy_(state["buffers"][name])
        for name, value in zip(average.names, average.values, strict=True):
            value.copy_(state["average"][name])
    optimizer.load_state_dict(deepcopy(state["optimizer"]))  # it writes to its state, which is mapped from the file
    return int(state["step"])


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Collect Ctrl-C and termination instead of stopping in the middle of a step; a second Ctrl-C stops at once."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
