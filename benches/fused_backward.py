"""Peak memory and time of training: the ordinary loop and steps inside the backward pass.

    python benches/fused_backward.py --width 2048 --layers 12

Memory is the peak of resident memory of a process that trains for three steps, above what it has
after a step of a small model; one process for each loop. glibc is told to give freed tensors back
(MALLOC_MMAP_THRESHOLD_), so that what counts is what is alive; `--malloc` leaves it as it is.
Times are of one process, in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from stepping import measure
from torch import nn

import thalweg
from thalweg import optim

LOOPS = ("ordinary", "fused")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--malloc", action="store_true", help="leave the allocator as it is")
    parser.add_argument("--json", action="store_true", help="print the memory as one record")
    parser.add_argument("--child", choices=LOOPS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    thalweg.set_num_threads(arguments.threads)
    if arguments.child:
        print(_peak(arguments.child, arguments))
        return
    record = {"parameters": 4 * arguments.layers * arguments.width * arguments.width}
    for loop in LOOPS:
        command = [sys.executable, __file__, *sys.argv[1:], "--child", loop]
        told = {} if arguments.malloc else {"MALLOC_MMAP_THRESHOLD_": "65536"}
        environment = {**os.environ, **told}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
        record[loop] = int(done.stdout)
    if arguments.json:
        print(json.dumps(record))
        return
    mib = {key: value / 2**20 for key, value in record.items()}
    print(f"parameters {mib['parameters']:.0f} MiB, state of AdamW {2 * mib['parameters']:.0f} MiB")
    for loop in LOOPS:
        times = mib[loop] / mib["parameters"]
        print(f"{loop:<9} peak {mib[loop]:7.1f} MiB, {times:.2f} times the parameters")
    contenders = [measure.Contender(loop, _step(loop, arguments)) for loop in LOOPS]
    result = measure.run(contenders, rounds=9, sample=0.0)
    low, middle, high = measure.quartiles(result.ratios("fused", "ordinary"))
    print(f"time fused / ordinary {middle:.3f} [{low:.3f}, {high:.3f}], {len(result.kept)}/9 kept")


def _peak(loop: str, arguments: argparse.Namespace) -> int:
    # What libraries set up at the first call is no part of either loop.
    _step("ordinary", argparse.Namespace(**{**vars(arguments), "layers": 1}))()
    before = _resident_peak()
    step = _step(loop, arguments)
    for _ in range(3):
        step()
    return _resident_peak() - before


def _resident_peak() -> int:
    """Bytes of resident memory at the highest."""
    import resource

    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: there a process starts from the peak of the one that forked it.
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _step(loop: str, arguments: argparse.Namespace) -> Callable[[], None]:
    x = torch.randn(arguments.batch, arguments.width)
    layers = [nn.Linear(arguments.width, arguments.width, False) for _ in range(arguments.layers)]
    model = nn.Sequential(*layers)
    if loop == "fused":
        optimizer = optim.fuse_backward(model, lambda p: optim.AdamW(p, lr=1e-6))
    else:
        optimizer = optim.AdamW(model.parameters(), lr=1e-6)

    def step() -> None:
        model(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


if __name__ == "__main__":
    main()
