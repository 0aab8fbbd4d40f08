"""Names of what is in a network call, for everything that keeps results by the host's uuids.

The host gives every conditioning a uuid, and its caches (EasyCache) and those of other packs store by it. A
collaborative run calls the network with one conditioning for many pairs, windows and views, each with a result of its
own, so each needs a name of its own - the same one whenever it comes again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid5


def named(uuids: Sequence[UUID], *what: object) -> list[UUID]:
    """The uuids of ``what``: equal for equal arguments, different for all others.

    Args:
        uuids: the host's, one per guidance branch in the batch.
        what: numbers, or tuples of them.
    """
    return [uuid5(uuid, repr(what)) for uuid in uuids]


def renamed(conds: Sequence[dict[str, Any]], *what: object) -> list[dict[str, Any]]:
    """Copies of the host's conditionings with the uuids of ``what``, see :func:`named`."""
    return [{**cond, "uuid": named([cond["uuid"]], *what)[0]} for cond in conds]


def named_apart(uuids: Sequence[UUID], count: int) -> list[UUID]:
    """``count`` uuids for each one, in its place: for batches in which every branch is cut into so many parts."""
    return [uuid5(uuid, str(part)) for uuid in uuids for part in range(count)]
