"""MeZO's passes over the parameters against the same in plain torch, as its authors write them.

    python benches/mezo.py              # both sides take turns in one process; loss costs nothing

Time of a step without the two forward passes: noise, perturbations, update.
"""

import argparse
import time

import numpy as np
import torch

import thalweg
from thalweg.search import MeZO

EPS, LR = 1e-3, 1e-6


def plain_step(params, closure, rng):
    """Perturb by +1, -2 and +1 times eps z, then update, with z drawn anew from one seed."""
    seed = int(rng.integers(2**31))

    def move(scale):
        torch.manual_seed(seed)
        for p in params:
            p.data.add_(torch.normal(0.0, 1.0, p.shape, dtype=p.dtype), alpha=scale * EPS)

    with torch.no_grad():
        move(1.0)
        plus = closure()
        move(-2.0)
        minus = closure()
        move(1.0)
        torch.manual_seed(seed)
        for p in params:
            z = torch.normal(0.0, 1.0, p.shape, dtype=p.dtype)
            p.data.sub_(LR * ((plus - minus) / (2 * EPS) * z))


def main(rounds, threads):
    thalweg.set_num_threads(threads)
    torch.set_num_threads(threads)
    for dtype in (torch.float32, torch.bfloat16):
        sizes = [(1024, 1024)] * 8 + [(1024,)] * 8
        params = [torch.randn(size).to(dtype).requires_grad_() for size in sizes]
        optimizer, rng = MeZO(params, lr=LR, eps=EPS, seed=0), np.random.default_rng(0)
        count, ratios, ours = sum(p.numel() for p in params), [], []
        for _ in range(rounds):
            start = time.perf_counter()
            plain_step(params, lambda: 1.0, rng)
            middle = time.perf_counter()
            optimizer.step(lambda: 1.0)
            end = time.perf_counter()
            ratios.append((end - middle) / (middle - start))
            ours.append((end - middle) / count * 1e9)
        q = np.percentile(ratios[1:], [25, 50, 75])
        print(
            f"{str(dtype)[6:]}, {threads} threads: {q[1]:.2f} of plain torch "
            f"(quartiles {q[0]:.2f}, {q[2]:.2f}), {np.median(ours):.2f} ns a parameter and step"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    main(**vars(parser.parse_args()))
