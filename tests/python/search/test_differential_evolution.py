"""DifferentialEvolution against a replay of the paper, draw by draw, and what it reaches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search import draws, functions

from thalweg.search import DifferentialEvolution, minimize

D, N, SEED = 5, 9, 11
BOX = [(-2.0, 1.5), (-1.0, 3.0), (-2.0, 2.0), (0.0, 0.5), (-3.0, 3.0)]
START = np.array([0.5, 2.0, -1.0, 0.25, 3.0])


def trial(members, best, i, step, strategy, box, crossover):
    """A mutant crossed with member i, and folded into the box."""
    key, left = draws.stream(step, i), [k for k in range(N) if k != i]
    p, q, r = (members[left.pop(draws.below(SEED, key, k, len(left)))] for k in range(3))
    f = 0.4 + draws.uniform(SEED, key, 3)[0] * (0.9 - 0.4)
    base = {
        "rand1": p, "best1": best, "current_to_best1": members[i] + f * (best - members[i]),
    }[strategy]  # fmt: skip
    mutant, forced = base + f * (q - r), draws.below(SEED, key, 4, D)
    out = members[i].copy()
    for j in range(D):
        if j == forced or draws.words(SEED, key, 5 + j // 4)[j % 4] / 2**32 < crossover:
            out[j] = mutant[j]
    return out if box is None else [draws.fold(x, *side) for x, side in zip(out, box, strict=True)]


@pytest.mark.parametrize("strategy", ["best1", "rand1", "current_to_best1"])
@pytest.mark.parametrize("box", [None, BOX])
def test_equals_a_replay(strategy, box):
    search = DifferentialEvolution(
        START, population=N, strategy=strategy, mutation=(0.4, 0.9), crossover=0.6, sigma=0.7,
        bounds=box, seed=SEED,
    )  # fmt: skip
    members, best, costs = np.zeros((N, D)), START, np.full(N, np.inf)
    for step in range(25):
        asked = search.ask()
        if step == 0:
            rows = [draws.first(SEED, 0, i, box, START, 0.7) for i in range(1, N)]
            trials = np.array([START, *rows])
        else:
            trials = np.array([trial(members, best, i, step, strategy, box, 0.6) for i in range(N)])
        np.testing.assert_allclose(asked, trials, rtol=1e-12, atol=1e-13)
        new = functions.rastrigin(trials)
        search.tell(new)
        members = np.where((new <= costs)[:, None], trials, members)
        costs = np.minimum(new, costs)
        best = members[costs.argmin()]
        np.testing.assert_allclose(search.x, best, rtol=1e-12, atol=1e-13)
        assert search.best.cost == costs.min()


@given(seed=st.integers(0, 2**64 - 1), population=st.integers(4, 12))
@settings(max_examples=30, deadline=None)
def test_no_member_gets_worse_and_every_trial_differs_from_its_member(seed, population):
    search = DifferentialEvolution(np.ones(3), population=population, seed=seed)
    costs = np.full(population, np.inf)
    for step in range(6):
        before = search.state_dict()["members"].reshape(population, 3)
        asked = search.ask()
        if step:
            assert (asked != before).any(axis=1).all()
        search.tell(functions.sphere(asked))
        after = search.state_dict()["costs"]
        assert (after <= costs).all()
        costs = after


@pytest.mark.parametrize(
    ("cost", "d", "strategy", "limit"),
    [
        (functions.sphere, 10, "best1", 1e-10),
        (functions.ellipsoid, 10, "best1", 1e-8),
        (functions.rosenbrock, 5, "best1", 1e-3),
        (functions.rastrigin, 5, "rand1", 1e-3),
        (functions.rastrigin, 5, "current_to_best1", 1e-6),
    ],
)
def test_reaches_the_minimum(cost, d, strategy, limit):
    search = DifferentialEvolution(np.full(d, 3.0), strategy=strategy, bounds=[(-5, 5)] * d, seed=0)
    assert functions.lowest(search, cost, 25_000) < limit


def test_a_member_without_a_finite_cost_gives_way_to_any_other():
    search = DifferentialEvolution(np.ones(3), population=6, seed=0)
    search.ask()
    search.tell(np.full(6, np.nan))
    assert search.best.cost == np.inf
    asked = search.ask()
    costs = functions.sphere(asked)
    costs[2] = -np.inf
    search.tell(costs)
    assert search.nonfinite == 7
    kept = search.state_dict()["costs"]
    assert (kept == np.where(np.arange(6) == 2, np.inf, costs)).all()


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"population": 3}, "population must be an integer >= 4"),
        ({"strategy": "best2"}, "strategy must be 'rand1', 'best1' or 'current_to_best1'"),
        ({"mutation": (0.9, 0.5)}, r"mutation must be low <= high in \[0, 2\]"),
        ({"mutation": 2.5}, r"mutation must be low <= high in \[0, 2\]"),
        ({"mutation": np.nan}, r"mutation must be low <= high in \[0, 2\]"),
        ({"crossover": 1.1}, r"crossover must be in \[0, 1\]"),
        ({"sigma": 0.0}, "sigma must be a positive number"),
    ],
)
def test_settings_out_of_range(chosen, message):
    with pytest.raises(ValueError, match=message):
        DifferentialEvolution(np.ones(D), **chosen)


def test_minimize_knows_it_and_stops_when_the_members_meet():
    result = minimize(
        lambda x: ((x - 1) ** 2).sum(), np.zeros(3), method="differential_evolution",
        bounds=[(-5, 5)] * 3, seed=0, maxfev=60_000,
    )  # fmt: skip
    assert result.success
    assert result.fun < 1e-12
