"""Types of numbers by accelerate's words for them."""

from __future__ import annotations

import torch

COMPUTED_IN = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""The type in which autocast multiplies matrices."""
