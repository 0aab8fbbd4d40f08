"""Telling want of memory from other errors."""

from __future__ import annotations

_WORDS = ("OutOfMemoryError", "out of memory", "DefaultCPUAllocator", "ALLOC_FAILED", "Storage size calculation")


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that there is not enough memory.

    PyTorch has a class of its own where a GPU's memory does not suffice, and none for that of the CPU or for sizes that
    no memory holds.
    """
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in f"{type(error).__name__}: {error}" for word in _WORDS)
