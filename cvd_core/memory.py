"""Telling want of memory from other errors."""

from __future__ import annotations

_WORDS = ("OutOfMemoryError", "out of memory", "DefaultCPUAllocator", "ALLOC_FAILED", "Storage size calculation")


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that there is not enough memory.

    PyTorch has an exception class for a GPU that runs out of memory, but none for the CPU or for sizes that
    no memory holds.
    """
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in f"{type(error).__name__}: {error}" for word in _WORDS)


def first_line(error: BaseException) -> str:
    """What an error says, without the statistics that PyTorch adds where memory runs out; its class if nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)
