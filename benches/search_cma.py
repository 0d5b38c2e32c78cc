"""`thalweg.search.CMA` and `SepCMA` next to cmaes and pycma: time of ask and tell, and quality.

python benches/search_cma.py                # microseconds an evaluation, runs that take turns
python benches/search_cma.py quality        # evaluations to a target, or lowest costs
python benches/search_cma.py quality --diagonal --boundary transform   # SepCMA in [-5, 5]^d

Quality: the median over seeds of the evaluations until the cost is below 1e-8, or of the lowest
cost where half of the runs of a method do not get there; quartiles in brackets. Start and budget
are the same for all, sigma 2, populations by default; in a box pycma transforms too. The last
column is the probability that a run of ours is better than one of pycma's: 0.5 is level.
"""

import argparse
import functools
import multiprocessing
import time
import warnings

import numpy as np

import thalweg
from thalweg.search import CMA, SepCMA

try:
    import cma
except ImportError:
    cma = None
try:
    import cmaes
except ImportError:
    cmaes = None

LOW, HIGH, TARGET = -5.0, 5.0, 1e-8


def ours(search, costs):
    search.ask()
    search.tell(costs)


def package(search, costs):
    rows = [search.ask() for _ in costs]
    search.tell(list(zip(rows, costs.tolist(), strict=True)))


def pycma(search, costs):
    search.tell(search.ask(), costs.tolist())


def overhead(rounds):
    thalweg.set_num_threads(1)
    for d in (10, 40, 100, 200):
        start = np.ones(d)
        runs = {"CMA": (ours, CMA(start, seed=0)), "SepCMA": (ours, SepCMA(start, seed=0))}
        n = runs["CMA"][1].population
        if cmaes is not None:
            runs["cmaes"] = (package, cmaes.CMA(start, 0.5, seed=1))
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
        text = f"d={d:<4}"
        for name in ("CMA", "SepCMA"):
            q = np.percentile(times[name], [25, 50, 75])
            mean = np.mean(times[name])
            text += f" {name} {q[1]:.2f} us ({q[0]:.2f}, {q[2]:.2f}), mean {mean:.2f};"
        for name in list(runs)[2:]:
            q = np.percentile(np.divide(times["CMA"], times[name])[5:], [25, 50, 75])
            text += f" CMA {q[1]:.4f} of {name} ({q[0]:.4f}, {q[2]:.4f});"
        print(text, flush=True)


def sphere(x):
    return (x**2).sum(axis=1)


def ellipsoid(x):
    return (x**2 * 10 ** np.linspace(0, 6, x.shape[1])).sum(axis=1)


@functools.cache
def rotation(d):
    return np.linalg.qr(np.random.default_rng(d).normal(size=(d, d)))[0]


def rotated(x):
    return ellipsoid(x @ rotation(x.shape[1]))


def rosenbrock(x):
    return (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(axis=1)


def rastrigin(x):
    return (x**2 - 10 * np.cos(2 * np.pi * x) + 10).sum(axis=1)


def ackley(x):
    slope = 20 * np.exp(-0.2 * np.sqrt((x**2).mean(axis=1)))
    return 20 + np.e - slope - np.exp(np.cos(2 * np.pi * x).mean(axis=1))


def schwefel(x):
    """Beyond its box the slope leads back, so that it has a minimum without bounds."""
    x = 100 * x
    inside = np.clip(x, -500, 500)
    waves = (inside * np.sin(np.sqrt(np.abs(inside)))).sum(axis=1)
    return 418.9828872724339 * x.shape[1] - waves + ((x - inside) ** 2).sum(axis=1)


# The budget in multiples of d, full and diagonal.
FUNCTIONS = {
    sphere: (600, 600),
    ellipsoid: (4000, 1500),
    rotated: (4000, 600),
    rosenbrock: (4000, 3000),
    rastrigin: (1000, 1000),
    ackley: (1000, 1000),
    schwefel: (1000, 1000),
}


def start(d, seed):
    return np.random.default_rng(1000 + seed).uniform(LOW, HIGH, size=d)


def run(problem):
    """Evaluations to the target, infinite without, and the lowest cost."""
    name, function, d, seed, boundary, diagonal = problem
    budget = FUNCTIONS[function][diagonal] * d
    box = [(LOW, HIGH)] * d
    if name == "pycma":
        options = {
            "CMA_diagonal": diagonal, "seed": seed + 1, "verbose": -9, "tolfun": 0, "tolx": 0,
            "tolfunhist": 0, "tolflatfitness": 10**9, "tolstagnation": 10**9, "maxfevals": budget,
            "tolconditioncov": 1e30, "tolupsigma": 1e30,
        }  # fmt: skip
        if boundary:
            options["bounds"] = [LOW, HIGH]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            search = cma.CMAEvolutionStrategy(start(d, seed), 2.0, options)
        ask, tell = search.ask, lambda costs, rows: search.tell(rows, costs.tolist())
    else:
        chosen = {"bounds": box, "boundary": boundary} if boundary else {}
        if name == "ours, paper":
            chosen["active"] = False
        make = SepCMA if diagonal else CMA
        search = make(start(d, seed), sigma=2.0, seed=seed, **chosen)
        ask, tell = search.ask, lambda costs, rows: search.tell(costs)
    done, best = 0, np.inf
    while done < budget:
        rows = ask()
        costs = function(np.asarray(rows))
        tell(costs, rows)
        done += len(costs)
        best = min(best, costs.min())
        if best < TARGET:
            return done, best
    return np.inf, best


def quality(functions, dims, seeds, boundary, diagonal, workers, names):
    print(f"{'SepCMA' if diagonal else 'CMA'}, boundary {boundary}, {len(seeds)} seeds")
    print("| function | d | measured | " + " | ".join(names) + " | better |")
    print("|---|---|---|" + "---|" * len(names) + "---|")
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for function in functions:
            for d in dims:
                problems = [(n, function, d, s, boundary, diagonal) for n in names for s in seeds]
                found = np.reshape(pool.map(run, problems, chunksize=1), (len(names), -1, 2))
                reached = np.isfinite(np.median(found[:, :, 0], axis=1)).all()
                told = found[:, :, 0 if reached else 1]
                cells = [
                    "{1:.3g} ({0:.3g}, {2:.3g})".format(
                        *np.percentile(row, [25, 50, 75], method="nearest")
                    )
                    for row in told
                ]
                first, last = told[0][:, None], told[-1][None, :]
                better = ((first < last) + 0.5 * (first == last)).mean()
                what = "evaluations" if reached else "lowest cost"
                print(
                    f"| {function.__name__} | {d} | {what} | "
                    + " | ".join(cells)
                    + f" | {better:.2f} |",
                    flush=True,
                )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="?", choices=["overhead", "quality"], default="overhead")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--dims", nargs="*", type=int, default=[10, 40])
    parser.add_argument("--functions", nargs="*", default=[f.__name__ for f in FUNCTIONS])
    parser.add_argument("--seeds", type=int, default=15)
    parser.add_argument("--boundary", choices=["reflect", "resample", "transform"])
    parser.add_argument("--diagonal", action="store_true", help="SepCMA")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    if options.what == "overhead":
        return overhead(options.rounds)
    names = ["ours", *(["ours, paper"] if options.diagonal else []), *(["pycma"] if cma else [])]
    functions = [f for f in FUNCTIONS if f.__name__ in options.functions]
    seeds, workers = range(options.seeds), options.workers
    return quality(
        functions, options.dims, seeds, options.boundary, options.diagonal, workers, names
    )


if __name__ == "__main__":
    main()
