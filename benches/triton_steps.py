"""Steps of CUDA tensors by printed kernels, beside torch's fused AdamW and beside a copy.

    python benches/triton_steps.py --sizes 25e6,500e6 --rules adamw,lion

Needs a CUDA device and Triton, and says so where there is none. Both sides in one process, in turn;
ratios are medians with quartiles of paired rounds. `bytes` is the time over that of copying as many
bytes as the rule must read and write.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable

import torch

from thalweg import optim
from thalweg._registry import rules
from thalweg.optim import kernels

Step = Callable[[], object]


def main() -> int:
    arguments = _arguments()
    if not torch.cuda.is_available():
        print("triton_steps: needs a CUDA device; torch finds none, so nothing was measured")
        return 0
    device = torch.device("cuda")
    if not kernels.ready(device):
        print("triton_steps: needs Triton for this device; nothing was measured")
        return 0
    properties = torch.cuda.get_device_properties(device)
    print(f"{properties.name}, torch {torch.__version__}, CUDA {torch.version.cuda}")
    dtype = getattr(torch, arguments.dtype)
    for size in arguments.sizes:
        for tensors in (1, 300):
            for rule in arguments.rules:
                _line(rule, int(size), tensors, dtype, arguments.rounds)
    return 0


def _line(rule: str, size: int, tensors: int, dtype: torch.dtype, rounds: int) -> None:
    shapes = [size // tensors] * tensors
    params, twins = (_parameters(shapes, dtype) for _ in range(2))
    ours = getattr(optim, rules()[rule].class_name)(params, lr=1e-3)
    ours.step()
    state = [
        value
        for p in params
        for value in ours.state[p].values()
        if value.shape == p.shape and value.device == p.device
    ]
    moved = sum(2 * p.nbytes + p.grad.nbytes for p in params) + 2 * sum(s.nbytes for s in state)
    source, target = (torch.empty(moved // 2, dtype=torch.uint8, device="cuda") for _ in range(2))
    sides: dict[str, Step] = {"ours": ours.step, "copy": lambda: target.copy_(source)}
    if rule == "adamw":
        sides["fused"] = torch.optim.AdamW(twins, lr=1e-3, fused=True).step
    times = _times(sides, rounds)
    median = statistics.median(times["ours"])
    ratios = {
        name: [a / b for a, b in zip(times["ours"], times[name], strict=True)]
        for name in sides
        if name != "ours"
    }
    text = "  ".join(f"/{name} {_quartiles(values)}" for name, values in ratios.items())
    print(
        f"{rule:22} {dtype} {size:11,} in {tensors:3}: {median:8.3f} ms "
        f"{moved / median / 1e9:6.3f} TB/s  {text}",
        flush=True,
    )


def _parameters(sizes: list[int], dtype: torch.dtype) -> list[torch.nn.Parameter]:
    params = [torch.nn.Parameter(torch.ones(n, dtype=dtype, device="cuda")) for n in sizes]
    for p in params:
        p.grad = torch.full_like(p, 1e-3)
    return params


def _times(sides: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Return milliseconds of each side, round by round, the sides in turn."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 3):
        for name, step in sides.items():
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            step()
            end.record()
            end.synchronize()
            # The first rounds compile and make state.
            if number >= 3:
                times[name].append(start.elapsed_time(end))
    return times


def _quartiles(values: list[float]) -> str:
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.3f} [{low:.3f}, {high:.3f}]"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    numbers = lambda text: [float(part) for part in text.split(",")]  # noqa: E731
    parser.add_argument("--sizes", type=numbers, default=[25e6, 500e6], help="elements in all")
    parser.add_argument("--rules", type=lambda text: text.split(","), default=["adamw", "lion"])
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.rules) - set(rules()))
    if unknown:
        parser.error(f"--rules must be among {', '.join(rules())}, got {unknown[0]}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
