"""As many threads per worker as there are cores for it: with more, PyTorch's threads wait for each other."""

from __future__ import annotations

import os

import torch

torch.set_num_threads(max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))))
