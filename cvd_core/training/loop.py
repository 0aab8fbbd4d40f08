"""The training loop: one for all stages, to be stopped and continued at any step.

On one CPU an interrupted and continued run gives the weights of an uninterrupted one, bit for bit: batches and noise
depend on the step alone, and a checkpoint holds weights, their average, buffers and the optimizer.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from cvd_core.interruption import deferred, interruption
from cvd_core.training.checkpoint import CHECKPOINT, Progress
from cvd_core.training.config_parts import LoopConfig, Precision
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
        The averaged weights.

    Raises:
        KeyboardInterrupt: after saving, when interrupted.
        ValueError: the checkpoint is damaged or of other networks, or one exists and ``resume`` is not set; or the loss
            is no longer a finite number.
    """
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)  # a step without cameras has no pose encoder
    accelerator = Accelerator(mixed_precision=precision, cpu=not torch.cuda.is_available(), kwargs_handlers=[unused])
    stage.to(accelerator.device).train()
    optimizer = torch.optim.AdamW(
        [p for _, p in stage.trained()], config.learning_rate, betas=(0.9, 0.99), weight_decay=config.weight_decay
    )
    average = Average(stage, config.ema)
    checkpoint = folder / CHECKPOINT
    progress = Progress(stage, dict(zip(average.names, average.values, strict=True)), optimizer)
    step = 0
    if checkpoint.exists():
        if not resume:
            raise ValueError(f"{checkpoint} exists; continue it with `resume`, or choose another output folder")
        step = progress.load(checkpoint)
    wrapped, fast = accelerator.prepare(stage, optimizer)
    rank = accelerator.process_index
    positions = range(rank * config.batch, (rank + 1) * config.batch)
    end = config.steps if stop_after is None else min(config.steps, stop_after)
    is_main = accelerator.is_main_process
    metrics = Metrics(folder, config.log_every, step, tensorboard=tensorboard) if is_main else None
    saved = time.monotonic()
    stopping = 0
    with deferred() as interrupted:
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
            # All processes stop after the same step, whichever of them hears or sees of it first.
            reasons = [len(interrupted), int(not results["loss"].isfinite())]
            stopping, diverged = accelerator.reduce(torch.tensor(reasons, device=accelerator.device)).tolist()
            if diverged:
                raise ValueError(
                    f"the loss of step {step} is not a finite number; lower the learning rate and resume from "
                    f"{checkpoint if checkpoint.exists() else 'the start'}"
                )
            if is_main and time.monotonic() - saved > config.save_seconds:
                progress.save(checkpoint, step)
                saved = time.monotonic()
        if is_main:
            progress.save(checkpoint, step)
    if metrics is not None:
        metrics.close()
    if stopping or interrupted:
        raise interruption(interrupted)
    return average


def _fast_gradients(device: torch.device) -> AbstractContextManager[None]:
    """On a CPU, attention as two matrix products: the gradient of its fused kernel takes twice as long."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
