"""No more threads per worker than there are cores for it: PyTorch's threads would wait for each other."""

from __future__ import annotations

import os

import torch

_cores_each = (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
torch.set_num_threads(max(1, min(torch.get_num_threads(), _cores_each)))
