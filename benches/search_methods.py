"""Searchers on standard functions in a box, next to peers on the same start and budget.

    python benches/search_methods.py --seeds 0 3 --dims 10 40 --workers 2
    python benches/search_methods.py --methods DE "scipy DE" "ng DE"
    python benches/search_methods.py --picture docs/search_profile.png
    python benches/search_methods.py --overhead 100

The budget is 500 d evaluations, at most 20000. The table has medians over seeds of the best cost;
the picture is a performance profile: the share of problems (function, d, seed) on which a method
ends within a factor of the best method's error, errors below 1e-8 counted as 1e-8. Every lowest
cost is 0. Settings are the same for all functions. A peer that is not installed is left out.
"""

import argparse
import functools
import multiprocessing
import time
import warnings
from contextlib import suppress
from importlib.util import find_spec

import numpy as np
from scipy.optimize import differential_evolution, minimize

from thalweg import search

LOW, HIGH = -5.0, 5.0


def sphere(x):
    return (x**2).sum(axis=1)


def rosenbrock(x):
    return (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(axis=1)


def rastrigin(x):
    return (x**2 - 10 * np.cos(2 * np.pi * x) + 10).sum(axis=1)


def ackley(x):
    slope = 20 * np.exp(-0.2 * np.sqrt((x**2).mean(axis=1)))
    return 20 + np.e - slope - np.exp(np.cos(2 * np.pi * x).mean(axis=1))


def griewank(x):
    x = 120 * x
    waves = np.cos(x / np.sqrt(np.arange(1, x.shape[1] + 1))).prod(axis=1)
    return (x**2).sum(axis=1) / 4000 - waves + 1


def schwefel(x):
    x = 100 * x
    return 418.9828872724339 * x.shape[1] - (x * np.sin(np.sqrt(np.abs(x)))).sum(axis=1)


FUNCTIONS = (sphere, rosenbrock, rastrigin, ackley, griewank, schwefel)


def _ours(name, **settings):
    return lambda x0, box, seed: getattr(search, name)(x0, bounds=box, seed=seed, **settings)


OURS = {
    "DE": _ours("DifferentialEvolution"),
    "CMA": _ours("CMA", sigma=2.0),
    "sep-CMA": _ours("SepCMA", sigma=2.0),
    "PSO": _ours("ParticleSwarm"),
    "NM": _ours("NelderMead", initial_step=1.0),
    "cDSM": _ours("CoveringDirectSearch"),
    "CBO": _ours("CBO", population=50, dt=0.1, sigma=1.0, alpha=30.0),
    "OpenAI-ES": _ours("OpenAIES", sigma=0.3, lr=0.1),
    "PolyStep": _ours("PolyStep"),
    "ZO-Rank": _ours("ZORankSGD"),
    "GFM": _ours("GFM", delta=0.1, lr=1e-3),
    "GFM+": _ours("GFMPlus", delta=0.1, lr=1e-3),
    "random": _ours("RandomSearch"),
}


class _SpentError(Exception):
    """The budget of a peer that counts otherwise."""


class Counted:
    """A function that remembers its lowest value and ends with its budget."""

    def __init__(self, function, budget):
        self.function, self.left, self.best = function, budget, np.inf

    def __call__(self, x):
        return float(self.rows(np.asarray(x, float)[None])[0])

    def rows(self, x):
        if self.left == 0:
            raise _SpentError
        paid = np.asarray(x, float)[: self.left]
        costs = self.function(paid)
        self.left -= len(paid)
        self.best = min(self.best, float(costs.min()))
        if len(paid) < len(x):
            raise _SpentError
        return costs


def scipy_de(f, x0, seed):
    # As ours: a hundred members at most, all trials of a generation from the same members.
    members = min(100, 10 * len(x0))
    rng = np.random.default_rng(seed)
    init = rng.uniform(LOW, HIGH, size=(members, len(x0)))
    box = [(LOW, HIGH)] * len(x0)
    differential_evolution(
        f, box, init=init, x0=x0, seed=seed, polish=False, maxiter=10**6, tol=0, atol=0,
        updating="deferred",
    )  # fmt: skip


def scipy_nm(f, x0, seed):
    simplex = np.clip(np.vstack([x0, x0 + np.eye(len(x0))]), LOW, HIGH)
    options = {"adaptive": True, "initial_simplex": simplex, "maxfev": 10**9, "maxiter": 10**9}
    box = [(LOW, HIGH)] * len(x0)
    minimize(f, x0, method="Nelder-Mead", bounds=box, options={**options, "xatol": 0, "fatol": 0})


def pycma(f, x0, seed, diagonal=False):
    import cma

    options = {
        "CMA_diagonal": diagonal, "seed": seed + 1, "verbose": -9, "bounds": [LOW, HIGH],
        "tolfun": 0, "tolfunhist": 0, "tolx": 0, "tolflatfitness": 10**9, "maxfevals": f.left,
    }  # fmt: skip
    cma.fmin(f, x0, 2.0, options)


def nevergrad(f, x0, seed, name):
    import nevergrad

    space = nevergrad.p.Array(init=x0).set_bounds(LOW, HIGH, method="clipping")
    space.random_state.seed(seed)
    nevergrad.optimizers.registry[name](space, budget=f.left).minimize(f)


def cbx(f, x0, seed):
    from cbx.dynamics import CBO

    # The settings of ours, and its first particles: uniform, the start among them.
    particles = np.random.default_rng(seed).uniform(LOW, HIGH, size=(50, len(x0)))
    particles[0] = x0
    inside = lambda x: f.rows(np.clip(x[0] if x.ndim == 3 else x, LOW, HIGH))  # noqa: E731
    run = CBO(
        lambda x: inside(x)[None], x=particles, f_dim="3D", noise="anisotropic", dt=0.1, sigma=1.0,
        alpha=30.0, max_it=10**9, verbosity=0, track_args={"names": []}, seed=seed,
    )  # fmt: skip
    schedule = run.default_sched()
    while True:
        run.step()
        schedule.update(run)


@functools.cache
def _evosax(name, d):
    import jax
    from evosax import algorithms

    strategy = getattr(algorithms, name)
    # As many as ours: a hundred members at most of a population, 4 + 3 log d of a distribution.
    members = min(100, 10 * d) if name in POPULATIONS else 4 + int(3 * np.log(d))
    strategy = strategy(population_size=members, solution=np.zeros(d, np.float32))
    return strategy, jax.jit(strategy.ask), jax.jit(strategy.tell)


POPULATIONS = ("DifferentialEvolution", "PSO")


def evosax(f, x0, seed, name):
    import jax

    strategy, ask, tell = _evosax(name, len(x0))
    key, params = jax.random.key(seed), strategy.default_params
    if name in POPULATIONS:
        n = strategy.population_size
        first = np.random.default_rng(seed).uniform(LOW, HIGH, size=(n, len(x0)))
        first[0] = x0
        state = strategy.init(key, first.astype(np.float32), f.rows(first), params)
    else:
        state = strategy.init(key, x0.astype(np.float32), params.replace(std_init=2.0))
    while True:
        key, one, two = jax.random.split(key, 3)
        x, state = ask(one, state, params)
        inside = np.clip(np.asarray(x, float), LOW, HIGH)
        costs = f.rows(inside).astype(np.float32)
        state, _ = tell(two, inside.astype(np.float32), costs, state, params)


PEERS = {
    "scipy DE": (scipy_de, "scipy"),
    "scipy NM": (scipy_nm, "scipy"),
    "pycma": (pycma, "cma"),
    "pycma sep": (functools.partial(pycma, diagonal=True), "cma"),
    "ng DE": (functools.partial(nevergrad, name="DE"), "nevergrad"),
    "ng PSO": (functools.partial(nevergrad, name="PSO"), "nevergrad"),
    "ng 1+1": (functools.partial(nevergrad, name="OnePlusOne"), "nevergrad"),
    "cbx": (cbx, "cbx"),
    "ex DE": (functools.partial(evosax, name="DifferentialEvolution"), "evosax"),
    "ex sepCMA": (functools.partial(evosax, name="Sep_CMA_ES"), "evosax"),
}
PEERS = {name: run for name, (run, package) in PEERS.items() if find_spec(package)}


def start(d, seed):
    return np.random.default_rng(1000 + seed).uniform(LOW, HIGH, size=d)


def budget(d):
    return min(500 * d, 20_000)


def run(problem):
    """Lowest cost of a method on a problem."""
    name, function, d, seed = problem
    x0, f = start(d, seed), Counted(function, budget(d))
    if name not in OURS:
        with warnings.catch_warnings(), suppress(_SpentError):
            warnings.simplefilter("ignore")
            PEERS[name](f, x0, seed)
        return f.best
    method = OURS[name](x0, [(LOW, HIGH)] * d, seed)
    with suppress(_SpentError):
        while True:
            method.tell(f.rows(method.ask()))
    return f.best


def table(only=(), seeds=range(3), dims=(10, 40), workers=1):
    """Lowest costs of shape (method, function, d, seed), printed as medians over seeds."""
    names = [name for name in (*OURS, *PEERS) if not only or name in only]
    found = np.empty((len(names), len(FUNCTIONS), len(dims), len(seeds)))
    print("| function | d | " + " | ".join(names) + " |")
    print("|---|---|" + "---|" * len(names))
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for i, function in enumerate(FUNCTIONS):
            for j, d in enumerate(dims):
                problems = [(name, function, d, seed) for name in names for seed in seeds]
                costs = pool.map(run, problems, chunksize=1)
                found[:, i, j] = np.reshape(costs, (len(names), len(seeds)))
                row = " | ".join(f"{value:.2g}" for value in np.median(found[:, i, j], axis=1))
                print(f"| {function.__name__} | {d} | {row} |", flush=True)
    print(f"medians over {len(seeds)} seeds, the lowest cost of min(500 d, 20000) evaluations")
    return names, found


def picture(path, names, found):
    """Performance profile of the methods."""
    import matplotlib.pyplot as plt

    errors = np.maximum(found.reshape(len(names), -1), 1e-8)
    ratios = errors / errors.min(axis=0)
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), sharey=True)
    for name, row in zip(names, ratios, strict=True):
        share = np.arange(1, row.size + 1) / row.size
        axis = left if name in OURS else right
        style = "-" if len(axis.lines) < 10 else "--"
        axis.step(np.sort(row), share, style, where="post", label=name)
    for axis, title in ((left, "thalweg"), (right, "peers")):
        axis.set(xscale="log", xlim=(1, 1e8), title=title, xlabel="error / lowest error of all")
        axis.legend(fontsize=7, ncols=2)
    left.set(ylim=(0, 1), ylabel="share of problems")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def overhead(d, evaluations=20_000):
    """Microseconds an evaluation of ask and tell, costs or outputs given."""
    box = [(LOW, HIGH)] * d
    for name, make in OURS.items():
        method, times = make(start(d, 0), box, 0), []
        costs, done = np.random.default_rng(0).normal(size=evaluations), 0
        while True:
            begin = time.perf_counter()
            n = len(method.ask())
            if done + n > evaluations:
                break
            method.tell(costs[done : done + n])
            times.append((time.perf_counter() - begin) / n * 1e6)
            done += n
        report(d, name, times)
    rng = np.random.default_rng(0)
    model = rng.normal(size=(d, d))
    for update in ("kalman", "enkg"):
        method = search.EnsembleKalman(
            start(d, 0), model @ np.ones(d), update=update, bounds=box, seed=0
        )
        times = []
        for _ in range(evaluations // method.population):
            begin = time.perf_counter()
            x = method.ask()
            asked = time.perf_counter()
            outputs = x @ model.T
            told = time.perf_counter()
            method.tell(outputs)
            times.append((asked - begin + time.perf_counter() - told) / len(x) * 1e6)
        report(d, f"{update}, {d} outputs", times)


def report(d, name, times):
    q = np.percentile(times, [25, 50, 75])
    mean = np.mean(times)
    print(f"d={d} {name:10} {q[1]:.2f} us an evaluation ({q[0]:.2f}, {q[2]:.2f}), mean {mean:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--methods", nargs="*", default=[], help="all by default")
    parser.add_argument("--seeds", nargs=2, type=int, default=[0, 3], metavar=("FIRST", "END"))
    parser.add_argument("--dims", nargs="*", type=int, default=[10, 40, 200])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--picture", help="file of the performance profile")
    parser.add_argument("--overhead", type=int, metavar="D", help="time ask and tell instead")
    options = parser.parse_args()
    if options.overhead:
        return overhead(options.overhead)
    names, found = table(
        options.methods, range(*options.seeds), tuple(options.dims), options.workers
    )
    if options.picture:
        picture(options.picture, names, found)
    return None


if __name__ == "__main__":
    main()
