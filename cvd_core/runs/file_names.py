"""Names of the files of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence

_LONGEST = 100


def file_stems(names: Sequence[str], taken: Sequence[str] = ()) -> list[str]:
    """File names without extension for ``names``, different from each other and from ``taken`` on every file system.

    Letters, digits, ``.``, ``-`` and ``_`` stay, everything else becomes ``_``.
    """
    used = {name.casefold() for name in taken}
    stems = []
    for index, name in enumerate(names):
        stem = plain = re.sub(r"[^\w.-]+", "_", name)[:_LONGEST].strip("._") or f"view{index}"
        number = 2
        while stem.casefold() in used:
            stem, number = f"{plain}_{number}", number + 1
        used.add(stem.casefold())
        stems.append(stem)
    return stems
