"""Multi-head attention under the names of Stable Diffusion's networks: to_q, to_k, to_v without bias, to_out.0 with."""

from __future__ import annotations

from typing import Any

from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class AttentionLayers(nn.Module):
    """The layers of an attention and what lies between them; who calls them says what attends to what.

    Args:
        channels: of the tokens that come in and out.
        head_width: channels of a head.
        inner: channels of queries, keys and values together; None: as many as come in.
        context: channels of the context; None: those of the tokens.
        ops: namespace of the layers; a host may bring its own.
        factory: ``dtype`` and ``device`` of the parameters.
    """

    def __init__(
        self,
        channels: int,
        head_width: int,
        *,
        inner: int | None = None,
        context: int | None = None,
        ops: Any = nn,
        **factory: Any,
    ) -> None:
        super().__init__()
        self.head_width = head_width
        inner = channels if inner is None else inner
        context = channels if context is None else context
        self.to_q = ops.Linear(channels, inner, bias=False, **factory)
        self.to_k = ops.Linear(context, inner, bias=False, **factory)
        self.to_v = ops.Linear(context, inner, bias=False, **factory)
        self.to_out = nn.ModuleList([ops.Linear(inner, channels, **factory)])

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attention of ``(N, L, inner)`` queries to ``(N, S, inner)`` keys and values, before the output layer.

        Args:
            mask: ``(N or 1, L, S)`` booleans, True where a query may look, or an additive bias.
        """
        q, k, v = (rearrange(t, "n l (h c) -> n h l c", c=self.head_width) for t in (q, k, v))
        y = scaled_dot_product_attention(q, k, v, None if mask is None else mask[:, None])
        return rearrange(y, "n h l c -> n l (h c)")


class Attention(AttentionLayers):
    """Attention of tokens to a context, or to themselves; arguments as :class:`AttentionLayers`."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """``(N, L, C)`` tokens, ``(N, S, context)`` -> ``(N, L, C)``."""
        context = x if context is None else context
        return self.to_out[0](self.attend(self.to_q(x), self.to_k(context), self.to_v(context)))
