"""A real ComfyUI server on a free port, talked to over HTTP as the front end does."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.nodes.host_process import OTHER_PACKS, PACK

_PATIENCE = 300.0


class Server:
    """``with Server(folder) as server``: running with this pack, and AnimateDiff-Evolved where it is installed.

    Args:
        folder: where ComfyUI is.
        prepare: called with the server's base directory (models, input, output) before it starts.
        others: packs to run with besides this one.
    """

    def __init__(
        self,
        folder: Path,
        prepare: Callable[[Path], object] = lambda base: None,
        others: Sequence[str] = OTHER_PACKS,
    ) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="comfyui-server-"))
        packs = self.base / "custom_nodes"
        packs.mkdir()
        prepare(self.base)
        (packs / "collaborative-video-diffusion").symlink_to(PACK)
        for name in others:
            for place in (folder / "custom_nodes" / name, folder.parent / "packs" / name):
                if place.is_dir() and not (packs / name).exists():
                    (packs / name).symlink_to(place.resolve())
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        options = ["--cpu", "--listen", "127.0.0.1", "--port", str(self.port), "--disable-auto-launch"]
        options += ["--base-directory", str(self.base), "--database-url", "sqlite:///:memory:"]
        self.log = self.base / "log.txt"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "main.py", *options], cwd=folder, stdout=log, stderr=log, env=os.environ | _QUIET
            )

    def __enter__(self) -> Server:
        try:
            deadline = time.monotonic() + _PATIENCE
            while not self._answers():
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the server does not start:\n{self.log.read_text(errors='replace')[-3000:]}")
                time.sleep(0.3)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.base, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            self.get("/system_stats")
        except OSError:
            return False
        return True

    @property
    def peak_memory(self) -> int:
        """Bytes that the server's process held at most."""
        status = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM:"))

    def get(self, path: str) -> Any:
        """Parsed JSON of a GET request."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return json.load(answer)

    def read(self, entry: Mapping[str, str]) -> bytes:
        """A file that a node showed, through ``/view`` as the front end fetches it."""
        query = urllib.parse.urlencode({key: entry[key] for key in ("filename", "subfolder", "type")})
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/view?{query}", timeout=30) as answer:
            return bytes(answer.read())

    def post(self, prompt: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and answer of ``POST /prompt``."""
        body = json.dumps({"prompt": prompt, "extra_data": {"extra_pnginfo": {"workflow": {"nodes": []}}}}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/prompt", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            return refused.code, json.load(refused)

    def execute(self, prompt: Mapping[str, Any], patience: float = _PATIENCE) -> dict[str, Any]:
        """Post a prompt, wait for it at most ``patience`` seconds and return its entry of ``/history``."""
        status, answer = self.post(prompt)
        assert status == 200, answer
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            history = self.get(f"/history/{answer['prompt_id']}")
            if history:
                return dict(history[answer["prompt_id"]])
            time.sleep(0.1)
        raise TimeoutError("the prompt does not end")


_QUIET = {"PYTHONWARNINGS": "ignore"}
