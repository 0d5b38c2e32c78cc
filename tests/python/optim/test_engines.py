"""DDP, FSDP2 and distributed checkpoints in several gloo processes; see engines.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch.distributed as dist

import thalweg

if sys.platform == "win32" or not dist.is_available() or not dist.is_gloo_available():
    pytest.skip("this torch has no gloo that shards", allow_module_level=True)

SCRIPT = Path(__file__).with_name("engines.py")
NAMES = [
    "ddp_is_one_process",
    "ddp_replicas_stay_the_same_bits",
    "ddp_takes_the_smallest_radius",
    "ddp_objects_stay",
    "ddp_communication_hook",
    "ddp_accumulates",
    "wrappers_look_together",
    "zero_redundancy",
    "fsdp_is_one_process",
    "fsdp_steps_shards_natively",
    "fsdp_state_is_sharded_alike",
    "fsdp_keeps_state_of_low_precision",
    "fsdp_low_precision_round_trip",
    "fsdp_refuses_low_precision_of_whole_tensors",
    "fsdp_clips_by_the_norm_of_all",
    "fsdp_skips_together",
    "fused_backward_refuses",
    "dcp_round_trip",
    "dcp_initialization_is_harmless",
    "dcp_saves",
    "dcp_loads",
]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What each scenario came to, for each process of two, then of three."""
    folder = tmp_path_factory.mktemp("engines")
    found: dict[str, list[str]] = {}
    for world in (2, 3):
        environment = {**os.environ, "PYTHONPATH": str(Path(thalweg.__file__).parents[1])}
        processes = [
            subprocess.Popen(
                [sys.executable, str(SCRIPT), str(folder), str(world), str(rank)],
                env=environment,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(world)
        ]
        errors = []
        for process in processes:
            try:
                errors.append(process.communicate(timeout=240)[1])
            except subprocess.TimeoutExpired:
                process.kill()
                errors.append("timed out\n" + process.communicate()[1])
        for rank in range(world):
            path = folder / f"{world}-{rank}.json"
            written = json.loads(path.read_text()) if path.exists() else {}
            for name in NAMES:
                if (name == "dcp_loads") == (world == 3):
                    found.setdefault(name, []).append(written.get(name, errors[rank]))
    return found


@pytest.mark.xdist_group("engines")
@pytest.mark.parametrize("name", NAMES)
def test_in_several_processes(results, name):
    assert results[name] == ["ok"] * (3 if name == "dcp_loads" else 2), "\n".join(results[name])
