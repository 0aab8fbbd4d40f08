"""Loading a state dict into a module with every difference named."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from cvd_core.weights.kinds import Kind, describe_keys, identify_tensors, where_it_belongs


def load_exact(
    module: nn.Module, state: Mapping[str, Tensor], *, file: str, what: str, dtype: torch.dtype | None = None
) -> None:
    """Load ``state`` into ``module``: the same keys, shapes and kinds of numbers, no more and no less, all finite.

    The module takes the tensors over without a copy when their dtype fits, so it may be built on the meta device and
    ``state`` may be mapped from a file. Devices are those of ``state``.

    Args:
        module: receives the tensors; its own are dropped.
        state: parameters and persistent buffers by name; 8-bit floating-point types are taken like any other.
        file: the file's name, for the message.
        what: what the tensors are, for the message: "sync-module".
        dtype: floating-point tensors are cast to it; None keeps them.

    Raises:
        ValueError: keys are missing, unexpected, of another shape or of another type, or tensors hold NaN or infinity.
            The message names the first of each, counts them, and says what the keys look like if they are another kind
            of model's. The module is then unchanged.
    """
    expected = module.state_dict()
    missing = expected.keys() - state.keys()
    unexpected = state.keys() - expected.keys()
    shared = expected.keys() & state.keys()
    misshaped = {key for key in shared if expected[key].shape != state[key].shape}
    mistyped = {key for key in shared if expected[key].is_floating_point() != is_float(state[key])}
    problems = []
    if missing:
        problems.append(f"missing {len(missing)}: {describe_keys(missing)}")
    if unexpected:
        problems.append(f"unexpected {len(unexpected)}: {describe_keys(unexpected)}")
    if misshaped:
        shapes = [f"{key} {tuple(state[key].shape)} instead of {tuple(expected[key].shape)}" for key in misshaped]
        problems.append(f"of another shape {len(misshaped)}: {describe_keys(shapes)}")
    if mistyped:
        types = [f"{key} {_name(state[key])} instead of {_name(expected[key])}" for key in mistyped]
        problems.append(f"of another type {len(mistyped)}: {describe_keys(types)}")
    if problems:
        fitting = len(shared) - len(misshaped | mistyped)
        found = f"{file} holds {fitting} of {len(expected)} {what} tensors; {'; '.join(problems)}"
        raise ValueError(f"{found}. {_advice(state, fitting, misshaped, mistyped)}")
    taken = {}
    for key, value in state.items():
        require_finite(value, key=key, file=file)
        taken[key] = value.to(dtype) if is_float(value) else value
        if taken[key].dtype != value.dtype and not is_finite(taken[key]):
            raise ValueError(
                f"{file} holds numbers in {key} that {_name(taken[key])} cannot hold; compute in float32 or bfloat16"
            )
    module.load_state_dict(taken, assign=True)


def is_float(tensor: Tensor) -> bool:
    """Whether a tensor holds one ordinary floating-point number per element, of 8 bits or more."""
    return tensor.dtype in _FLOATS


def is_finite(tensor: Tensor) -> bool:
    """Whether there is no NaN and no infinity in a floating-point tensor; others and hollow ones (meta) have none."""
    if not is_float(tensor) or tensor.is_meta or tensor.numel() == 0:
        return True
    if tensor.element_size() == 1:  # 8-bit types are for storage: PyTorch does not calculate with them
        tensor = tensor.to(torch.bfloat16)
    once = tensor[tuple(slice(1) if step == 0 else slice(None) for step in tensor.stride())]  # of expanded ones a part
    low, high = torch.aminmax(once)
    return bool(torch.isfinite(low) & torch.isfinite(high))


def require_finite(tensor: Tensor, *, key: str, file: str) -> None:
    """Refuse a tensor of a file that holds NaN or infinity.

    Raises:
        ValueError: it does; the message names ``key`` and ``file``.
    """
    if not is_finite(tensor):
        raise ValueError(
            f"{file} holds NaN or infinite numbers in {key}; it is damaged, or was saved after a training that went "
            "wrong - get it again"
        )


_FLOATS = frozenset(
    {
        torch.float64,
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.float8_e4m3fn,
        torch.float8_e5m2,
        torch.float8_e4m3fnuz,
        torch.float8_e5m2fnuz,
    }
)
"""Types of weights. What else PyTorch calls floating-point packs several numbers or holds scales alone."""


def _name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _advice(state: Mapping[str, Tensor], fitting: int, misshaped: set[str], mistyped: set[str]) -> str:
    if misshaped:
        return "It was made for a network of other widths; use files of one family"
    info = identify_tensors(state)
    if not fitting and not mistyped and info.kind is not Kind.UNKNOWN:
        return f"Its keys look like {info.label}. {where_it_belongs(info.kind)}"
    if mistyped:
        return "It is damaged, or quantised in a way that is not known here; use float32, float16, bfloat16 or float8"
    return "It is incomplete or of another version; use the official file"
