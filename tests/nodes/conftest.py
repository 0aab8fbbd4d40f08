"""The real host for the node tests; without one they are skipped, with one line that says why."""

from __future__ import annotations

from functools import cache

import pytest

import tests.formula  # noqa: F401 - before ComfyUI's folder, which has a package `tests` too, comes first on the path
from tests.nodes.host_process import Host, host_folder, why_no_host

WITHOUT_HOST = why_no_host()

collect_ignore_glob: list[str] = []
if WITHOUT_HOST:  # test_host.py stays and says so; the others import the host
    collect_ignore_glob = ["test_[!h]*.py"]


@cache
def start_host() -> Host:
    return Host(host_folder())


if not WITHOUT_HOST:
    start_host()


@pytest.fixture(scope="session")
def host() -> Host:
    """ComfyUI with AnimateDiff-Evolved, VideoHelperSuite and this pack."""
    if WITHOUT_HOST:
        pytest.skip(WITHOUT_HOST)
    return start_host()
