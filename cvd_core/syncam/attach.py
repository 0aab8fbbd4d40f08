"""Getting the modules into a Wan transformer while it evaluates, whoever's implementation of it is running.

Wan's block is self-attention, norm, cross-attention, feed-forward. The module's addend y belongs between the first and
the second: the norm is shown ``x + y``, and the result of cross-attention, which the block adds to x, gets y as well.
Forward hooks do both, so the block's own code - quantised, compiled, patched by others - stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from cvd_core.syncam.module import MultiViewSync, SynCamModules
from cvd_core.syncam.rope import ViewGrid

Modulation = Callable[[tuple[Any, ...], Mapping[str, Any]], Tensor]
"""Finds the time modulation ``(N, 6, d)`` among a block's positional and named arguments."""


@dataclass(frozen=True)
class BlockParts:
    """What an implementation calls the parts of its blocks.

    Attributes:
        norm: before cross-attention.
        cross_attention: as called by the block.
        modulation: see :data:`Modulation`.
    """

    norm: str
    cross_attention: str
    modulation: Modulation


@dataclass(frozen=True)
class ViewCall:
    """A network call on several views.

    Attributes:
        cameras: ``(N, f, 12)``, from :func:`cvd_core.syncam.cameras.camera_embedding`.
        grid: layout of the tokens.
        strength: factor on what the modules add.
    """

    cameras: Tensor
    grid: ViewGrid
    strength: float = 1.0


@contextmanager
def synchronised(
    blocks: Sequence[nn.Module],
    modules: SynCamModules,
    call: ViewCall,
    parts: BlockParts,
    dtype: torch.dtype | None = None,
) -> Iterator[Set[int]]:
    """While this lasts, every block lets the views of ``call`` attend to each other.

    A module belongs to its block: where others skip the block or compute it themselves, the module is left out too.

    Args:
        blocks: the transformer's.
        modules: one per block.
        call: views, cameras and layout of what will be evaluated.
        parts: the implementation's names.
        dtype: the modules compute in; None: in that of the stream.

    Yields:
        the indices of the blocks whose modules have been added so far.

    Raises:
        ValueError: another number of blocks than modules.
    """
    if len(blocks) != len(modules.blocks):
        raise ValueError(
            f"the SynCamMaster modules are made for {len(modules.blocks)} blocks, this model has {len(blocks)}; the "
            "released ones go with Wan2.1-T2V-1.3B"
        )
    handles: list[Any] = []
    added: set[int] = set()
    try:
        for index, (block, module) in enumerate(zip(blocks, modules.blocks, strict=True)):
            report = partial(added.add, index)
            handles += _hook(block, cast(MultiViewSync, module), call, parts, dtype, report)
        yield added
    finally:
        for handle in handles:
            handle.remove()


def _hook(
    block: nn.Module,
    module: MultiViewSync,
    call: ViewCall,
    parts: BlockParts,
    dtype: torch.dtype | None,
    report: Callable[[], object],
) -> list[Any]:
    now: dict[str, Tensor] = {}

    def keep_modulation(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        now["modulation"] = parts.modulation(inputs, named)

    def before_cross_attention(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Tensor]:
        x = inputs[0]
        now["addend"] = call.strength * module(x.to(dtype or x.dtype), now["modulation"], call.cameras, call.grid)
        return (x + now["addend"],)

    def after_cross_attention(_: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        addend = now.pop("addend", None)
        if addend is None:  # code of others called it without the norm
            return output
        report()
        return output + addend

    return [
        block.register_forward_pre_hook(keep_modulation, with_kwargs=True),
        block.get_submodule(parts.norm).register_forward_pre_hook(before_cross_attention),
        block.get_submodule(parts.cross_attention).register_forward_hook(after_cross_attention),
    ]
