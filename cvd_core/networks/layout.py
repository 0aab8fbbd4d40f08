"""Where the added modules sit in the UNet of Stable Diffusion 1.5 and of anything with its topology."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from torch import nn

from cvd_core.networks.sd15 import SD15_LAYERS, SD15_WIDTHS


@dataclass(frozen=True)
class Site:
    """The place after one resnet (and after its spatial attention, if the block has one).

    Attributes:
        direction: the half of the UNet.
        block: index within that half, in the order of execution.
        layer: index within the block.
        channels: width of the features there.
        level: how often the features were halved by then (0 to 3); names the camera feature that belongs here.
    """

    direction: Literal["down", "up"]
    block: int
    layer: int
    channels: int
    level: int


def sites(widths: Sequence[int] = SD15_WIDTHS, layers_per_block: int = SD15_LAYERS) -> list[Site]:
    """All sites in order of execution: ``layers_per_block`` per down block, one more per up block, none in the middle.

    Args:
        widths: channels of the down blocks, outermost first.
    """
    depth = len(widths)
    down = [Site("down", i, j, width, i) for i, width in enumerate(widths) for j in range(layers_per_block)]
    levels = range(depth - 1, -1, -1)
    up = [Site("up", i, j, widths[level], level) for i, level in enumerate(levels) for j in range(layers_per_block + 1)]
    return down + up


M = TypeVar("M", bound=nn.Module)


class PerSite(nn.Module, Generic[M]):
    """One module per site, named as the research checkpoints do: ``down_blocks.0.<attribute>.1...``.

    Args:
        attribute: name of the list inside each block.
        widths: channels of the UNet's down blocks.
        make: builds the module of a site.
        layers_per_block: sites per down block.
    """

    def __init__(
        self, attribute: str, widths: Sequence[int], make: Callable[[Site], M], layers_per_block: int = SD15_LAYERS
    ) -> None:
        super().__init__()
        self.attribute = attribute
        self.widths = tuple(widths)
        self.sites = sites(widths, layers_per_block)
        self.down_blocks = nn.ModuleList([nn.ModuleDict({attribute: nn.ModuleList()}) for _ in widths])
        self.up_blocks = nn.ModuleList([nn.ModuleDict({attribute: nn.ModuleList()}) for _ in widths])
        for site in self.sites:
            self._layers(site).append(make(site))

    def _layers(self, site: Site) -> Any:
        block: Any = (self.down_blocks if site.direction == "down" else self.up_blocks)[site.block]
        return block[self.attribute]

    def at(self, site: Site) -> M:
        """The module behind ``site``."""
        return self._layers(site)[site.layer]
