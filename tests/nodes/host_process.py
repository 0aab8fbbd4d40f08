"""ComfyUI inside the test process: found, started once, with AnimateDiff-Evolved and this pack loaded."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import os
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PACK = Path(__file__).resolve().parents[2]
OTHER_PACKS = ("ComfyUI-AnimateDiff-Evolved", "ComfyUI-VideoHelperSuite")
_HOST_NEEDS = ("aiohttp", "torchsde", "comfyui_frontend_package")
"""Packages that an environment with ComfyUI's requirements has and one with this project's has not."""

_NO_CACHE = {"lru": 0, "ram": 0.0, "ram_inactive": 0.0}
"""What ``main.py`` of newer hosts tells their executor; it has no defaults."""

OLDER = "only newer hosts have dynamic VRAM, several-stream latents and models on several GPUs"


def host_folder() -> Path:
    """Where ComfyUI is expected: ``COMFYUI_PATH``, or where its own installer puts it."""
    return Path(os.environ.get("COMFYUI_PATH", "~/comfy/ComfyUI")).expanduser()


def why_no_host() -> str:
    """Why the tests here cannot run; empty if they can."""
    folder = host_folder()
    if not (folder / "comfy" / "samplers.py").is_file():
        return f"no ComfyUI in {folder}; set COMFYUI_PATH to its folder"
    missing = [name for name in _HOST_NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        return f"this Python lacks ComfyUI's requirements ({', '.join(missing)}); run with the one ComfyUI runs with"
    return ""


NEWEST = (host_folder() / "comfy" / "nested_tensor.py").is_file()
"""Whether the host has what :data:`OLDER` names."""


@dataclass
class Executed:
    """What became of a prompt.

    Attributes:
        outputs: by node id, what the nodes returned.
        ui: by node id, what they showed.
        error: message of the exception that stopped it, or ``""``.
        failed_node: id of the node that raised it.
        interrupted: stopped by a cancel.
        validation: by node id, messages of the check before execution.
    """

    outputs: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    ui: dict[str, dict[str, Any]] = field(default_factory=dict)
    error: str = ""
    failed_node: str = ""
    interrupted: bool = False
    validation: dict[str, list[str]] = field(default_factory=dict)


class Host:
    """A running ComfyUI without its HTTP port.

    Args:
        folder: where ComfyUI is.
        others: packs to load before this one.
    """

    def __init__(self, folder: Path, others: Sequence[str] = OTHER_PACKS) -> None:
        self.folder = folder
        self._temporary = tempfile.TemporaryDirectory(prefix="comfyui-tests-", ignore_cleanup_errors=True)
        self.base = Path(self._temporary.name)
        self.loop = asyncio.new_event_loop()
        sys.path.insert(0, str(folder))
        arguments, sys.argv = sys.argv, sys.argv[:1]
        try:
            import comfy.options  # noqa: F401 - lets cli_args ignore pytest's arguments
            from comfy.cli_args import args

            args.cpu = True
            args.base_directory = str(self.base)
            importlib.import_module("folder_paths")
            importlib.import_module("utils.extra_config")  # before `nodes`, which shadows it
            self.nodes = importlib.import_module("nodes")
            self.execution = importlib.import_module("execution")
            self.server = importlib.import_module("server").PromptServer(self.loop)
        finally:
            sys.argv = arguments
        options = inspect.signature(self.execution.PromptExecutor).parameters
        self._executor_options = {"cache_args": _NO_CACHE} if "cache_args" in options else {}
        self.loop.run_until_complete(self._load(others))

    async def _load(self, others: Sequence[str]) -> None:
        await self.nodes.init_extra_nodes(init_custom_nodes=False, init_api_nodes=False)
        for name in others:
            await self._load_pack(name)
        if not await self.nodes.load_custom_node(str(PACK), module_parent="custom_nodes"):
            raise RuntimeError("the pack does not load; the log above says why")

    async def _load_pack(self, name: str) -> None:
        for folder in (self.folder / "custom_nodes" / name, self.folder.parent / "packs" / name):
            if folder.is_dir():
                await self.nodes.load_custom_node(str(folder.resolve()), module_parent="custom_nodes")
                return

    def pack(self, module: str) -> Any:
        """A module of this pack as the host imported it: ``pack("nodes.host.guider")``."""
        return importlib.import_module(f"{str(PACK).replace('.', '_x_')}.{module}")

    def animatediff(self, module: str) -> Any:
        """A module of AnimateDiff-Evolved as the host imported it."""
        name = self.nodes.LOADED_MODULE_DIRS[OTHER_PACKS[0]].replace(".", "_x_")
        return importlib.import_module(f"{name}.animatediff.{module}")

    def call(self, node_id: str, **inputs: Any) -> tuple[Any, ...]:
        """Run one node of any API version on values, without a graph."""
        node = self.nodes.NODE_CLASS_MAPPINGS[node_id]
        if hasattr(node, "define_schema"):
            result = node.PREPARE_CLASS_CLONE({}).execute(**inputs)
            return tuple(result.args)
        return tuple(getattr(node(), node.FUNCTION)(**inputs))

    def provide(self, io_type: str, value: Any) -> dict[str, Any]:
        """A prompt's node whose only output is ``value``."""

        class Provide:
            RETURN_TYPES = (io_type,)
            FUNCTION = "give"
            CATEGORY = "tests"

            @classmethod
            def INPUT_TYPES(cls) -> dict[str, Any]:
                return {}

            def give(self) -> tuple[Any, ...]:
                return (value,)

        name = f"TEST_{io_type}_{uuid.uuid4().hex}"
        self.nodes.NODE_CLASS_MAPPINGS[name] = Provide
        return {"class_type": name, "inputs": {}}

    def run(self, prompt: Mapping[str, Any], outputs: list[str] | None = None) -> Executed:
        """Validate and execute a prompt in API format, as ``POST /prompt`` does, with an empty cache.

        Args:
            prompt: nodes by id.
            outputs: ids whose results to keep; they are executed even if they are no output nodes.
        """
        return self.loop.run_until_complete(self._run(dict(prompt), outputs))

    async def _run(self, prompt: dict[str, Any], outputs: list[str] | None) -> Executed:
        done = Executed()
        prompt_id = str(uuid.uuid4())
        if outputs:  # the host runs what an output node needs, so hang one onto each wanted node
            prompt |= {f"keep_{i}": {"class_type": "PreviewAny", "inputs": {"source": [i, 0]}} for i in outputs}
        valid, error, wanted, node_errors = await self.execution.validate_prompt(prompt_id, prompt, None)
        for node, found in node_errors.items():
            done.validation[node] = [f"{e['message']}: {e['details']}" for e in found["errors"]]
        if not valid and not done.validation:
            done.error = f"{error['message']}: {error['details']}"
        if not valid:
            return done
        executor = self.execution.PromptExecutor(self.server, **self._executor_options)
        await executor.execute_async(prompt, prompt_id, {}, wanted)
        for event, data in executor.status_messages:
            if event == "execution_error":
                done.error, done.failed_node = data["exception_message"].strip(), data["node_id"]
            done.interrupted |= event == "execution_interrupted"
        for node in prompt:
            entry = executor.caches.outputs.get(node)
            if inspect.isawaitable(entry):  # since 0.4
                entry = await entry
            if entry is not None:
                done.outputs[node] = tuple(values[0] for values in getattr(entry, "outputs", entry))
        done.ui = {node: dict(shown) for node, shown in executor.history_result.get("outputs", {}).items()}
        return done
