"""NelderMead against scipy, point by point, and against a replay within bounds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search import draws, functions

from thalweg.search import NelderMead, minimize

FUNCTIONS = [functions.sphere, functions.ellipsoid, functions.rosenbrock, functions.rastrigin]


def constants(d, adaptive):
    n = max(d, 2)
    return (1 + 2 / n, 0.75 - 1 / (2 * n), 1 - 1 / n) if adaptive else (2, 0.5, 0.5)


def replay(cost, x0, adaptive, box, moves):
    """Points in the order that they are evaluated in."""
    seen = []

    def f(x):
        x = np.array([draws.fold(v, *side) for v, side in zip(x, box, strict=True)])
        seen.append(x)
        return x, float(cost(x[None])[0])

    beta, gamma, delta = constants(len(x0), adaptive)
    start = [np.array(x0, float) for _ in range(len(x0) + 1)]
    for j, x in enumerate(start[1:]):
        x[j] = 1.05 * x[j] if x[j] else 0.00025
    simplex = [f(x) for x in start]
    for _ in range(moves):
        simplex.sort(key=lambda vertex: vertex[1])
        c, (w, fw) = np.mean([x for x, _ in simplex[:-1]], axis=0), simplex[-1]
        reflected = f(c + (c - w))
        new = reflected
        if reflected[1] < simplex[0][1]:
            expanded = f(c + beta * (c - w))
            new = expanded if expanded[1] < reflected[1] else reflected
        elif reflected[1] >= simplex[-2][1]:
            outside = reflected[1] < fw
            new = f(c + (gamma if outside else -gamma) * (c - w))
            if new[1] > reflected[1] if outside else new[1] >= fw:
                new = None
        if new is None:
            b = simplex[0][0]
            simplex[1:] = [f(b + delta * (x - b)) for x, _ in simplex[1:]]
        else:
            simplex[-1] = new
    return np.array(seen)


@pytest.mark.parametrize("cost", FUNCTIONS)
@pytest.mark.parametrize("adaptive", [True, False])
@pytest.mark.parametrize("box", [None, (-1.5, 2.5)])
def test_equals_a_replay(cost, adaptive, box):
    x0, moves = np.array([0.0, 2.4, -1.0, 2.5]), 70
    sides = [box or (-np.inf, np.inf)] * 4
    expected = replay(cost, x0, adaptive, sides, moves)
    search, seen = NelderMead(x0, adaptive=adaptive, bounds=box and sides), []
    while sum(map(len, seen)) < len(expected):
        seen.append(search.ask())
        search.tell(cost(seen[-1]))
    np.testing.assert_allclose(np.concatenate(seen), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("cost", FUNCTIONS)
@pytest.mark.parametrize("adaptive", [True, False])
def test_sees_the_points_of_scipy(cost, adaptive):
    scipy = pytest.importorskip("scipy.optimize")
    theirs, seen = [], []

    def f(x):
        theirs.append(x.copy())
        return float(cost(x[None])[0])

    x0 = np.array([0.5, 1.8, -1.0])
    options = {"adaptive": adaptive, "maxfev": 150, "xatol": 0, "fatol": 0}
    scipy.minimize(f, x0, method="Nelder-Mead", options=options)
    search = NelderMead(x0, adaptive=adaptive)
    while sum(map(len, seen)) < len(theirs):
        seen.append(search.ask())
        search.tell(cost(seen[-1]))
    np.testing.assert_allclose(np.concatenate(seen)[: len(theirs)], theirs, rtol=1e-6, atol=1e-9)


@given(seed=st.integers(0, 2**32), d=st.integers(1, 6), adaptive=st.booleans())
@settings(max_examples=40, deadline=None)
def test_all_trials_at_once_make_the_same_moves(seed, d, adaptive):
    rng = np.random.default_rng(seed)
    x0, shift = rng.normal(size=(2, d))
    runs = []
    for speculative in (False, True):
        search, path = NelderMead(x0, adaptive=adaptive, speculative=speculative), []
        while search.step < 40:
            before = search.x
            search.tell(functions.ellipsoid(search.ask() - shift))
            if (search.x != before).any():
                path.append(search.x)
        runs.append(path)
    shortest = min(map(len, runs))
    np.testing.assert_array_equal(runs[0][:shortest], runs[1][:shortest])


@pytest.mark.parametrize(
    ("cost", "d", "evaluations", "limit"),
    [
        (functions.sphere, 8, 3_000, 1e-10),
        (functions.ellipsoid, 4, 3_000, 1e-10),
        (functions.rosenbrock, 4, 3_000, 1e-10),
    ],
)
def test_reaches_the_minimum(cost, d, evaluations, limit):
    search = NelderMead(np.full(d, 2.0), initial_step=0.5)
    assert functions.lowest(search, cost, evaluations) < limit


def test_bad_costs_are_left_behind():
    search = NelderMead(np.full(3, 2.0), initial_step=0.5)
    while search.evaluations < 1_000:
        x = search.ask()
        search.tell(np.where(x[:, 0] < 1.0, np.nan, functions.sphere(x)))
    assert search.nonfinite > 0
    assert search.best.cost - 1 < 1e-3


def test_a_simplex_grows_from_a_start_on_the_bounds():
    search = NelderMead(np.full(3, 2.0), bounds=[(1, 2)] * 3)
    first = search.ask()
    assert np.linalg.matrix_rank(first[1:] - first[0]) == 3
    search.tell(functions.sphere(first))
    assert functions.lowest(search, functions.sphere, 600) - 3 < 1e-3


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"initial_step": 0.0}, "initial_step must be a positive number"),
        ({"adaptive": 2}, "adaptive must be True or False"),
        ({"speculative": -1}, "speculative must be True or False"),
    ],
)
def test_settings_out_of_range(chosen, message):
    with pytest.raises(ValueError, match=message):
        NelderMead(np.ones(3), **chosen)


def test_minimize_knows_it_and_stops_when_the_simplex_is_small():
    result = minimize(
        lambda x: ((x - 1) ** 2).sum(), np.zeros(3), method="nelder_mead", maxfev=20_000
    )
    assert result.success
    assert result.fun < 1e-12
