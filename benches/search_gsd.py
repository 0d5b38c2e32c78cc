"""Private tables against the authors' code (jax), in one process and taking turns.

    python benches/search_gsd.py [--official PATH/TO/private_gsd] [--rows N] [--generations N]

Both sides fit all 2-way marginals, without noise, of one census-like table: 15 categorical columns
of 2 to 40 values that depend on each other, the same proposals a generation. The official
generator (github.com/giusevtr/private_gsd, generator and marginals as they are; needs jax, flax,
chex, pandas) is stopped every hundred generations, in which ours runs once for the same number of
generations from where it was, and once for as many as fill the time. Without `--official` ours
runs alone.
"""

import argparse
import itertools
import sys
import time
import types
from pathlib import Path

import numpy as np

from thalweg import _core

SIZES = [2, 2, 2, 3, 4, 5, 5, 6, 7, 8, 9, 12, 16, 24, 40]
PAIRS = list(itertools.combinations(range(len(SIZES)), 2))
BLOCK = 100
OPERATORS = ["mutate", "continuous", "swap", "cross"]


def census(rows, seed):
    """Codes that share two hidden traits: skewed, correlated, some cells empty."""
    rng = np.random.default_rng(seed)
    traits = rng.normal(size=(rows, 2))
    columns = []
    for size in SIZES:
        weights = rng.normal(size=2)
        score = traits @ weights + 0.7 * rng.normal(size=rows)
        # Shares of categories fall off geometrically, in shuffled order.
        share = np.sort(rng.dirichlet(np.full(size, 0.8)))[::-1]
        order = rng.permutation(size)
        edges = np.quantile(score, np.minimum(np.cumsum(share)[:-1], 1.0))
        columns.append(order[np.searchsorted(edges, score)])
    return np.stack(columns, axis=1).astype(np.uint32)


class Ours:
    """A search over cells from a given table to given shares."""

    def __init__(self, codes, start, seed=0):
        self.marginals = _core.SearchGsdMarginals(SIZES, [list(pair) for pair in PAIRS])
        shares = self.marginals.count(codes.reshape(-1)) / len(codes)
        settings = {"seed": seed, "proposals": 50, "tol": 0.0, "operators": OPERATORS}
        edges = [[] for _ in SIZES]
        self.search = _core.SearchGsd(self.marginals, start, shares, edges, settings)

    def run(self, generations):
        begin = time.perf_counter()
        target = self.search.state[0] + generations
        while self.search.state[0] < target:
            self.search.run(target - self.search.state[0])
        return time.perf_counter() - begin


def load(path):
    """The parts of the official package that make tables, without the wrapper that needs more."""
    root = Path(path) / "src" / "genetic_sd"
    package = types.ModuleType("genetic_sd")
    package.__path__ = [str(root)]
    sys.modules["genetic_sd"] = package
    # Its budget conversion is imported there, and not used here.
    budget = types.ModuleType("snsynth.utils")
    budget.cdp_rho = None
    sys.modules.update({"snsynth": types.ModuleType("snsynth"), "snsynth.utils": budget})
    from genetic_sd.adaptive_statistics import AdaptiveChainedStatistics, Marginals
    from genetic_sd.generator import generator_genetic_sd as generator
    from genetic_sd.generator import mutation_strategies
    from genetic_sd.utils import Dataset, Domain

    return AdaptiveChainedStatistics, Marginals, generator, mutation_strategies, Dataset, Domain


def official(path, codes, start, generations, block):
    """Runs the official generator; `block(seconds, cost)` is called every `BLOCK` generations."""
    import jax
    import pandas as pd

    chained, marginals, generator, strategies, dataset, domain_class = load(path)
    names = [f"c{i}" for i in range(len(SIZES))]
    domain = domain_class({n: {"type": "string", "size": s} for n, s in zip(names, SIZES)})
    table = dataset(pd.DataFrame(codes.astype(float), columns=names), domain)
    statistics = chained(table)
    statistics.add_stat_module_and_fit(marginals.get_all_kway_combinations(domain, k=2))
    # A budget that leaves no noise.
    statistics.private_measure_all_statistics(key=jax.random.PRNGKey(0), rho=1e20)
    made = generator.GeneticSD(
        domain, len(start), generations, generator_operators(), sparse_statistics=True
    )
    tell, seen = strategies.SDStrategy.tell, {"count": 0, "since": time.perf_counter()}

    def watched(self, x, fitness, state):
        out = tell(self, x, fitness, state)
        seen["count"] += 1
        if seen["count"] % BLOCK == 0:
            cost = float(out[0].best_fitness)
            block(time.perf_counter() - seen["since"], cost)
            seen["since"] = time.perf_counter()
        return out

    strategies.SDStrategy.tell = watched
    first = dataset.from_numpy_to_dataset(domain, start.astype(float))
    made.fit(jax.random.PRNGKey(1), statistics, sync_dataset=first)


def generator_operators():
    return ("mutate", "continuous", "swap", "cross")


def quartiles(values, digits=0):
    return " ".join(f"{v:,.{digits}f}" for v in np.percentile(values, [50, 25, 75]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--official")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--generations", type=int, default=1500)
    given = parser.parse_args()
    codes = census(given.rows, 0)
    start = _core.search_gsd_start(SIZES, given.rows, 0)
    even, timed = Ours(codes, start), Ours(codes, start, seed=1)
    print(f"{given.rows} rows, {len(SIZES)} columns, {len(PAIRS)} marginals, "
          f"{even.marginals.offsets[-1]} cells; first cost {even.search.cost:.4g}")  # fmt: skip
    if given.official is None:
        seconds = [timed.run(20_000) for _ in range(10)]
        print("ours: proposals a second", quartiles([1e6 / s for s in seconds]))
        return
    theirs, rates, ratios = [], [], []

    def block(seconds, cost):
        even.run(BLOCK)
        spent = 0.0
        before = timed.search.state[0]
        while spent < seconds:
            spent += timed.run(1000)
        done = timed.search.state[0] - before
        theirs.append((seconds, cost))
        rates.append(50 * done / spent)
        ratios.append((done / spent) / (BLOCK / seconds))

    official(given.official, codes, start.reshape(-1, len(SIZES)), given.generations, block)
    # The first blocks compile.
    skip = len(theirs) // 3
    seconds = np.array([s for s, _ in theirs[skip:]])
    print("official: proposals a second", quartiles(50 * BLOCK / seconds))
    print("ours:     proposals a second", quartiles(rates[skip:]))
    print("ratio of proposals a second", quartiles(ratios[skip:], 1))
    generations = BLOCK * len(theirs)
    print(f"cost after {generations} generations: official {theirs[-1][1]:.4g}, "
          f"ours {even.search.cost:.4g}")  # fmt: skip
    print(f"cost after {sum(s for s, _ in theirs):.0f} s each: official {theirs[-1][1]:.4g}, "
          f"ours {timed.search.cost:.4g}")  # fmt: skip
    fresh, spent = Ours(codes, start, seed=2), 0.0
    while fresh.search.cost > theirs[-1][1] and fresh.search.state[0] < 10 * generations:
        spent += fresh.run(10)
    print(f"ours reaches the last official cost after {fresh.search.state[0]} generations "
          f"in {1e3 * spent:.1f} ms; official took {sum(s for s, _ in theirs):.0f} s")  # fmt: skip


if __name__ == "__main__":
    main()
