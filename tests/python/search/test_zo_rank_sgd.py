"""ZORankSGD against an explicit sum over edges; orders, ties, line searches, refusals."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search import functions

from thalweg.search import Cosine, ZORankSGD, minimize


def direction(xi, order, k):
    """-g: the mean over the edges (i better than j) of xi_i - xi_j, one edge at a time."""
    ranked, m = list(order[:k]), len(xi)
    others = [j for j in range(m) if j not in ranked]
    edges = [(i, j) for a, i in enumerate(ranked) for j in [*ranked[a + 1 :], *others]]
    assert len(edges) == k * (k - 1) // 2 + k * (m - k)
    return sum(xi[i] - xi[j] for i, j in edges) / len(edges)


@given(
    seed=st.integers(0, 2**32),
    d=st.integers(1, 6),
    m=st.integers(2, 9),
    share=st.floats(0, 1),
    told=st.sampled_from(["order", "costs"]),
)
@settings(max_examples=60, deadline=None)
def test_a_step_equals_the_sum_over_edges(seed, d, m, share, told):
    k = 1 + int(share * (m - 1))
    rng = np.random.default_rng(seed)
    search = ZORankSGD(
        rng.normal(size=d), population=m, ranked=k, mu=0.3, lr=0.7, line_search=0, seed=seed
    )
    for _ in range(5):
        x, points = search.x, search.ask()
        assert (search.to_rank, search.phase) == (k, "estimate")
        costs = rng.permutation(m).astype(float)
        order = np.argsort(costs)
        if told == "order":
            search.tell_ranking(order[:k])
        else:
            search.tell(costs)
        expected = x + 0.7 * direction((points - x) / 0.3, order, k)
        np.testing.assert_allclose(search.x, expected, rtol=1e-10, atol=1e-12)


def test_two_candidates_are_one_comparison():
    search = ZORankSGD(np.zeros(3), population=2, ranked=1, mu=0.5, lr=2.0, line_search=0, seed=0)
    points = search.ask()
    search.tell_ranking([1])
    np.testing.assert_allclose(search.x, 2.0 * (points[1] - points[0]) / 0.5)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_equals_count_as_the_mean_of_their_orders(k):
    """Costs with ties against the mean over all ways to break them."""
    costs = np.array([2.0, 1.0, 2.0, 2.0, 1.0, 5.0])
    breaks = [np.lexsort((tie, costs)) for tie in np.random.default_rng(0).random((4000, 6))]
    search = ZORankSGD(np.zeros(4), population=6, ranked=k, mu=1.0, line_search=0, seed=3)
    points = search.ask()
    mean = np.mean([direction(points, order, k) for order in breaks], axis=0)
    search.tell(costs)
    np.testing.assert_allclose(search.x, mean, atol=0.1)
    exact = ZORankSGD(np.zeros(4), population=6, ranked=6, mu=1.0, line_search=0, seed=3)
    exact.ask()
    exact.tell_ranking([(4, 1), (0, 2, 3), 5])
    if k == 6:
        np.testing.assert_allclose(exact.x, search.x, rtol=1e-12)


def test_all_equal_moves_nowhere():
    search = ZORankSGD(np.ones(4), population=5, ranked=2, line_search=0, seed=0)
    search.ask()
    search.tell(np.full(5, np.nan))
    np.testing.assert_allclose(search.x, 1.0, atol=1e-15)
    assert search.nonfinite == 5
    assert search.best.cost == np.inf


@given(seed=st.integers(0, 2**32), told=st.sampled_from(["order", "costs"]))
@settings(max_examples=30, deadline=None)
def test_line_search_and_the_running_mean(seed, told):
    rng = np.random.default_rng(seed)
    search = ZORankSGD(np.zeros(3), population=6, ranked=2, mu=0.2, lr=1.5, line_search=4, seed=1)
    x, mean, count = np.zeros(3), np.zeros(3), 0
    for _ in range(12):
        points = search.ask()
        order = rng.permutation(6)
        tell(search, order, told)
        mean = (mean * count + direction((points - x) / 0.2, order, 2)) / (count + 1)
        count += 1
        np.testing.assert_array_equal(search.x, x)
        assert (search.population, search.to_rank, search.phase) == (6, 1, "line search")
        line = search.ask()
        expected = [x, points[order[0]], *(x + 1.5 * 0.5**j * mean for j in range(4))]
        np.testing.assert_allclose(line, expected, rtol=1e-9, atol=1e-12)
        order = rng.permutation(6)
        tell(search, order, told)
        if order[0] > 0:
            x, mean, count = line[order[0]], np.zeros(3), 0
        np.testing.assert_array_equal(search.x, x)


def tell(search, order, told):
    if told == "order":
        search.tell_ranking(order[: search.to_rank])
    else:
        search.tell(np.argsort(order))


def test_x_wins_where_a_line_search_shows_equals():
    search = ZORankSGD(np.ones(3), population=4, seed=0)
    for _ in range(6):
        search.tell(np.zeros(len(search.ask())))
    np.testing.assert_array_equal(search.x, 1.0)


@pytest.mark.parametrize("transform", [np.exp, np.cbrt, np.arctan])
def test_only_the_order_counts(transform):
    runs = [ZORankSGD(np.ones(4), ranked=5, seed=2) for _ in range(2)]
    for _ in range(40):
        for run, shown in zip(runs, (np.asarray, transform), strict=True):
            run.tell(shown(functions.sphere(run.ask())))
    np.testing.assert_array_equal(runs[0].x, runs[1].x)


@pytest.mark.parametrize("boundary", ["reflect", "resample", "transform"])
def test_orders_within_bounds_and_resumed(boundary):
    make = {"bounds": [(-1, 1), (0, None), (None, 2)], "boundary": boundary, "population": 5}
    search = ZORankSGD([0.9, 0.1, 1.9], mu=0.8, seed=4, **make)
    for step in range(30):
        points = search.ask()
        assert (np.abs(points[:, 0]) <= 1).all()
        assert (points[:, 1] >= 0).all()
        assert (points[:, 2] <= 2).all()
        if step == 17:
            other = pickle.loads(pickle.dumps(search))
        for one in (search, other) if step == 17 else (search,):
            one.tell_ranking(np.argsort(points.sum(axis=1))[: one.to_rank])
    for _ in range(12):
        other.tell_ranking(np.argsort(other.ask().sum(axis=1))[: other.to_rank])
    np.testing.assert_array_equal(search.x, other.x)
    assert search.best.cost == np.inf
    np.testing.assert_array_equal(search.best.x, search.x)


@pytest.mark.parametrize("ranked", [1, 4, None])
def test_descends_by_orders_alone(ranked):
    search = ZORankSGD(np.full(8, 2.0), ranked=ranked, seed=0)
    while search.evaluations < 4_000:
        hidden = functions.ellipsoid(search.ask()) if ranked else functions.sphere(search.ask())
        search.tell_ranking(np.argsort(hidden)[: search.to_rank])
    cost = functions.ellipsoid if ranked else functions.sphere
    assert cost(search.x[None])[0] < 0.01 * cost(np.full((1, 8), 2.0))[0]


def test_schedules_are_followed():
    mu = Cosine(init=1.0, target=0.01, total_steps=50)
    search = ZORankSGD(np.full(4, 2.0), mu=mu, line_search=0, lr=0.5, seed=0)
    assert search.converged(0.5) is None
    first = np.abs(search.ask() - 2.0).mean()
    search.tell_ranking(range(16))
    for _ in range(49):
        search.tell(functions.sphere(search.ask()))
    assert np.abs(search.ask() - search.x).mean() < 0.1 * first
    assert search.converged(0.5) is not None


@pytest.mark.parametrize(
    ("order", "error", "message"),
    [
        ([0, 1], ValueError, "order must be the best 3 of 5 candidates, best first, got 2 of them"),
        ([0, 1, 2, 3], ValueError, "got 4 of them"),
        ([], ValueError, "got 0 of them"),
        ([0, (1, 2), 3], ValueError, "got 4 of them"),
        ([0, 1, 5], ValueError, r"order must be indices in \[0, 5\), got 5"),
        ([0, 1, -1], ValueError, r"order must be indices in \[0, 5\), got -1"),
        ([0, 1, 2**70], ValueError, r"order must be indices in \[0, 5\)"),
        ([2, 1, 2], ValueError, "order must be different indices, got 2 twice"),
        ([2, (1, 1)], ValueError, "order must be different indices, got 1 twice"),
        ([0, 1, 2.0], TypeError, "order must hold integers, got 2.0"),
        ([0, True, 2], TypeError, "order must hold integers, got True"),
        ([0, "1", 2], TypeError, "order must hold integers, got '1'"),
        ("012", TypeError, "order must be a sequence of indices, got str"),
        (3, TypeError, "order must be a sequence of indices, got int"),
    ],
)
def test_refusals_leave_the_step_open(order, error, message):
    search = ZORankSGD(np.ones(2), population=5, ranked=3, seed=0)
    with pytest.raises(ValueError, match="tell must be called after ask"):
        search.tell_ranking([0, 1, 2])
    search.ask()
    state = search.state_dict()
    with pytest.raises(error, match=message):
        search.tell_ranking(order)
    np.testing.assert_equal(search.state_dict(), state)
    search.tell_ranking(np.array([4, 0, 2]))
    assert (search.step, search.evaluations) == (1, 5)
    other = copy.deepcopy(search)
    other.ask()
    with pytest.raises(ValueError, match="the best 1 of 10 candidates"):
        other.tell_ranking([0, 1, 2])


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"population": 1}, "population must be an integer >= 2, got 1"),
        ({"population": 1, "ranked": 1}, "population must be an integer >= 2, got 1"),
        ({"population": 4, "ranked": 5}, "ranked must be at most population = 4, got 5"),
        ({"ranked": 0}, "ranked must be an integer >= 1"),
        ({"mu": 0.0}, "mu must be"),
        ({"lr": -1.0}, "lr must be"),
        ({"mu": Cosine(init=1.0, target=0.0)}, "mu must be"),
        ({"line_search": -1}, r"line_search must be an integer in \[0, 1000\)"),
    ],
)
def test_settings_out_of_range(chosen, message):
    with pytest.raises(ValueError, match=message):
        ZORankSGD(np.ones(3), **chosen)


def test_minimize_knows_it():
    result = minimize(
        lambda x: float(((x - 1) ** 2).sum()), np.zeros(4), method="zo_rank_sgd", seed=0,
        maxfev=3000,
    )  # fmt: skip
    assert result.fun < 0.02
    assert result.nfev <= 3000
