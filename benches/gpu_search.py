"""Shaders for search and projection against the CPU core, both doing the same work.

    python benches/gpu_search.py [maxsat|network|simplex|gramian]...

All parts without arguments. Calls take turns in one process; a ratio is GPU time over CPU time,
transfers to the device and back included. On software Vulkan the same processor does both, so
ratios above 1 are expected there: they say what the detour through shaders costs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import thalweg
from thalweg import aggregate, gpu, project
from thalweg.search import objectives
from thalweg.search.objectives._arrays import as_flips

REPEAT = 7


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(name: str, on_gpu: Callable[[], Any], on_cpu: Callable[[], Any], items: int) -> None:
    """Print the ratio of times and its quartiles, and items a second of both."""
    on_gpu(), on_cpu()
    pairs = [(seconds(on_gpu), seconds(on_cpu)) for _ in range(REPEAT)]
    ratios = sorted(a / b for a, b in pairs)
    low, middle, high = statistics.quantiles(ratios, n=4)
    rates = [items / statistics.median(side) for side in zip(*pairs)]
    print(
        f"{name:34} GPU/CPU {middle:6.2f} [{low:.2f}, {high:.2f}]   "
        f"{rates[0]:10.3g} and {rates[1]:10.3g} a second"
    )


def maxsat() -> None:
    problem = objectives.MaxSat.random(20_000, seed=0)
    shader = gpu.MaxSat(problem)
    rng = np.random.default_rng(0)
    row = rng.integers(0, 2, 20_000).astype(bool)
    # Every pair of a random matching, flipped in its three ways.
    pairs = rng.permutation(20_000).reshape(-1, 2)
    probes = [p for a, b in pairs.tolist() for p in ([a], [b], [a, b])]
    assert (shader.probe(row, probes) == problem.probe(row, probes)).all()
    flips = as_flips(probes)
    compare(
        "MAX-SAT, a state and its probes",
        lambda: shader._core.probe(row, *flips),
        lambda: problem._core.state(row).probe(*flips),
        len(probes),
    )
    rows = rng.integers(0, 2, (200, 20_000)).astype(bool)
    assert (shader.evaluate(rows) == problem.evaluate(rows)).all()
    compare(
        "MAX-SAT, whole assignments",
        lambda: shader.evaluate(rows),
        lambda: problem.evaluate(rows),
        len(rows),
    )


def network() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((512, 784), np.float32), rng.integers(0, 10, 512)
    shapes = {
        "spiking": [("lif", 128), ("lif", 10)],
        "threshold": [("threshold", 128), ("linear", 10)],
        "relu": [("relu", 128), ("linear", 10)],
        "staircase, two layers": [("staircase", 128), ("staircase", 128), ("linear", 10)],
    }
    for name, shape in shapes.items():
        sizes = [784, *(units for _, units in shape)]
        layers = [
            objectives.Dense.random(i, o, unit, rng=rng)
            for i, o, (unit, _) in zip(sizes, sizes[1:], shape)
        ]
        native = objectives.Network(layers)
        shader = gpu.Network(native)
        u = rng.normal(0, 0.02, (8 if len(shape) == 2 else 1, 785)).astype(np.float32)
        found, want = (side.probe(x, y, 0, u) for side in (shader, native))
        compare(
            f"{name}, probes of layer 0",
            lambda side=shader, u=u: side.probe(x, y, 0, u),
            lambda side=native, u=u: side.probe(x, y, 0, u),
            found.size,
        )
        print(f"{'':34} largest difference {np.abs(found - want).max():.1e}")


def simplex() -> None:
    for m, n in [(4000, 250), (100, 10_000)]:
        x = np.random.default_rng(0).standard_normal((m, n)).astype(np.float32)
        compare(
            f"simplex, {m} x {n}", lambda x=x: gpu.simplex(x), lambda x=x: project.simplex(x), m
        )


def gramian() -> None:
    for m, d in [(4, 1_000_000), (32, 250_000)]:
        jacobian = np.random.default_rng(0).standard_normal((m, d)).astype(np.float32)
        compare(
            f"gramian, {m} x {d}",
            lambda j=jacobian: gpu.gramian(j),
            lambda j=jacobian: aggregate.gramian(j),
            m * d,
        )


PARTS = {part.__name__: part for part in (maxsat, network, simplex, gramian)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS])
    first = gpu.adapters()[0]
    print(f"adapter {first.name} ({first.kind}, {first.backend}, {first.driver})")
    print(f"CPU core on {thalweg.get_num_threads()} threads")
    for chosen in parser.parse_args().parts or PARTS:
        PARTS[chosen]()
