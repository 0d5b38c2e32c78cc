"""Gradient-free search: small cases, cost of ask and tell, the generic torch path.

    python benches/search.py small --seeds 0 5      # PolyStep, the polystep package, a Gaussian ES
    python benches/search.py overhead   # ask and tell, microseconds an evaluation
    python benches/search.py torch      # PolyStepOptimizer against the polystep package
    python benches/search.py methods    # the other methods: search_methods.py has more options

Contenders share one process, problem, start and budget, and take turns.
"""

import argparse
import time

import numpy as np
import search_methods
import search_problems as problems
import torch

import thalweg
from thalweg.search import PolyStep, PolyStepOptimizer

try:
    import polystep
except ImportError:
    polystep = None

SEEDS = range(5)


class Gaussian:
    """Antithetic Gaussian ES with z-scored costs (Salimans et al. 2017), plain gradient step."""

    def __init__(self, x0, population, sigma, lr, seed):
        self.x, self.sigma, self.lr = x0.copy(), sigma, lr
        self.half, self.rng = population // 2, np.random.default_rng(seed)

    def ask(self):
        noise = self.rng.normal(size=(self.half, self.x.size))
        self.noise = np.concatenate([noise, -noise])
        return self.x + self.sigma * self.noise

    def tell(self, costs):
        score = (costs - costs.mean()) / (costs.std() + 1e-8)
        self.x = self.x - self.lr * (self.noise * score[:, None]).mean(0) / self.sigma


class Official:
    """The ask/tell class of the polystep package."""

    def __init__(self, x0, seed, epsilon, step_radius):
        x0 = torch.from_numpy(x0).float()
        self.inner = polystep.PolyStepES(
            x0.numel(), epsilon=epsilon, step_radius=step_radius, x0=x0, seed=seed
        )

    def ask(self):
        return self.inner.ask().double().numpy()

    def tell(self, costs):
        self.inner.tell(torch.from_numpy(costs))


def best_within(search, cost, budget):
    best, used = np.inf, 0
    while used < budget:
        points = search.ask()
        if used + len(points) > budget and used:
            break
        costs = cost(points)
        best, used = min(best, float(costs.min())), used + len(points)
        search.tell(costs)
    return best


def small(only=(), seeds=SEEDS):
    names = ("PolyStep", "its published form", "polystep", "Gaussian ES")
    print(f"{'case':14}{'unit':10}" + "".join(f"{name:>20}" for name in names))
    for case in problems.CASES:
        if only and case.name not in only:
            continue
        rows = {"ours": [], "form": [], "official": [], "es": []}
        for seed in seeds:
            cost, x0 = case.make(seed)
            runs = {
                "ours": PolyStep(x0, seed=seed),
                "form": PolyStep.published_es(
                    x0, seed=seed, epsilon=case.epsilon, step_radius=case.step_radius
                ),
                "es": Gaussian(x0, min(2 * x0.size, 258), case.sigma, case.lr, seed),
            }
            if polystep is not None:
                runs["official"] = Official(x0, seed, case.epsilon, case.step_radius)
            for name, search in runs.items():
                rows[name].append(case.show(best_within(search, cost, case.budget)))
        text = [f"{np.mean(r):9.4g} ({min(r):.3g})" if r else "-" for r in rows.values()]
        print(f"{case.name:14}{case.unit:10}" + "".join(f"{t:>20}" for t in text), flush=True)
    print(f"mean over {len(seeds)} seeds (smallest); accuracies and F1 in percent, costs below")


def overhead(d=100, rounds=300):
    thalweg.set_num_threads(1)
    for p in (2, 10, 100):
        search = PolyStep(np.ones(d), particle_dim=p, seed=0)
        costs = np.random.default_rng(0).normal(size=search.population)
        times = []
        for _ in range(rounds):
            start = time.perf_counter()
            search.ask()
            search.tell(costs)
            times.append((time.perf_counter() - start) / len(costs) * 1e6)
        q = np.percentile(times[10:], [25, 50, 75])
        print(f"d={d} p={p:<4} {q[1]:.2f} us an evaluation (quartiles {q[0]:.2f}, {q[2]:.2f})")
    search_methods.overhead(d)


def torch_path(only=(), rounds=8):
    from polystep.cost_nn import NNCostEvaluator
    from polystep.hybrid_subspace import HybridSubspace
    from polystep.transform import ParamLayout

    torch.set_num_threads(1)
    thalweg.set_num_threads(1)
    loss = torch.nn.CrossEntropyLoss()
    for case in problems.MODULES:
        if only and case.name not in only:
            continue
        model, x, y = case.make()
        mine, _, _ = case.make()
        subspace = HybridSubspace.from_layout(
            ParamLayout.from_module(model), rank=case.rank, rotation_interval=0, absorb_interval=0
        )
        fixed = {"epsilon": 0.5, "step_radius": 0.1, "probe_radius": 1.0, "seed": 0}
        official = polystep.PolyStepOptimizer(
            model, subspace=subspace, solver="softmax", polytope_type="orthoplex", **fixed
        )
        evaluator, count = NNCostEvaluator(model, loss_fn=loss), [0]
        ours = PolyStepOptimizer(
            mine, rank=case.rank, redraw=0, scale_cost=1.0, momentum=0.0, **fixed
        )

        def closure(stacked, evaluator=evaluator, x=x, y=y, count=count):
            out = evaluator.evaluate(stacked, x, y)
            count[0] += len(out)
            return out

        ratios, rates = [], []
        for _ in range(rounds):
            count[0], start = 0, time.process_time()
            official.step(closure)
            theirs = (time.process_time() - start) / count[0]
            start = time.process_time()
            ours.step(lambda mine=mine, x=x, y=y: loss(mine(x), y))
            own = (time.process_time() - start) / ours.search.population
            ratios.append(own / theirs)
            rates.append((1 / own, 1 / theirs))
        q = np.percentile(ratios[1:], [25, 50, 75])
        rate = np.median(rates[1:], axis=0)
        print(
            f"{case.name:10} time an evaluation, ours / theirs: {q[1]:.2f} ({q[0]:.2f}, {q[2]:.2f})"
            f"   {rate[0]:8.0f} and {rate[1]:8.0f} evaluations a second"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["small", "overhead", "torch", "methods"])
    parser.add_argument("cases", nargs="*", help="names of cases, default all")
    parser.add_argument("--seeds", type=int, nargs=2, metavar=("FIRST", "END"), default=(0, 5))
    chosen = parser.parse_args()
    if chosen.part == "overhead":
        overhead()
    elif chosen.part == "methods":
        search_methods.table(chosen.cases, range(*chosen.seeds))
    elif chosen.part == "torch":
        torch_path(chosen.cases)
    else:
        small(chosen.cases, range(*chosen.seeds))
