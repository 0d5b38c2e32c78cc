"""GFM and GFM+ against their recursions on the directions that were asked; what they reach."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.search import GFM, GFMPlus, Linear, minimize

D = 5
START = np.linspace(-1, 2, D)


def kinked(x):
    """The largest of absolute values and their sum: nonsmooth, Lipschitz."""
    return np.abs(x).sum(axis=-1) + 3 * np.abs(x - 0.3).max(axis=-1)


def noisy(x, sample):
    """A cost whose kinks and slope are drawn at random."""
    rng = np.random.default_rng(sample)
    return np.abs(x - 0.3 * rng.normal(size=x.size)).sum() + rng.normal(size=x.size) @ x


def evaluate(search, points):
    return np.array([noisy(x, s) for x, s in zip(points, search.samples, strict=True)])


def test_gfm_equals_its_recursion():
    search = GFM(START, delta=0.05, lr=0.1, directions=3, seed=1)
    for _ in range(20):
        x, points = search.x, search.ask()
        w = (points[0::2] - x) / 0.05
        np.testing.assert_allclose(np.linalg.norm(w, axis=1), 1.0, rtol=1e-9)
        np.testing.assert_allclose(points[1::2], 2 * x - points[0::2], atol=1e-12)
        costs = evaluate(search, points)
        search.tell(costs)
        g = D / (2 * 0.05) * (costs[0::2] - costs[1::2])[:, None] * w
        expected = x - 0.1 * g.mean(axis=0)
        np.testing.assert_allclose(search.x, expected, rtol=1e-9, atol=1e-10)


def test_gfm_plus_equals_its_recursion():
    search = GFMPlus(START, delta=0.05, lr=0.1, directions=2, mega_directions=6, period=4, seed=1)
    before, v = None, None
    for t in range(21):
        x, points = search.x, search.ask()
        costs = evaluate(search, points)
        if t % 4 == 0:
            assert len(points) == 12
            w = (points[0::2] - x) / 0.05
            g = (costs[0::2] - costs[1::2])[:, None] * w
            v = D / (2 * 0.05) * g.mean(axis=0)
        else:
            assert len(points) == 8
            w = (points[0::4] - x) / 0.05
            np.testing.assert_allclose(points[1::4], x - 0.05 * w, atol=1e-12)
            np.testing.assert_allclose(points[2::4], before + 0.05 * w, atol=1e-12)
            np.testing.assert_allclose(points[3::4], before - 0.05 * w, atol=1e-12)
            here, there = costs[0::4] - costs[1::4], costs[2::4] - costs[3::4]
            v = v + D / (2 * 0.05) * ((here - there)[:, None] * w).mean(axis=0)
        np.testing.assert_allclose(np.linalg.norm(w, axis=1), 1.0, rtol=1e-9)
        search.tell(costs)
        before = x
        np.testing.assert_allclose(search.x, x - 0.1 * v, rtol=1e-9, atol=1e-10)


@given(seed=st.integers(0, 2**64 - 1), q=st.integers(1, 4), mega=st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_samples_are_shared_within_a_group_alone(seed, q, mega):
    search, seen = GFMPlus(START, directions=q, mega_directions=mega, period=3, seed=seed), []
    for t in range(6):
        size = 2 if t % 3 == 0 else 4
        points = search.ask()
        assert len(points) == size * (mega if t % 3 == 0 else q)
        groups = search.samples.reshape(-1, size)
        assert (groups == groups[:, :1]).all()
        seen.extend(groups[:, 0].tolist())
        search.tell(kinked(points))
    assert len(set(seen)) == len(seen)
    assert seen[0] != GFMPlus(START, seed=seed ^ 1).samples[0]


def test_a_correction_without_a_move_is_zero():
    # A rate of nothing to speak of: x_t and x_t-1 are the same point, and so are their costs.
    search = GFMPlus(START, lr=1e-300, period=50, seed=0)
    search.tell(evaluate(search, search.ask()))
    first = search.state_dict()["estimate"]
    assert np.abs(first).max() > 0
    for _ in range(10):
        points = search.ask()
        np.testing.assert_array_equal(points[0::4], points[2::4])
        search.tell(evaluate(search, points))
        np.testing.assert_array_equal(search.state_dict()["estimate"], first)


def test_the_mean_estimate_is_the_gradient_of_a_smooth_cost():
    search = GFM(START, delta=1e-4, directions=20_000, seed=0)
    search.tell((search.ask() ** 2).sum(axis=1))
    # Deviation of one coordinate of the mean: |gradient| / sqrt(q).
    limit = 5 * np.linalg.norm(2 * START) / np.sqrt(20_000)
    assert np.abs(search.state_dict()["estimate"] - 2 * START).max() < limit


@pytest.mark.parametrize("make", [GFM, GFMPlus])
@pytest.mark.parametrize("cost", [kinked, lambda x: np.abs(x).max(axis=-1)])
def test_reaches_the_minimum_of_nonsmooth_costs(make, cost):
    lr = Linear(init=0.03, target=5e-4, decay=2e-5)
    search, evaluations = make(np.full(D, 2.0), delta=0.01, lr=lr, seed=0), 0
    while evaluations < 12_000:
        points = search.ask()
        evaluations += len(points)
        search.tell(cost(points))
    assert search.evaluations == evaluations
    lowest = min(cost(np.full(D, c)) for c in np.linspace(0, 0.3, 301))
    assert cost(search.x) < lowest + 0.05


def test_corrections_reduce_the_variance():
    def spread(make, **chosen):
        ends = []
        for seed in range(12):
            search = make(np.full(D, 0.0), delta=0.1, lr=0.002, seed=seed, **chosen)
            points = 0
            while points < 1500:
                costs = evaluate(search, search.ask())
                points += len(costs)
                search.tell(costs)
            ends.append(search.state_dict()["estimate"])
        return np.std(ends)

    assert spread(GFMPlus, mega_directions=40, period=5) < 0.6 * spread(GFM)


@pytest.mark.parametrize("make", [GFM, GFMPlus])
def test_bad_groups_are_left_out(make):
    search, kept = make(START, directions=3, seed=0), make(START, directions=3, seed=0)
    points, _ = search.ask(), kept.ask()
    costs = kinked(points)
    bad = costs.copy()
    bad[1] = np.nan
    search.tell(bad)
    scale = D / (2 * 1e-3)
    w = (points[0::2] - START) / 1e-3
    g = scale * (costs[0::2] - costs[1::2])[:, None] * w
    np.testing.assert_allclose(search.state_dict()["estimate"], g[1:].mean(axis=0), rtol=1e-9)
    search.ask()
    before = search.x
    search.tell(np.full(search.population, np.inf))
    np.testing.assert_array_equal(search.x, before)


def test_a_failed_correction_is_repeated():
    search = GFMPlus(START, seed=0)
    search.tell(kinked(search.ask()))
    search.ask()
    state = search.state_dict()
    search.tell(np.full(4, np.nan))
    after = search.state_dict()
    for name in ("x", "estimate", "before", "turn"):
        np.testing.assert_array_equal(state[name], after[name])
    assert len(search.ask()) == 4


@pytest.mark.parametrize(
    ("make", "chosen", "message"),
    [
        (GFM, {"delta": 0.0}, "delta must be a positive number"),
        (GFM, {"lr": -1.0}, "lr must be a positive number"),
        (GFM, {"directions": 0}, "directions must be an integer >= 1"),
        (GFMPlus, {"delta": np.inf}, "delta must be a positive number"),
        (GFMPlus, {"mega_directions": 0}, "mega_directions must be an integer >= 1"),
        (GFMPlus, {"period": 1.5}, "period must be an integer >= 1"),
    ],
)
def test_settings_out_of_range(make, chosen, message):
    with pytest.raises(ValueError, match=message):
        make(START, **chosen)


@pytest.mark.parametrize("method", ["gfm", "gfm_plus"])
def test_minimize_knows_them(method):
    lr = Linear(init=0.03, target=5e-4, decay=2e-5)
    result = minimize(
        kinked, np.ones(D), method=method, seed=0, maxfev=16_000,
        options={"lr": lr, "delta": 0.01},
    )  # fmt: skip
    assert result.fun < kinked(np.zeros(D)) + 0.05
