"""MAX-SAT figures: random 3-SAT at ratio 4.27, PolyStep alone, then polished, then the peer.

Run `python benches/search_maxsat.py [small|large|longer|peer]...`; all parts without arguments.
Every run is on one thread. Times are wall seconds and, in brackets, seconds of processor time of
this process, which a busy machine leaves alone. Reading, or drawing the instance, is not included.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time

import numpy as np

import thalweg
from thalweg.search.objectives import MaxSat

SEEDS = range(5)


class Timed:
    """Wall and processor seconds of a `with` block."""

    def __enter__(self) -> Timed:
        self.start = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall = time.perf_counter() - self.start[0]
        self.cpu = time.process_time() - self.start[1]

    def __str__(self) -> str:
        return f"{self.wall:6.2f} s [{self.cpu:6.2f}]"


def target(variables: int, steps: int, share: float, seconds: float) -> None:
    """PolyStep alone, five instances and seeds, against the promised share and time."""
    print(f"\n{variables} variables, {steps} steps; promised {share} % in {seconds} s")
    worst, slowest = 100.0, 0.0
    for seed in SEEDS:
        problem = MaxSat.random(variables, seed=seed)
        with Timed() as timed:
            run = problem.polystep(steps, seed=seed)
        assert problem.evaluate(run.x) == run.fun
        # The published dynamics for as many steps: radii that stay.
        plain = problem.polystep(
            steps, seed=seed, forget=0.0, momentum=(0.5, 0.95), step_radius=10.0
        )
        worst, slowest = min(worst, 100 * run.satisfied), max(slowest, timed.cpu)
        print(
            f"  seed {seed}: {100 * run.satisfied:.3f} % in {timed}, "
            f"{run.nfev / timed.cpu / 1e6:.0f} M probes a processor second; "
            f"radii that stay {100 * plain.satisfied:.3f} %"
        )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"  worst {worst:.3f} %, slowest [{slowest:.2f}] s, process peak {memory:.2f} GiB")


def longer(variables: int, steps: tuple[int, ...], flips: int) -> None:
    """What more time brings: more steps, and a polish reported apart."""
    problem = MaxSat.random(variables, seed=0)
    print(f"\n{variables} variables, more time")
    for count in steps:
        with Timed() as timed:
            run = problem.polystep(count, seed=0)
        with Timed() as walked:
            walk = problem.polish(run.x, flips, seed=0)
        print(
            f"  {count:6} steps {100 * run.satisfied:.3f} % in {timed}; "
            f"polished by {flips} flips to {100 * walk.satisfied:.3f} % in {walked}"
        )


def peer(variables: int, steps: int) -> None:
    """The official package on the same instance and settings, step for step, interleaved."""
    try:
        import torch
        from polystep import PolyStepOptimizer
    except ImportError as error:
        print(f"\npeer skipped: {error}")
        return
    torch.set_num_threads(1)
    problem = MaxSat.random(variables, seed=42)
    clauses = problem.clauses
    literals, _, _ = problem._core.arrays()
    signed = torch.from_numpy(np.reshape(literals, (clauses, 3)).astype(np.int64))
    where, sign = signed.abs() - 1, (signed > 0)
    scale = (variables / 1e5) ** 0.5

    def closure(stacked: dict[str, torch.Tensor]) -> torch.Tensor:
        values = torch.round(torch.sigmoid(stacked["x"])) > 0.5
        return (values[:, where] != sign).all(-1).float().mean(-1)

    class Assignment(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            start = torch.randn(variables, generator=torch.Generator().manual_seed(0))
            self.x = torch.nn.Parameter(0.1 * start)

    model = Assignment()
    official = PolyStepOptimizer(
        model,
        polytope_type="orthoplex",
        particle_dim=2,
        epsilon=5.0,
        step_radius=3000.0 * scale / 5.0,
        probe_radius=100.0 * scale / 5.0,
        solver="softmax",
        use_momentum=True,
        max_iterations=steps,
        chunk_size=200,
        seed=0,
    )
    # Their costs are shares of clauses; ours count clauses.
    ours = {
        "epsilon": 5.0 * clauses,
        "step_radius": 3000.0 * scale,
        "probe_radius": 50.0 * scale,
        "forget": 0.0,
        "momentum": (0.5, 0.95),
    }
    ratios = []
    for _ in range(steps):
        with Timed() as theirs:
            official.step(closure)
        with Timed() as mine:
            problem.polystep(200, seed=0, **ours)
        ratios.append(theirs.cpu / (mine.cpu / 200))
    low, middle, high = statistics.quantiles(ratios, n=4)
    reached = problem((model.x.detach().numpy() > 0) - 0.5)
    same = problem.polystep(steps, seed=0, **ours)
    best = problem.polystep(steps, seed=0)
    print(f"\npeer, {variables} variables, {steps} steps (processor time a step, theirs / ours)")
    print(f"  median {middle:.0f}, quartiles {low:.0f} to {high:.0f}")
    for name, cost in (("theirs", reached), ("same settings", same.fun), ("default", best.fun)):
        print(f"  {name}: {100 * (1 - cost / clauses):.2f} %")


def main() -> None:
    """Run the parts that the arguments name."""
    parts = {
        "small": lambda: target(100_000, 500, 97.9, 5.0),
        "large": lambda: target(1_000_000, 100, 97.7, 60.0),
        "longer": lambda: longer(100_000, (300, 1000, 3000), 10_000_000),
        "peer": lambda: peer(1000, 30),
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*parts, []], default=[])
    chosen = parser.parse_args().parts or list(parts)
    thalweg.set_num_threads(1)
    for part in chosen:
        parts[part]()


if __name__ == "__main__":
    main()
