"""The pack in the host."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nodes.fresh_process import run_fresh
from tests.nodes.host_process import NEWEST, Host, why_no_host

if WHY := why_no_host():
    pytest.skip(WHY, allow_module_level=True)


def test_pack_loads(host: Host) -> None:
    import folder_paths

    assert "cvd" in folder_paths.folder_names_and_paths
    assert {
        "CVD_SyncModuleLoader",
        "CVD_ApplySync",
        "CVD_CollaborativeKSampler",
    } <= host.nodes.NODE_CLASS_MAPPINGS.keys()


def test_every_input_explains_itself(host: Host) -> None:
    ours = {name: node for name, node in host.nodes.NODE_CLASS_MAPPINGS.items() if name.startswith("CVD_")}
    assert ours
    for name, node in ours.items():
        schema = node.GET_SCHEMA()
        assert schema.description, name
        assert schema.display_name, name
        for given in schema.inputs:
            assert given.tooltip, f"{name}.{given.id}"


def test_sampling_without_animatediff(host: Host, tmp_path: Path) -> None:
    """In a host that never had it: the nodes are there, and the sampler says what to install."""
    alone = run_fresh("without_animatediff", tmp_path)
    ours = {name for name in host.nodes.NODE_CLASS_MAPPINGS if name.startswith("CVD_")}
    assert {name for name in alone["nodes"] if name.startswith("CVD_")} == ours
    assert alone["failed"] == "sampler"
    assert "no motion module" in alone["error"]
    assert "Apply Motion + Camera" in alone["error"]


def test_newer_fields_are_told_where_the_host_knows_them(host: Host) -> None:
    nodes = {
        name: node.GET_SCHEMA() for name, node in host.nodes.NODE_CLASS_MAPPINGS.items() if name.startswith("CVD_")
    }
    if NEWEST:
        assert all(schema.search_aliases for schema in nodes.values())
        words = {word.replace("-", " ") for schema in nodes.values() for word in schema.search_aliases}
        assert words >= {"camera path", "orbit", "dolly", "bullet time", "novel view", "4 views", "sync"}
        kept = {name for name, schema in nodes.items() if schema.has_intermediate_output}
        assert kept == {"CVD_PluckerEmbed", "CVD_EpipolarMask"}
        assert nodes["CVD_MultiViewVideoCombine"].essentials_category == "Video Tools"
    else:
        assert not any(hasattr(schema, "search_aliases") for schema in nodes.values())


def test_torchvision_is_not_needed(host: Host, tmp_path: Path) -> None:
    found = run_fresh("without_torchvision", tmp_path)
    assert found["nodes"] == sorted(name for name in host.nodes.NODE_CLASS_MAPPINGS if name.startswith("CVD_"))


@pytest.mark.parametrize("node_id", ["EmptyImage"])
def test_host_executes(host: Host, node_id: str) -> None:
    prompt = {"1": {"class_type": node_id, "inputs": {"width": 64, "height": 64, "batch_size": 2, "color": 255}}}
    done = host.run(prompt, outputs=["1"])
    assert not done.error
    assert done.outputs["1"][0].shape == (2, 64, 64, 3)
