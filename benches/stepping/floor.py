"""The floor loop: four arrays read, three of them written in place, by the same threads.

`floor.rs` is compiled by rustc for this machine; threads take equal parts of each tensor. Where
rustc is missing the same traffic is made by numpy, block by block in cache, and said so.
"""

from __future__ import annotations

import ctypes
import itertools
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

BYTES = 28
BLOCK = 1 << 14
# Below this many elements a thread costs more than it brings.
SERIAL = 1 << 17

Loop = Callable[[list[np.ndarray]], None]


def make(params: list[Tensor], threads: int) -> tuple[Callable[[], None], str]:
    """Return the loop over `params` and their gradients, and what runs it."""
    loop, kind = _native()
    stretches = [stretch for p in params for stretch in _stretches(p, threads)]
    if threads == 1 or sum(p.numel() for p in params) < SERIAL:
        return lambda: [loop(stretch) for stretch in stretches] and None, kind
    pool = ThreadPoolExecutor(threads - 1)
    # Thread k takes the k-th part of every tensor.
    parts = [stretches[k::threads] for k in range(threads)]

    def run_part(part: list[list[np.ndarray]]) -> None:
        for stretch in part:
            loop(stretch)

    def run() -> None:
        others = [pool.submit(run_part, part) for part in parts[1:]]
        run_part(parts[0])
        for other in others:
            other.result()

    return run, kind


def _stretches(p: Tensor, threads: int) -> list[list[np.ndarray]]:
    """Parameter, gradient and two states, cut in equal parts."""
    assert p.grad is not None
    # The loop is one of singles: parameters of two bytes get stand-ins.
    arrays = [t.detach().float().reshape(-1).numpy() for t in (p, p.grad)]
    arrays += [torch.zeros(p.numel()).numpy() for _ in range(2)]
    cuts = [p.numel() * k // threads for k in range(threads + 1)]
    return [[a[i:j] for a in arrays] for i, j in itertools.pairwise(cuts)]


def _native() -> tuple[Loop, str]:
    rustc = shutil.which("rustc")
    if rustc is None:
        return _blocks, "numpy, blocks in cache (rustc is missing)"
    source = Path(__file__).with_name("floor.rs")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        library = Path(folder) / "floor.so"
        flags = ["-C", "opt-level=3", "-C", "target-cpu=native", "--crate-type", "cdylib"]
        command = [rustc, *flags, "--edition", "2024", "-o", str(library), str(source)]
        subprocess.run(command, check=True)
        function = ctypes.CDLL(str(library)).floor_loop
    function.argtypes = [ctypes.c_void_p] * 4 + [ctypes.c_size_t, ctypes.c_float]
    function.restype = None

    def loop(arrays: list[np.ndarray]) -> None:
        function(*(a.ctypes.data for a in arrays), arrays[0].size, 1e-12)

    return loop, "rustc -C opt-level=3 -C target-cpu=native"


def _blocks(arrays: list[np.ndarray]) -> None:
    for start in range(0, arrays[0].size, BLOCK):
        p, g, m, v = (a[start : start + BLOCK] for a in arrays)
        np.add(m, g, out=m)
        np.subtract(v, g, out=v)
        np.add(p, 0.0, out=p)
