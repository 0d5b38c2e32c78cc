"""CoveringDirectSearch against a replay of its formulas; barriers, kinks, batches, bounds."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search import draws, functions

import thalweg
from thalweg.search import CoveringDirectSearch, minimize

OTHER = 3


def gaussian(seed, iteration, number, d):
    key = draws.stream(iteration, number)
    return np.array([draws.normal(seed, key, i // 2)[i % 2] for i in range(d)])


def rotation(seed, iteration, d):
    """The matrix that turns disjoint pairs of a random order."""
    order = list(range(d))
    for i in range(d - 1, 0, -1):
        j = draws.below(seed, draws.stream(iteration, 2, OTHER), i, i + 1)
        order[i], order[j] = order[j], order[i]
    g = np.eye(d)
    for i in range(d // 2):
        u = draws.uniform(seed, draws.stream(iteration, 3, OTHER), i)[0]
        angle = math.acos(1 / d) * (2 * u - 1)
        a, b = order[2 * i], order[2 * i + 1]
        g[a, a] = g[b, b] = math.cos(angle)
        g[a, b], g[b, a] = math.sin(angle), -math.sin(angle)
    return g


def directions(seed, iteration, d, poll):
    q = gaussian(seed, iteration, 2, d)
    q = q / np.sqrt(q @ q)
    h = np.eye(d) - 2 * np.outer(q, q)
    if poll == "2n":
        return np.concatenate([h, -h])
    return np.concatenate([h, -h.sum(axis=0)[None]]) @ rotation(seed, iteration, d).T


def replay(f, x, seed, iterations, *, r0, least, most, poll, speculative, fold):
    """Points in the order of their evaluation, the path of x, and the radii."""
    seen, path, radii = [], [], []
    d, r, c, last = len(x), r0, 0, np.zeros(len(x))

    def cost(point):
        seen.append(fold(point))
        value = f(seen[-1])
        return value if math.isfinite(value) else math.inf

    fx = cost(x)
    for t in range(1, iterations + 1):
        parts = []
        if speculative and last.any():
            parts.append(("speculative", [x + s * last for s in (1.5, 1, 2 / 3)]))
        v = gaussian(seed, t, 0, d)
        u = draws.uniform(seed, draws.stream(t, 0, OTHER), 0)[0]
        parts.append(("covering", [x + (u * r0) ** (1 / d) * v / abs(v).max()]))
        v = gaussian(seed, t, 1, d)
        parts.append(("search", [x + min(r0 * math.sqrt(c + 1), most) * v / abs(v).max()]))
        h = directions(seed, t, d, poll)
        parts.append(("poll", list(x + r * h / abs(h).max(axis=1, keepdims=True))))
        winner = None
        for name, points in parts:
            c += name == "search"
            for point in points:
                value = cost(point)
                if value < fx:
                    winner, last, x, fx = name, seen[-1] - x, seen[-1], value
                    break
            if winner:
                break
        if winner == "poll":
            r = min(2 * r, most)
        if winner is None:
            r, last = max(r / 2, least), np.zeros(d)
        path.append(x)
        radii.append(r)
    return np.array(seen), path, radii


def barrier(x):
    """Not smooth, infeasible on one side, NaN on another."""
    if x[0] + x[1] < -1:
        return np.nan
    if x[-1] < -0.5:
        return np.inf
    return float(np.abs(x - 0.3).sum() + 0.5 * np.abs(x).max() ** 2)


@pytest.mark.parametrize("poll", ["2n", "n+1"])
@pytest.mark.parametrize("speculative", [False, True])
@pytest.mark.parametrize("box", [None, (-0.4, 1.7)])
@pytest.mark.parametrize("d", [1, 2, 5])
def test_equals_a_replay(poll, speculative, box, d):
    chosen = {"poll": poll, "speculative": speculative}
    low, high = box or (-np.inf, np.inf)
    fold = np.vectorize(lambda v: draws.fold(v, low, high))
    f = barrier if d > 1 else lambda x: float(abs(x[0] - 0.3))
    x0 = np.linspace(1.6, 0.9, d)
    seen, path, radii = replay(f, x0, 11, 40, r0=0.6, least=1e-3, most=1.5, fold=fold, **chosen)
    search = CoveringDirectSearch(
        x0, radius=0.6, radius_min=1e-3, radius_max=1.5, seed=11,
        bounds=box and [box] * d, **chosen,
    )  # fmt: skip
    asked = []
    for _ in range(len(seen)):
        asked.append(search.ask()[0])
        search.tell([f(asked[-1])])
    np.testing.assert_allclose(asked, seen, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(search.x, path[-1], rtol=1e-9, atol=1e-12)
    assert search.radius == pytest.approx(radii[-1])
    assert search.best.cost == f(search.x)


@given(seed=st.integers(0, 2**32), d=st.integers(1, 6), batch=st.sampled_from([1, 2, 3, None]))
@settings(max_examples=30, deadline=None)
def test_a_batch_gives_its_cheapest(seed, d, batch):
    search = CoveringDirectSearch(np.full(d, 2.0), batch=batch, speculative=True, seed=seed)
    x, cost = None, np.inf
    for _ in range(60):
        phase, radius = search.phase, search.radius
        points = search.ask()
        most = {"speculative": 3, "poll": 2 * d}.get(phase, 1)
        assert len(points) == search.population <= min(batch or most, most)
        costs = functions.ellipsoid(points)
        search.tell(costs)
        if costs.min() < cost:
            x, cost = points[costs.argmin()], costs.min()
            assert search.radius == (2 * radius if phase == "poll" else radius)
        np.testing.assert_array_equal(search.x, x)
        assert search.best.cost == cost


def test_the_poll_does_not_depend_on_threads_or_batches():
    polls, before = [], thalweg.get_num_threads()
    try:
        for threads, batch in ((1, None), (2, None), (7, None), (2, 33)):
            thalweg.set_num_threads(threads)
            search, rows = CoveringDirectSearch(np.ones(101), batch=batch, seed=3), []
            while search.radius == 1.0:
                phase, points = search.phase, search.ask()
                rows += [points] if phase == "poll" else []
                # Nothing is cheaper than the start.
                search.tell(np.full(len(points), float(phase != "start")))
            polls.append(np.concatenate(rows))
    finally:
        thalweg.set_num_threads(before)
    assert polls[0].shape == (202, 101)
    assert all((poll == polls[0]).all() for poll in polls)
    np.testing.assert_allclose(np.abs(polls[0] - 1.0).max(axis=1), 1.0)


@pytest.mark.parametrize(
    ("cost", "d", "evaluations", "limit", "chosen"),
    [
        (functions.sphere, 10, 5_000, 1e-9, {}),
        (functions.sphere, 10, 5_000, 1e-9, {"poll": "n+1"}),
        (functions.ellipsoid, 3, 5_000, 1e-8, {"speculative": True}),
        (lambda x: np.abs(x).sum(axis=1), 5, 5_000, 1e-4, {}),
        (lambda x: np.abs(x).sum(axis=1), 5, 5_000, 1e-4, {"poll": "n+1"}),
        (lambda x: np.floor(4 * np.abs(x)).sum(axis=1), 5, 5_000, 0.5, {"batch": None}),
    ],
)
def test_reaches_the_minimum(cost, d, evaluations, limit, chosen):
    search = CoveringDirectSearch(np.full(d, 2.0), seed=1, **chosen)
    assert functions.lowest(search, cost, evaluations) < limit


def test_infeasible_points_are_never_taken():
    def cost(x):
        outside = (x[:, 0] ** 2 + x[:, 1] ** 2 < 1) | (x[:, 0] < 0)
        return np.where(outside, np.where(x[:, 1] > 0, np.inf, np.nan), functions.sphere(x))

    # The start lies outside too.
    search = CoveringDirectSearch([-1.0, -2.0], seed=4)
    assert not np.isfinite(cost(search.x[None])[0])
    while search.converged(0.0) is None:
        search.tell(cost(search.ask()))
        assert search.best.cost == np.inf or search.best.cost == cost(search.x[None])[0]
    assert 1 <= search.best.cost < 1.0001
    assert search.nonfinite > 0


def test_minus_infinity_is_no_cost():
    search = CoveringDirectSearch(np.ones(2), seed=0)
    search.ask()
    search.tell([1.0])
    search.ask()
    search.tell([-np.inf])
    assert search.best.cost == 1.0
    np.testing.assert_array_equal(search.x, 1.0)


def test_stops_by_its_radius_in_minimize():
    result = minimize(
        lambda x: float(np.abs(x - 0.5).sum()), np.zeros(3), method="covering_direct_search",
        seed=0, options={"radius_min": 1e-3},
    )  # fmt: skip
    assert result.success
    assert "radius_min" in result.message
    assert result.fun < 0.01
    result = minimize(
        lambda x: float(np.abs(x).sum()), np.ones(3), method="covering_direct_search", seed=0,
        tol=0.1,
    )  # fmt: skip
    assert "< tol 1.0e-01" in result.message


def test_the_radius_stays_within_its_limits():
    search = CoveringDirectSearch(
        np.full(2, 50.0), radius=0.5, radius_min=0.25, radius_max=1.0, seed=0
    )
    radii = []
    while search.converged(0.0) is None:
        search.tell(functions.sphere(search.ask()))
        radii.append(search.radius)
    assert max(radii) == 1.0
    assert search.radius == 0.25
    assert search.converged(0.0) == "radius 2.5e-01 <= radius_min 2.5e-01"


@pytest.mark.parametrize(
    ("chosen", "error", "message"),
    [
        ({"radius": 0.0}, ValueError, "radius must be a positive number"),
        ({"radius": "big"}, TypeError, "radius must be a number"),
        ({"radius": 1e-6}, ValueError, r"radius must be in \[radius_min, radius_max\]"),
        ({"radius_max": 0.5}, ValueError, r"radius must be in \[radius_min, radius_max\]"),
        ({"radius_min": np.nan}, ValueError, "radius_min must be a positive number"),
        ({"poll": "3n"}, ValueError, "poll must be '2n' or 'n\\+1'"),
        ({"batch": 0}, ValueError, "batch must be an integer >= 1"),
        ({"batch": 1.5}, ValueError, "batch must be an integer >= 1"),
        ({"speculative": 2}, ValueError, "speculative must be True or False"),
    ],
)
def test_settings_out_of_range(chosen, error, message):
    with pytest.raises(error, match=message):
        CoveringDirectSearch(np.ones(3), **chosen)


def test_it_takes_no_ranking():
    search = CoveringDirectSearch(np.ones(3))
    search.ask()
    with pytest.raises(NotImplementedError, match="a ranking for this method is not supported"):
        search._core.tell_ranking([0], [1])
