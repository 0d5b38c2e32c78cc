"""CBO against cbx: time of the same run, both sides in one process, a step of each in turn.

    python benches/search_cbo.py                 # one and two threads, default method
    python benches/search_cbo.py --kinds memory  # personal bests on both sides

Both have the same particles, sizes and parameters; the objective is one numpy function, which
both call on all particles. It is timed alone too, and ratios are given with and without it. cbx
keeps no history here and its scheduler multiplies alpha, as ours does.
"""

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cbx.dynamics
import numpy as np

import thalweg
from thalweg.search import CBO

SHAPES = [(20, 10), (20, 200), (100, 10), (100, 100), (1000, 10), (1000, 200)]
KINDS = {
    "anisotropic": (cbx.dynamics.CBO, {"noise": "anisotropic"}, {}),
    "isotropic": (cbx.dynamics.CBO, {"noise": "isotropic"}, {"noise": "isotropic"}),
    "memory": (cbx.dynamics.CBOMemory, {"noise": "anisotropic"}, {"lam_memory": 0.4}),
    "adam": (cbx.dynamics.AdamCBO, {"noise": "anisotropic"}, {"betas": (0.9, 0.99)}),
    "polarised": (cbx.dynamics.PolarCBO, {"noise": "anisotropic", "kappa": 1.0}, {"kappa": 1.0}),
    "heaviside": (
        cbx.dynamics.CBO,
        {"noise": "anisotropic", "correction": "heavi_side"},
        {"correction": "heaviside"},
    ),
}


def cost(x):
    return (x**2).sum(axis=-1)


def elapsed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(kind, n, d, seconds):
    make, theirs, ours = KINDS[kind]
    start = np.random.default_rng(0).uniform(-3, 3, size=(n, d))
    peer = make(
        cost, x=start.copy(), f_dim="3D", max_it=10**9, verbosity=0, track_args={"names": []},
        seed=0, **theirs,
    )  # fmt: skip
    schedule = peer.default_sched()
    search = CBO(start, seed=0, **ours)

    def their_step():
        peer.step()
        schedule.update(peer)

    def our_step():
        search.tell(cost(search.ask()))
        if "correction" in ours:
            search.tell(cost(search.ask()))

    rows, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(rows) < 30:
        rows.append([elapsed(their_step), elapsed(our_step), elapsed(lambda: cost(start))])
    their, own, objective = np.array(rows[5:]).T
    whole = np.percentile(own / their, [25, 50, 75])
    without = np.percentile((own - objective) / (their - objective), [25, 50, 75])
    print(
        f"{kind:12} n={n:<5} d={d:<4} with f {whole[1]:.3f} ({whole[0]:.3f}, {whole[2]:.3f})"
        f"   without {without[1]:.3f} ({without[0]:.3f}, {without[2]:.3f})   us a step:"
        f" {np.median(own) * 1e6:.0f} and {np.median(their) * 1e6:.0f},"
        f" f {np.median(objective) * 1e6:.0f}",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=["anisotropic"])
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=1.0, help="for each shape")
    chosen = parser.parse_args()
    for threads in chosen.threads:
        thalweg.set_num_threads(threads)
        print(f"{threads} thread(s); time of ours / cbx, median (quartiles)")
        for kind in chosen.kinds:
            for n, d in SHAPES:
                if kind != "polarised" or n * n * d <= 2_000_000:
                    compare(kind, n, d, chosen.seconds)
