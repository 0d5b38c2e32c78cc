"""What runs in several gloo processes: `python processes.py FOLDER WORLD...`.

Every scenario returns bytes that must not depend on the number of processes, or None; what it
raises is its result. `test_spread.py` starts the processes and compares.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import traceback
import warnings
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn

from thalweg.search import Bounds, PolyStep, PolyStepOptimizer, methods, minimize, spread
from thalweg.search.registry import make

warnings.simplefilter("ignore")
D = 5


def cost(x):
    return np.floor(4 * ((x - 0.3) ** 2).sum(axis=1)) / 4 + 0.1 * x[:, 0]


def searchers():
    """Every method of `minimize`, with populations that no number of processes divides."""
    odd = {"particle_swarm": 7, "differential_evolution": 5, "random_search": 1}
    for name in methods():
        chosen = {"population": odd[name]} if name in odd else {}
        yield name, make(name, np.ones(D), bounds=Bounds(-2.0, 2.0), seed=3, **chosen)


def all_searchers(rank, world):
    """Ask and tell; NaN for some candidates, whoever evaluates them."""
    trace = b""
    for name, search in searchers():
        seen = []

        def counted(x, seen=seen):
            seen.append(len(x))
            return np.where(x[:, 1] > 1.4, np.nan, cost(x))

        with spread(counted, search) as costs:
            asked = 0
            for _ in range(6):
                candidates = search.ask()
                told = costs(candidates)
                np.testing.assert_array_equal(told, counted(candidates))
                seen.pop()
                asked += len(range(rank, len(candidates), world))
                search.tell(told)
        assert sum(seen) == asked, name
        trace += search.ask().tobytes() + search.best.x.tobytes()
    return trace


def through_minimize(rank, world):
    trace = b""
    for name in methods():
        with spread(cost) as costs:
            result = minimize(costs, np.ones(D), method=name, vectorized=True, seed=1, maxfev=99)
        trace += result.x.tobytes() + str((result.nfev, result.message)).encode()
    return trace


def in_a_group(rank, world):
    """The first processes alone; those outside are refused."""
    inside = list(range(max(1, world - 1)))
    group = dist.new_group(inside, backend="gloo")
    if rank not in inside:
        with pytest.raises(ValueError, match="group must hold this process"):
            spread(cost, group=group)
        return None
    search = PolyStep(np.ones(D), seed=0)
    costs = spread(cost, search, group=group)
    assert costs.processes == len(inside)
    for _ in range(3):
        search.tell(costs(search.ask()))
    return search.x.tobytes()


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.3), nn.Linear(6, 2))


def a_module(rank, world):
    trace = b""
    for evaluate, chunk in (("auto", 7), ("loop", 1), ("auto", 10_000)):
        net = network()
        optimizer = PolyStepOptimizer(
            net, subspace="full", chunk_size=chunk, evaluate=evaluate, spread=True, seed=1
        )
        for step in range(4):
            x = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
            optimizer.step(lambda x=x, net=net: net(x).square().mean())
        trace += b"".join(t.numpy().tobytes() for t in net.state_dict().values())
        trace += torch.get_rng_state().numpy().tobytes()
    return trace


def a_module_that_fails(rank, world):
    net = network()
    optimizer = PolyStepOptimizer(net, subspace="full", chunk_size=7, spread=True, seed=1)
    before = [p.clone() for p in net.parameters()]
    closure = lambda: net(torch.ones(8, 4)).square().mean()  # noqa: E731

    def broken():
        raise ZeroDivisionError("no batch")

    if rank == world - 1:
        with pytest.raises(ZeroDivisionError, match="no batch"):
            optimizer.step(broken)
    else:
        with pytest.raises(RuntimeError, match=f"process {world - 1}: ZeroDivisionError: no batch"):
            optimizer.step(closure)
    assert all(torch.equal(p, q) for p, q in zip(before, net.parameters()))
    optimizer.step(closure)
    if world > 1:
        with torch.no_grad():
            net[0].bias += rank
        with pytest.raises(ValueError, match="model, search and random state must be the same"):
            optimizer.step(closure)


def failures(rank, world):
    """A function that fails in the last process fails in all; the search goes on afterwards."""
    search = PolyStep(np.ones(D), seed=0)
    last = rank == world - 1
    wrongs = {
        "ZeroDivisionError: none": (ZeroDivisionError, lambda x: 1 / 0 if len(x) else 0),
        "ValueError: fun must return": (ValueError, lambda x: np.ones(len(x) + 1)),
        "TypeError: costs must be real": (TypeError, lambda x: np.ones(len(x), complex)),
        "KeyboardInterrupt": (KeyboardInterrupt, interrupted),
    }
    with spread(lambda x: fun(x), search) as costs:
        for text, (kind, wrong) in wrongs.items():
            fun = wrong if last else cost
            candidates = search.ask()
            told = text.replace("none", "division by zero")
            match = told.partition(": ")[2] if last else f"process {world - 1}: {told}"
            with pytest.raises(kind if last else RuntimeError, match=match):
                costs(candidates)
            fun = cost
            search.tell(costs(candidates))
    assert search.step == len(wrongs)
    return search.x.tobytes()


def interrupted(x):
    raise KeyboardInterrupt


def differences(rank, world):
    """Another seed, settings that show later, another start, another number of candidates."""
    if world == 1:
        return
    last = rank == world - 1
    other = rf"search must be the same .* got other ones in \[{world - 1}\]"
    with pytest.raises(ValueError, match=other):
        spread(cost, PolyStep(np.ones(D), seed=int(last)))
    with pytest.raises(ValueError, match="search must be the same"):
        spread(cost, PolyStep(np.ones(D), momentum=0.5 if last else 0.6, seed=0))
    told = PolyStep(np.ones(D), seed=0)
    if last:
        told.tell(cost(told.ask()))
    with pytest.raises(ValueError, match="search must be the same"):
        spread(cost, told)
    costs = spread(cost)
    with pytest.raises(ValueError, match="candidates must be the same in every process"):
        costs(np.ones((4, D)) * (1 + last))
    with pytest.raises(ValueError, match="candidates must be the same in every process"):
        costs(np.ones((4 + last, D)))
    with pytest.raises(ValueError if last else RuntimeError, match="points must be of shape"):
        costs(np.ones(4 * D) if last else np.ones((4, D)))
    with pytest.raises(ValueError, match="candidates must be the same in every process"):
        minimize(costs, np.ones(D), vectorized=True, seed=None)


def some_leave_early(rank, world):
    if world == 1:
        return

    def stop(x):
        if rank == 0:
            raise KeyError("callback")

    def stopped():
        with spread(cost) as costs:
            minimize(costs, np.ones(D), vectorized=True, seed=0, maxiter=5, callback=stop)

    def uneven():
        with spread(cost) as costs:
            for _ in range(2 + rank):
                costs(np.ones((3, D)))

    error, text = (KeyError, "callback") if rank == 0 else (RuntimeError, "equally often")
    with pytest.raises(error, match=text):
        stopped()
    with pytest.raises(RuntimeError, match="equally often"):
        uneven()
    costs = spread(cost)
    with pytest.raises(RuntimeError, match="equally often"), costs:
        costs(np.ones((3, D))) if rank else None
    with pytest.raises(RuntimeError, match="processes have parted"):
        costs(np.ones((3, D)))


def one_dies(rank, world):
    """Last, because what it leaves behind is no group any more."""
    if world == 1:
        return
    costs = spread(cost)

    def often():
        for _ in range(3):
            costs(np.ones((3, D)))

    often()
    if rank == world - 1:
        report(rank, world, "one_dies", "ok")
        os._exit(0)
    with pytest.raises(RuntimeError):
        often()


SCENARIOS = [
    all_searchers,
    through_minimize,
    in_a_group,
    a_module,
    a_module_that_fails,
    failures,
    differences,
    some_leave_early,
    one_dies,
]
RESULTS: dict[str, str] = {}


def report(rank, world, name, result):
    RESULTS[name] = result
    (Path(sys.argv[1]) / f"{world}-{rank}.json").write_text(json.dumps(RESULTS))


def member(folder, world, rank):
    torch.set_num_threads(1)
    meeting = (Path(folder) / f"meeting-{world}").as_uri()
    dist.init_process_group("gloo", init_method=meeting, world_size=world, rank=rank,
                            timeout=timedelta(seconds=60))  # fmt: skip
    for scenario in SCENARIOS:
        try:
            trace = scenario(rank, world)
            result = "ok" if trace is None else trace.hex()
        except BaseException:
            result = traceback.format_exc()
        report(rank, world, scenario.__name__, result)
        if scenario is not one_dies:
            dist.barrier()


def main(folder, *worlds):
    # Where a fork is safe, torch is imported once.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    started = [
        context.Process(target=member, args=(folder, int(world), rank))
        for world in worlds
        for rank in range(int(world))
    ]
    for process in started:
        process.start()
    for process in started:
        process.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
