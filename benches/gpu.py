"""Steps on a device beside a copy shader on the same device, and beside the CPU.

    python benches/gpu.py [--elements N] [--rounds N] [--rules adamw,lion,...|all] [--adapter NAME]

A round runs the copy, the step and the step on the CPU in turn; printed are medians and quartiles
of ratios inside a round. Bandwidth counts bytes that must move: a copy 8 an element, a step 12
(parameter read and written, gradient read) and 8 for each state; AdamW 28. At least 0.9 is wanted
of AdamW. Gradients lie on the device already; the last column is a first step that sends them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from thalweg import _core, gpu, steps

CLASSES = {entry["name"]: entry["class"] for entry in _core.optim_rules()}
OPTIONS = {"triplemomentum": {"L": 10.0, "mu": 1.0}}


def seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def quartiles(values: list[float]) -> str:
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def copied(elements: int, adapter: str | None) -> float:
    """Bytes per second of the copy shader, once its memory was touched."""
    return max(_core.gpu_bandwidth(4 * elements, 4, adapter)[2:])


def measure(rule: str, arguments: argparse.Namespace) -> str:
    shape = (arguments.elements // 1024, 1024) if rule == "muon" else (arguments.elements,)
    rng = np.random.default_rng(0)
    x, g = (rng.standard_normal(shape, np.float32) for _ in range(2))
    options = OPTIONS.get(rule, {})
    device = gpu.Steps(rule, [x], adapter=arguments.adapter, **options)
    host = getattr(steps, CLASSES[rule])(**options)
    count = len(_core.optim_states(rule, host.hyper))
    moved = (12 + 8 * count) * x.size

    def on_device() -> None:
        device.step(loss=1.0)
        device.finish()

    sent = seconds(lambda: device.step([g], loss=1.0))
    host.step([x], [g], loss=1.0)
    against_copy, against_cpu = [], []
    for _ in range(arguments.rounds):
        copy = copied(x.size, arguments.adapter)
        step = seconds(on_device)
        cpu = seconds(lambda: host.step([x], [g], loss=1.0))
        against_copy.append(moved / step / copy)
        against_cpu.append(step / cpu)
    return (
        f"{rule:22} {12 + 8 * count:4} B  {quartiles(against_copy):22} {quartiles(against_cpu):22} "
        f"{sent * 1e3:8.1f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--elements", type=int, default=4 << 20)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--rules", default="adamw")
    parser.add_argument("--adapter")
    arguments = parser.parse_args()
    if not gpu.adapters():
        raise SystemExit("no adapter was found that shaders run on")
    adapter = gpu.Steps("sgd", [np.ones(1, np.float32)], adapter=arguments.adapter).adapter
    print(f"{adapter.name}, {adapter.kind}, {adapter.backend}, {adapter.driver}")
    print(f"{arguments.elements} elements; CPU threads: {_core.get_num_threads()}")
    print(f"{'rule':22} {'moved':>6}  {'bandwidth / copy':22} {'time / CPU':22} first, sent")
    for rule in CLASSES if arguments.rules == "all" else arguments.rules.split(","):
        print(measure(rule, arguments), flush=True)


if __name__ == "__main__":
    main()
