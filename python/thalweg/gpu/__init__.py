"""Compute shaders on graphics cards of any maker (Vulkan, Metal, Direct3D 12).

=====================  ======================================================================
`adapters`             what shaders can run on, graphics cards first
`Steps`                parameters and states that live on the device, and are stepped there
`MaxSat`               costs and probes of `thalweg.search.objectives.MaxSat`
`Network`              costs and probes of `thalweg.search.objectives.Network`
`simplex`              many points onto the simplex
`gramian`              inner products of few gradients
`bandwidth`            how fast the device reads and writes, by a shader that copies
`memory`               what this process holds there
`release`              give everything back
=====================  ======================================================================

The environment variable ``THALWEG_GPU_ADAPTER`` chooses the adapter, by its number in `adapters()`
or a part of its name; a function's `adapter` goes before it. Software Vulkan counts as an adapter,
of kind ``"software"``, and comes last.

Wheels come without this module. It is built in with

    maturin develop --release --features python,gpu

in a checkout of the sources, or ``pip install --config-settings build-args="--features
python,gpu" --no-binary thalweg thalweg``.
"""

from __future__ import annotations

from thalweg import _core

if not hasattr(_core, "GpuSteps"):
    raise ImportError(
        "thalweg.gpu is not part of this build; build from source with "
        "maturin develop --release --features python,gpu",
        name="thalweg.gpu",
    )

from thalweg.gpu.device import Adapter, Memory, adapters, bandwidth, memory, release
from thalweg.gpu.gramian import gramian
from thalweg.gpu.maxsat import MaxSat
from thalweg.gpu.network import Network
from thalweg.gpu.simplex import simplex
from thalweg.gpu.steps import Steps

__all__ = [
    "Adapter",
    "MaxSat",
    "Memory",
    "Network",
    "Steps",
    "adapters",
    "bandwidth",
    "gramian",
    "memory",
    "release",
    "simplex",
]
