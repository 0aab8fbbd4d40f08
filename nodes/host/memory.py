"""What the pack asks of the host's memory management, in the words of old and new hosts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import comfy.model_management

from cvd_core.memory import first_line, lacks_memory

_SCHEDULE = "model_sampling."


def free_memory(model: Any) -> int:
    """Bytes that a network call of ``model`` may take on its device.

    Newer hosts count what they could take back from loaded weights, and have their patchers asked for it.
    """
    ask = getattr(model, "get_free_memory", comfy.model_management.get_free_memory)
    return int(ask(model.load_device))


@contextmanager
def advising(smaller: str) -> Iterator[None]:
    """Where memory runs out inside the block, say in one line what to make smaller.

    The exception stays the one that was raised, by whose class the host knows that it has to unload its models.

    Args:
        smaller: what to do, as a sentence goes on behind "not enough memory;".
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if lacks_memory(error):
            error.args = (f"not enough memory; {smaller} ({first_line(error)})",)
        raise


def keep_schedule(executor: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
    """:func:`keeping_schedules` as the host's wrapper around its preparation of a run."""
    with keeping_schedules(model):
        return executor(model, *args, **kwargs)


@contextmanager
def keeping_schedules(model: Any) -> Iterator[None]:
    """Have the host load ``model`` without mixing up the noise schedules of models that share its network.

    With dynamic VRAM the host keeps buffers by their path and puts them back at the next load. A motion module replaces
    the checkpoint's ``model_sampling`` by its own, at the same path, so that the schedule of one would end up in the
    other (ComfyUI issue 16490). A schedule is a few kilobytes: it may stay where it is.
    """
    _forget_schedules(model)
    try:
        yield
    finally:
        _forget_schedules(model)


def _forget_schedules(model: Any) -> None:
    kept: dict[str, Any] = getattr(model, "backup_buffers", {})
    for path in [path for path in kept if path.startswith(_SCHEDULE)]:
        del kept[path]
