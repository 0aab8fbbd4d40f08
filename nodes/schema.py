"""Node schemas for hosts of several ages: what a newer one can show, an older one goes without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from comfy_api.latest import io

_KNOWN = frozenset(field.name for field in fields(io.Schema))


def node_schema(
    *,
    search_aliases: Sequence[str] = (),
    essentials_category: str | None = None,
    has_intermediate_output: bool = False,
    **described: Any,
) -> io.Schema:
    """A schema with those of the newer fields that the host knows; 0.3.64 knows none of them.

    Args:
        search_aliases: other words that find the node.
        essentials_category: where the node stands in the front end's Essentials tab.
        has_intermediate_output: what the node shows is sent again by a run that finds the node in the cache.
        described: all other fields of the host's schema.
    """
    newer = {
        "search_aliases": list(search_aliases),
        "essentials_category": essentials_category,
        "has_intermediate_output": has_intermediate_output,
    }
    return io.Schema(**described, **{name: value for name, value in newer.items() if name in _KNOWN})
