"""Ask and tell of `thalweg.search.CMA` against the package it wraps, and pycma.

python benches/search_cma.py        # microseconds an evaluation, ratios of runs that take turns
"""

import time

import cmaes
import numpy as np

from thalweg.search import CMA

try:
    import cma
except ImportError:
    cma = None


def ours(search, costs):
    search.ask()
    search.tell(costs)


def package(search, costs):
    rows = [search.ask() for _ in costs]
    search.tell(list(zip(rows, costs.tolist())))


def pycma(search, costs):
    search.tell(search.ask(), costs.tolist())


def main(rounds=120):
    for d in (10, 40, 100):
        start = np.ones(d)
        runs = {
            "ours": (ours, CMA(start, seed=0)),
            "cmaes": (package, cmaes.CMA(start, 0.5, seed=1)),
        }
        n = runs["ours"][1].population
        if cma is not None:
            options = {"verbose": -9, "seed": 1, "popsize": n}
            runs["pycma"] = (pycma, cma.CMAEvolutionStrategy(start, 0.5, options))
        times = {name: [] for name in runs}
        rng = np.random.default_rng(0)
        for _ in range(rounds):
            costs = rng.normal(size=n)
            for name, (step, search) in runs.items():
                begin = time.perf_counter()
                step(search, costs)
                times[name].append((time.perf_counter() - begin) / n * 1e6)
        text = f"d={d:<4} {np.median(times['ours']):.0f} us an evaluation"
        for name in list(runs)[1:]:
            q = np.percentile(np.divide(times["ours"], times[name])[5:], [25, 50, 75])
            text += f", {q[1]:.2f} of {name} (quartiles {q[0]:.2f}, {q[2]:.2f})"
        print(text)


if __name__ == "__main__":
    main()
