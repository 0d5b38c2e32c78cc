"""Part `methods` of `benches/search.py`: standard functions in a box, budgets as of `--seeds`.

Peers take turns with ours on the same function, start and budget of 500 d evaluations; the table
has medians over seeds of the best cost.
"""

import time
import warnings
from contextlib import suppress

import numpy as np

from thalweg.search import (
    DifferentialEvolution,
    NelderMead,
    OpenAIES,
    ParticleSwarm,
    PolyStep,
    RandomSearch,
    SepCMA,
)

try:
    import cma
except ImportError:
    cma = None
try:
    import nevergrad
except ImportError:
    nevergrad = None
from scipy.optimize import differential_evolution, minimize

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
OURS = {
    "DE": lambda x0, box, seed: DifferentialEvolution(x0, bounds=box, seed=seed),
    "sep-CMA": lambda x0, box, seed: SepCMA(x0, sigma=2.0, bounds=box, seed=seed),
    "PSO": lambda x0, box, seed: ParticleSwarm(x0, bounds=box, seed=seed),
    "NM": lambda x0, box, seed: NelderMead(x0, initial_step=1.0, bounds=box, seed=seed),
    "random": lambda x0, box, seed: RandomSearch(x0, bounds=box, seed=seed),
    "OpenAI-ES": lambda x0, box, seed: OpenAIES(x0, sigma=0.3, lr=0.1, bounds=box, seed=seed),
    "PolyStep": lambda x0, box, seed: PolyStep(x0, bounds=box, seed=seed),
}


class _SpentError(Exception):
    """The budget of a peer that counts otherwise."""


class Counted:
    """A function of one point that remembers its lowest value and ends with its budget."""

    def __init__(self, function, budget):
        self.function, self.left, self.best = function, budget, np.inf

    def __call__(self, x):
        if self.left == 0:
            raise _SpentError
        self.left -= 1
        cost = float(self.function(np.asarray(x, float)[None])[0])
        self.best = min(self.best, cost)
        return cost


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


def pycma_sep(f, x0, seed):
    options = {
        "CMA_diagonal": True, "seed": seed + 1, "verbose": -9, "bounds": [LOW, HIGH],
        "tolfun": 0, "tolfunhist": 0, "tolx": 0, "tolflatfitness": 10**9, "maxfevals": f.left,
    }  # fmt: skip
    cma.fmin(f, x0, 2.0, options)


def nevergrad_run(name):
    def run(f, x0, seed):
        space = nevergrad.p.Array(init=x0).set_bounds(LOW, HIGH)
        space.random_state.seed(seed)
        nevergrad.optimizers.registry[name](space, budget=f.left).minimize(f)

    return run


PEERS = {"scipy DE": scipy_de, "scipy NM": scipy_nm}
if cma is not None:
    PEERS["pycma sep"] = pycma_sep
if nevergrad is not None:
    PEERS.update({f"ng {name}": nevergrad_run(name) for name in ("DE", "PSO", "OnePlusOne")})


def start(d, seed):
    return np.random.default_rng(1000 + seed).uniform(LOW, HIGH, size=d)


def run_ours(make, function, d, seed, budget):
    search = make(start(d, seed), [(LOW, HIGH)] * d, seed)
    while search.evaluations + search.population <= budget:
        search.tell(function(search.ask()))
    return search.best.cost


def run_peer(peer, function, d, seed, budget):
    f = Counted(function, budget)
    with warnings.catch_warnings(), suppress(_SpentError):
        warnings.simplefilter("ignore")
        peer(f, start(d, seed), seed)
    return f.best


def table(only, seeds, dimensions=(10, 40)):
    names = [name for name in (*OURS, *PEERS) if not only or name in only]
    print(f"{'function':12}{'d':>4} " + "".join(f"{name:>11}" for name in names))
    for function in FUNCTIONS:
        for d in dimensions:
            row = []
            for name in names:
                ours = name in OURS
                run, make = (run_ours, OURS[name]) if ours else (run_peer, PEERS[name])
                row.append(np.median([run(make, function, d, seed, 500 * d) for seed in seeds]))
            text = "".join(f"{value:11.2g}" for value in row)
            print(f"{function.__name__:12}{d:4} {text}", flush=True)
    print(f"medians over {len(seeds)} seeds of the best cost within 500 d evaluations")


def overhead(d, evaluations=20_000):
    """Microseconds an evaluation of ask and tell, the costs given."""
    box = [(LOW, HIGH)] * d
    for name, make in OURS.items():
        search, times = make(start(d, 0), box, 0), []
        costs, done = np.random.default_rng(0).normal(size=evaluations), 0
        while done < evaluations - search.population:
            n = search.population
            begin = time.perf_counter()
            search.ask()
            search.tell(costs[done : done + n])
            times.append((time.perf_counter() - begin) / n * 1e6)
            done += n
        q = np.percentile(times, [25, 50, 75])
        print(f"d={d} {name:10} {q[1]:.2f} us an evaluation (quartiles {q[0]:.2f}, {q[2]:.2f})")
