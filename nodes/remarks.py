"""What the core warns of, shown in the node and not only on the console."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import ParamSpec, cast

from comfy_api.latest import io

P = ParamSpec("P")

_PACK = Path(__file__).resolve().parents[1]


def shows_warnings(execute: Callable[P, io.NodeOutput]) -> Callable[P, io.NodeOutput]:
    """A node's ``execute`` that adds what this pack warned of to the texts the node shows.

    Without a warning the texts are there but empty, so that the front end takes those of the run before away.
    """

    @wraps(execute)
    def shown(*args: P.args, **kwargs: P.kwargs) -> io.NodeOutput:
        with _collected() as found:
            output = execute(*args, **kwargs)
        ui = cast(Mapping[str, tuple[str, ...]], output.ui or {})
        output.ui = {**ui, "text": (*ui.get("text", ()), *(f"Warning: {words}" for words in found))}
        return output

    return shown


@contextmanager
def _collected() -> Iterator[list[str]]:
    """The messages that this pack warns of inside, which go to the log too; those of others are left to Python."""
    found: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield found
    for warning in caught:
        if Path(warning.filename).resolve().is_relative_to(_PACK):
            found.append(str(warning.message))
            logging.warning(found[-1])
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
