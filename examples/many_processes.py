"""One search in several processes: each evaluates its share, and only costs travel.

    torchrun --nproc-per-node 4 examples/many_processes.py

The result is the same for any number of processes, bit for bit; python alone is one process.
"""

import os

import numpy as np
import torch.distributed as dist

from thalweg.search import ParticleSwarm, spread


def drop(x, steps=300, dt=0.01):
    """How far from rest a weight on a rope is after a while; x drives the other end."""
    position, speed, end = 1.0, 0.0, 0.0
    for k in range(steps):
        end += dt * x[k * len(x) // steps]
        speed += dt * (-4.0 * np.sin(position - end) - 0.1 * speed)
        position += dt * speed
    return abs(position) + abs(speed) + 0.01 * (x**2).sum()


if __name__ == "__main__":
    if "RANK" in os.environ:
        dist.init_process_group("gloo")
    search = ParticleSwarm(np.zeros(6), population=20, bounds=[(-2, 2)] * 6, seed=0)
    with spread(lambda rows: [drop(x) for x in rows], search) as costs:
        for _ in range(25):
            search.tell(costs(search.ask()))
    if not dist.is_initialized() or dist.get_rank() == 0:
        print(f"{costs.processes} processes, cost {search.best.cost!r}")
    if dist.is_initialized():
        dist.destroy_process_group()
