"""CMA against a dense replay of the tutorial's update, what cannot matter, what it reaches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search import draws, functions

from thalweg.search import CMA, minimize

D, SEED = 5, 4


def turned(x):
    """An ellipsoid of condition 1e4 whose axes are no coordinates."""
    basis, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(x.shape[1],) * 2))
    return functions.ellipsoid(x @ basis)


class Reference:
    """Hansen 2016, Fig. 6 and Table 1, in the paper's order, with the root of Cholesky's; dense."""

    def __init__(self, mean, sigma, n, active=True):
        d = len(mean)
        raw = np.log((n + 1) / 2) - np.log(np.arange(1, n + 1))
        mu = n // 2
        mueff = raw[:mu].sum() ** 2 / (raw[:mu] ** 2).sum()
        other = raw[mu:].sum() ** 2 / (raw[mu:] ** 2).sum()
        self.cs = (mueff + 2) / (d + mueff + 5)
        self.ds = 1 + 2 * max(0, np.sqrt((mueff - 1) / (d + 1)) - 1) + self.cs
        self.cc = (4 + mueff / d) / (d + 4 + 2 * mueff / d)
        self.c1 = 2 / ((d + 1.3) ** 2 + mueff)
        self.cmu = min(1 - self.c1, 2 * (1 / 4 + mueff + 1 / mueff - 2) / ((d + 2) ** 2 + mueff))
        least = min(
            1 + self.c1 / self.cmu,
            1 + 2 * other / (mueff + 2),
            (1 - self.c1 - self.cmu) / (d * self.cmu),
        )
        positive, negative = raw[raw > 0].sum(), -raw[raw < 0].sum()
        self.w = np.where(raw >= 0, raw / positive, active * least * raw / negative)
        self.m, self.sigma, self.C = np.array(mean, float), sigma, np.eye(d)
        self.ps, self.pc, self.t, self.mu, self.mueff = np.zeros(d), np.zeros(d), 0, mu, mueff

    def tell(self, x, costs):
        d = len(self.m)
        self.t += 1
        inverse = np.linalg.inv(np.linalg.cholesky(self.C))
        y = (x[np.argsort(costs, kind="stable")] - self.m) / self.sigma
        step = self.w[: self.mu] @ y[: self.mu]
        self.m = self.m + self.sigma * step
        self.ps = (1 - self.cs) * self.ps + np.sqrt(self.cs * (2 - self.cs) * self.mueff) * (
            inverse @ step
        )
        expected = np.sqrt(d) * (1 - 1 / (4 * d) + 1 / (21 * d**2))
        length = np.linalg.norm(self.ps)
        self.sigma *= np.exp(min(1, self.cs / self.ds * (length / expected - 1)))
        limit = (1.4 + 2 / (d + 1)) * expected
        h = length / np.sqrt(1 - (1 - self.cs) ** (2 * self.t)) < limit
        self.pc = (1 - self.cc) * self.pc + h * np.sqrt(self.cc * (2 - self.cc) * self.mueff) * step
        scale = np.where(self.w >= 0, 1, d / ((y @ inverse.T) ** 2).sum(axis=1))
        keep = 1 + self.c1 * (1 - h) * self.cc * (2 - self.cc) - self.c1 - self.cmu * self.w.sum()
        ranks = (y.T * (self.w * scale)) @ y
        self.C = keep * self.C + self.c1 * np.outer(self.pc, self.pc) + self.cmu * ranks

    def fold(self, low, high):
        """Brings the mean back between mirrors, one after the other; all else turns with it."""
        signs = np.ones(len(self.m))
        for j, x in enumerate(self.m):
            while not low <= x <= high:
                x = 2 * low - x if x < low else 2 * high - x
                signs[j] *= -1
            self.m[j] = x
        self.ps, self.pc = signs * self.ps, signs * self.pc
        self.C = signs[:, None] * self.C * signs
        return (signs < 0).any()


def root(search):
    """The triangular root of the covariance, whose columns the state holds filled up to eights."""
    state = search.state_dict()
    d = len(search.x)
    factor = state["factor"].reshape(d, -1)
    assert (factor[:, d:] == 0).all()
    factor = factor[:, :d].T
    assert (np.diag(factor) == 1).all()
    assert (np.triu(factor, 1) == 0).all()
    assert (state["variances"] > 0).all()
    return factor * np.sqrt(state["variances"])


def noise(g, i, d):
    return np.ravel([draws.normal(SEED, draws.stream(g, i), k) for k in range(-(-d // 2))])[:d]


@pytest.mark.parametrize(
    ("d", "population", "active"),
    [
        (D, None, True),
        (D, None, False),
        (1, None, True),
        (9, 2, True),
        (9, 31, True),
        (33, 7, True),
    ],
)
@pytest.mark.parametrize("box", [None, (-1.0, 1.25)])
def test_equals_a_dense_replay(d, population, active, box):
    start = np.linspace(-1, 1, d)
    turns = 0
    chosen = {} if box is None else {"bounds": [box] * d}
    search = CMA(start, sigma=0.7, population=population, active=active, seed=SEED, **chosen)
    n = population or 4 + int(3 * np.log(d))
    assert search.population == n
    reference = Reference(start, 0.7, n, active)
    for g in range(40):
        z = np.array([noise(g, i, d) for i in range(n)])
        x = reference.m + reference.sigma * z @ np.linalg.cholesky(reference.C).T
        seen = x if box is None else np.vectorize(draws.fold)(x, *box)
        np.testing.assert_allclose(search.ask(), seen, rtol=1e-9, atol=1e-10)
        costs = turned(seen - 1.3)
        search.tell(costs)
        reference.tell(x, costs)
        turns += box is not None and reference.fold(*box)
        state, scale = search.state_dict(), np.abs(reference.C).max()
        np.testing.assert_allclose(search.x, reference.m, rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(state["sigma"], reference.sigma, rtol=1e-10)
        np.testing.assert_allclose(
            root(search) @ root(search).T / scale, reference.C / scale, atol=1e-10
        )
        np.testing.assert_allclose(state["path_sigma"], reference.ps, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(
            state["path_c"] / scale**0.5, reference.pc / scale**0.5, atol=1e-9
        )
    assert (turns > 0) == (box is not None)
    deviation = reference.sigma * np.sqrt(np.diag(reference.C).max())
    assert search.converged(1.001 * deviation) is not None
    assert search.converged(0.999 * deviation) is None


def test_draws_follow_the_covariance():
    search = CMA(np.zeros(3), sigma=0.5, population=2000, seed=0)
    for _ in range(3):
        search.tell(turned(search.ask()))
    covariance = search.state_dict()["sigma"] ** 2 * root(search) @ root(search).T
    x = search.ask()
    # Entries of a sample covariance deviate by about sqrt(2 / n) of the variances.
    size = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    assert (np.abs(np.cov(x.T) - covariance) < 5 * np.sqrt(2 / 2000) * size).all()
    assert (np.abs(x.mean(axis=0) - search.x) < 5 * np.sqrt(np.diag(covariance) / 2000)).all()


@pytest.mark.parametrize("d", [4, 40])
@given(scale=st.floats(1e-6, 1e6), offset=st.floats(-1e3, 1e3), seed=st.integers(0, 2**64 - 1))
@settings(max_examples=15, deadline=None)
def test_costs_count_by_their_order(d, scale, offset, seed):
    one, other = (CMA(np.ones(d), seed=seed) for _ in range(2))
    for _ in range(4):
        order = np.argsort(np.argsort(functions.rosenbrock(one.ask())))
        other.ask()
        one.tell(order)
        other.tell(scale * np.exp(order) + offset)
    state, same = one.state_dict(), other.state_dict()
    assert {k for k in state if np.any(state[k] != same[k])} <= {"best_cost"}


@given(power=st.integers(-40, 40), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_a_power_of_two_scales_every_bit(power, seed):
    scale = 2.0**power
    one, other = CMA(np.ones(9), seed=seed), CMA(np.full(9, scale), sigma=0.5 * scale, seed=seed)
    for _ in range(20):
        x, y = one.ask(), other.ask()
        np.testing.assert_array_equal(y, scale * x)
        one.tell(turned(x))
        other.tell(turned(y / scale))
    np.testing.assert_array_equal(root(one), root(other))


def test_the_origin_does_not_matter():
    shift = np.linspace(-2, 3, 9)
    one, other = CMA(np.zeros(9), seed=0), CMA(shift, seed=0)
    for _ in range(30):
        x = one.ask()
        np.testing.assert_allclose(other.ask() - shift, x, atol=1e-10)
        costs = turned(x - 1)
        one.tell(costs)
        other.tell(costs)
    np.testing.assert_allclose(root(one), root(other), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("d", [3, 40])
@given(seed=st.integers(0, 99), spread=st.floats(1e-3, 1e3))
@settings(max_examples=10, deadline=None)
def test_the_covariance_stays_positive_whatever_the_costs(d, seed, spread):
    search, rng = CMA(np.zeros(d), seed=seed), np.random.default_rng(seed)
    lengths = spread ** np.linspace(-1, 1, d)
    for _ in range(60):
        # The shortest steps are the worst ones: what is taken away points into few directions.
        search.tell(-np.abs((search.ask() - search.x) @ lengths) + 0.1 * rng.normal())
        values = np.linalg.eigvalsh(root(search) @ root(search).T)
        assert values.min() > 0
    assert np.isfinite(search.x).all()


@pytest.mark.parametrize(
    ("cost", "d", "evaluations", "limit"),
    [
        (functions.sphere, 10, 4_000, 1e-10),
        (turned, 10, 8_000, 1e-10),
        (turned, 40, 30_000, 1e-10),
        (functions.rosenbrock, 3, 4_000, 1e-12),
    ],
)
def test_reaches_the_minimum(cost, d, evaluations, limit):
    search = CMA(np.full(d, 3.0), sigma=1.0, seed=0)
    assert functions.lowest(search, cost, evaluations) < limit


def test_negative_weights_save_evaluations():
    def spent(active):
        search = CMA(np.full(10, 3.0), sigma=1.0, active=active, seed=0)
        while search.best.cost > 1e-10:
            search.tell(turned(search.ask()))
        return search.evaluations

    assert spent(True) < 0.95 * spent(False)


def test_points_outside_are_folded_or_drawn_again():
    start, box = np.full(D, 0.9), [(-1, 1)] * D
    free = CMA(start, sigma=0.3, seed=0).ask()
    outside = (np.abs(free) > 1).any(axis=1)
    assert outside.any()
    assert not outside.all()
    folded = CMA(start, sigma=0.3, bounds=box, seed=0)
    np.testing.assert_allclose(folded.ask(), np.where(free > 1, 2 - free, free))
    again = CMA(start, sigma=0.3, bounds=box, boundary="resample", seed=0).ask()
    np.testing.assert_array_equal(again[~outside], free[~outside])
    assert (np.abs(again) <= 1).all()
    assert (again[outside] != folded.best.x).any(axis=1).all()
    many = CMA(start[:1], sigma=0.3, population=4000, bounds=box[:1], boundary="resample", seed=0)
    # A normal number cut off at 1/3 of a deviation: mean -0.5985, as density over distribution.
    assert abs((many.ask().mean() - 0.9) / 0.3 + 0.5985) < 5 * 0.8 / np.sqrt(4000)


@pytest.mark.parametrize("boundary", ["reflect", "resample", "transform"])
def test_a_minimum_on_the_bounds_is_reached(boundary):
    search = CMA(np.full(6, 3.0), sigma=1.0, bounds=[(1, 5)] * 6, boundary=boundary, seed=0)
    assert functions.lowest(search, functions.sphere, 6_000) - 6 < 1e-6


def test_a_point_for_a_box():
    search = CMA(np.zeros(D), bounds=[(0, 0)] * D, seed=0)
    for _ in range(5):
        candidates = search.ask()
        assert (candidates == 0).all()
        search.tell(candidates.sum(axis=1))
    assert (root(search) > 0).any()
    assert np.isfinite(root(search)).all()


def test_nothing_moves_without_a_finite_cost():
    search = CMA(np.ones(D), seed=0)
    search.tell(functions.sphere(search.ask()))
    before = search.state_dict()
    search.ask()
    search.tell(np.full(search.population, np.nan))
    after = search.state_dict()
    assert all((before[k] == after[k]).all() for k in before if k not in ("seed", "counters"))
    assert search.nonfinite == search.population


def test_a_slope_without_end_stays_finite():
    search = CMA(np.ones(3), seed=0)
    for _ in range(3_000):
        search.tell(search.ask().sum(axis=1))
    assert np.isfinite(search.x).all()
    assert np.isfinite(search.ask()).all()
    assert np.isfinite(root(search)).all()


@pytest.mark.parametrize(
    ("chosen", "error", "message"),
    [
        ({"population": 1}, ValueError, "population must be an integer >= 2"),
        ({"population": 4.5}, ValueError, "population must be an integer >= 1"),
        ({"sigma": 0.0}, ValueError, "sigma must be a positive number"),
        ({"sigma": np.nan}, ValueError, "sigma must be a positive number"),
        ({"sigma": "1"}, TypeError, "sigma must be a number"),
        ({"active": 2}, ValueError, "active must be True or False"),
        ({"x0": np.ones((2, D))}, ValueError, r"x0 must be of shape \(d,\)"),
        ({"x0": np.full(D, np.nan)}, ValueError, "x0 holds NaN"),
    ],
)
def test_settings_out_of_range(chosen, error, message):
    with pytest.raises(error, match=message):
        CMA(**{"x0": np.ones(D), **chosen})


def test_states_that_do_not_fit_are_refused():
    search = CMA(np.ones(D), seed=0)
    search.ask()
    state = search.state_dict()
    for wrong in (
        {**state, "factor": np.ones(D * D)},
        {k: v for k, v in state.items() if k != "path_c"},
        CMA(np.ones(D + 1), seed=0).state_dict(),
    ):
        with pytest.raises(ValueError, match="state must be one of a search with the same"):
            search.load_state_dict(wrong)
    np.testing.assert_equal(search.state_dict(), state)


def test_minimize_knows_it_and_stops_when_the_spread_is_small():
    result = minimize(lambda x: ((x - 1) ** 2).sum(), np.zeros(4), method="cma", seed=0)
    assert result.success
    assert result.fun < 1e-12
