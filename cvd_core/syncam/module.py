"""The multi-view synchronisation module, one in every transformer block of Wan 2.1 (SynCamMaster, Sec. 3.3 and Fig. 3).

It stands between self-attention and cross-attention. With x the stream after self-attention and e the block's time
modulation before the block's own table is added:

    shift, scale, gate = modulation_mvs + e[:3]
    u = LayerNorm(x) * (1 + scale) + shift + cam_encoder(camera)
    x = x + gate * projector(attention over the tokens of all views of one latent frame (u))

A host calls :meth:`MultiViewSync.forward` for the addend and adds it where its own block allows.
"""

from __future__ import annotations

from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import layer_norm, scaled_dot_product_attention

from cvd_core.syncam.rope import ViewGrid, rotate

WIDTH = 1536
HEAD_WIDTH = 128
BLOCKS = 30
"""Of Wan2.1-T2V-1.3B, the one network there are released weights for."""
CAMERA_NUMBERS = 12
"""A camera is the upper three rows of its pose."""
EPS = 1e-6


class MultiViewAttention(nn.Module):
    """Self-attention over the tokens of all views at one time, as Wan's: queries and keys normed over all channels.

    Args:
        width: channels d.
        heads: attention heads.
        ops: namespace of the layers; a host may bring its own.
    """

    def __init__(self, width: int, heads: int, ops: Any = nn) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (ops.Linear(width, width) for _ in range(4))
        self.norm_q, self.norm_k = (ops.RMSNorm(width, eps=EPS) for _ in range(2))

    def forward(self, x: Tensor, rotations: Tensor) -> Tensor:
        """``(rows, V * h * w, d)`` to the same; ``rotations`` as :meth:`ViewGrid.rotations`."""
        q, k, v = self.norm_q(self.q(x)), self.norm_k(self.k(x)), self.v(x)
        q, k, v = (rearrange(t, "r l (n c) -> r n l c", n=self.heads) for t in (q, k, v))
        y = scaled_dot_product_attention(rotate(q, rotations), rotate(k, rotations), v)
        return self.o(rearrange(y, "r n l c -> r l (n c)"))


class MultiViewSync(nn.Module):
    """The module of one block, under the released parameter names. A zero projector leaves Wan exactly as it is.

    Args:
        width: channels d of the transformer.
        heads: its attention heads.
        ops: namespace of the layers; a host may bring its own.
    """

    def __init__(self, width: int, heads: int, ops: Any = nn) -> None:
        super().__init__()
        self.modulation_mvs = nn.Parameter(torch.zeros(1, 3, width))
        self.cam_encoder = ops.Linear(CAMERA_NUMBERS, width)
        self.projector = ops.Linear(width, width)
        self.mvs_attn = MultiViewAttention(width, heads, ops)

    def forward(self, x: Tensor, modulation: Tensor, cameras: Tensor, grid: ViewGrid) -> Tensor:
        """What the module adds to the stream.

        Args:
            x: ``(N, f * h * w, d)`` after self-attention, N a multiple of the grid's views; views of one scene and
                guidance branch are neighbours.
            modulation: ``(N or 1, 6, d)``, the time modulation that all blocks share.
            cameras: ``(N, f, 12)``, from :func:`cvd_core.syncam.cameras.camera_embedding`.
            grid: layout of the tokens.

        Returns:
            ``(N, f * h * w, d)``.

        Raises:
            ValueError: the tokens or rows do not fit the grid.
        """
        _check(x, cameras, grid)
        table = self.modulation_mvs.to(device=modulation.device, dtype=modulation.dtype)
        shift, scale, gate = (t.to(x.dtype) for t in (table + modulation[:, :3]).split(1, dim=1))
        camera = self.cam_encoder(cameras.to(x)).repeat_interleave(grid.height * grid.width, dim=1)
        u = layer_norm(x, x.shape[-1:], eps=EPS) * (1 + scale) + shift + camera
        u = rearrange(u, "(g v) (f t) d -> (g f) (v t) d", v=grid.views, f=grid.frames)
        y = self.projector(self.mvs_attn(u, grid.rotations(x.shape[-1] // self.mvs_attn.heads, x.device)))
        return gate * rearrange(y, "(g f) (v t) d -> (g v) (f t) d", v=grid.views, f=grid.frames)


class SynCamModules(nn.Module):
    """The modules of all blocks, under the names of the released checkpoint: ``blocks.{i}.mvs_attn.q.weight`` ...

    Args:
        blocks: transformer blocks of the network.
        width, heads, ops: see :class:`MultiViewSync`.
    """

    def __init__(
        self, blocks: int = BLOCKS, width: int = WIDTH, heads: int = WIDTH // HEAD_WIDTH, ops: Any = nn
    ) -> None:
        super().__init__()
        self.width = width
        self.blocks = nn.ModuleList([MultiViewSync(width, heads, ops) for _ in range(blocks)])


def _check(x: Tensor, cameras: Tensor, grid: ViewGrid) -> None:
    rows, tokens = x.shape[:2]
    if rows % grid.views:
        raise ValueError(f"the batch holds {rows} videos; expected a multiple of the {grid.views} views of the cameras")
    if tokens != grid.tokens:
        raise ValueError(
            f"a view has {tokens} tokens; expected {grid.frames} latent frames x {grid.height} x {grid.width} - "
            "in-context reference frames and other tokens beside the video are not supported"
        )
    if cameras.shape != (rows, grid.frames, CAMERA_NUMBERS):
        raise ValueError(
            f"the cameras have shape {tuple(cameras.shape)}; expected {(rows, grid.frames, CAMERA_NUMBERS)}: a camera "
            "per view and latent frame"
        )
