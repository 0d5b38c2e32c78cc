"""CMA against a replay of the tutorial's update, and what it reaches."""

import builtins

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search import functions

pytest.importorskip("cmaes")

from thalweg.search import CMA, Bounds, minimize
from thalweg.search._boundary import Boundary

D = 5


def turned(x):
    """An ellipsoid of condition 1e4 whose axes are no coordinates."""
    basis, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(x.shape[1],) * 2))
    return functions.ellipsoid(x @ basis)


class Reference:
    """Hansen 2016, Fig. 6 and Table 1, in the paper's order; weights as eq. 49 to 53."""

    def __init__(self, mean, sigma, n):
        d = len(mean)
        raw = np.log((n + 1) / 2) - np.log(np.arange(1, n + 1))
        mu = n // 2
        mueff = raw[:mu].sum() ** 2 / (raw[:mu] ** 2).sum()
        other = raw[mu:].sum() ** 2 / (raw[mu:] ** 2).sum()
        self.cs = (mueff + 2) / (d + mueff + 5)
        self.ds = 1 + 2 * max(0, np.sqrt((mueff - 1) / (d + 1)) - 1) + self.cs
        self.cc = (4 + mueff / d) / (d + 4 + 2 * mueff / d)
        self.c1 = 2 / ((d + 1.3) ** 2 + mueff)
        self.cmu = min(1 - self.c1, 2 * (mueff - 2 + 1 / mueff) / ((d + 2) ** 2 + mueff))
        least = min(
            1 + self.c1 / self.cmu,
            1 + 2 * other / (mueff + 2),
            (1 - self.c1 - self.cmu) / (d * self.cmu),
        )
        positive, negative = raw[raw > 0].sum(), -raw[raw < 0].sum()
        self.w = np.where(raw >= 0, raw / positive, least * raw / negative)
        self.m, self.sigma, self.C = mean.copy(), sigma, np.eye(d)
        self.ps, self.pc, self.t, self.mu, self.mueff = np.zeros(d), np.zeros(d), 0, mu, mueff

    def tell(self, x, costs):
        d = len(self.m)
        self.t += 1
        values, vectors = np.linalg.eigh(self.C)
        root = vectors / np.sqrt(values) @ vectors.T
        y = (x[np.argsort(costs, kind="stable")] - self.m) / self.sigma
        step = self.w[: self.mu] @ y[: self.mu]
        self.m = self.m + self.sigma * step
        self.ps = (1 - self.cs) * self.ps + np.sqrt(
            self.cs * (2 - self.cs) * self.mueff
        ) * root @ step
        expected = np.sqrt(d) * (1 - 1 / (4 * d) + 1 / (21 * d**2))
        length = np.linalg.norm(self.ps)
        self.sigma *= np.exp(self.cs / self.ds * (length / expected - 1))
        limit = (1.4 + 2 / (d + 1)) * expected
        h = length / np.sqrt(1 - (1 - self.cs) ** (2 * (self.t + 1))) < limit
        self.pc = (1 - self.cc) * self.pc + h * np.sqrt(self.cc * (2 - self.cc) * self.mueff) * step
        scale = np.where(self.w >= 0, 1, d / (((y @ root.T) ** 2).sum(axis=1)))
        keep = 1 + self.c1 * (1 - h) * self.cc * (2 - self.cc) - self.c1 - self.cmu * self.w.sum()
        ranks = (y.T * (self.w * scale)) @ y
        self.C = keep * self.C + self.c1 * np.outer(self.pc, self.pc) + self.cmu * ranks


@pytest.mark.parametrize("population", [None, 4, 13])
@pytest.mark.parametrize("box", [None, [(-9.0, 9.0)] * D])
def test_equals_the_tutorial(population, box):
    search = CMA(
        np.linspace(-1, 1, D), sigma=0.7, population=population, bounds=box, boundary="resample",
        seed=1,
    )  # fmt: skip
    reference = Reference(np.linspace(-1, 1, D), 0.7, search.population)
    for _ in range(60):
        x = search.ask()
        costs = turned(x)
        search.tell(costs)
        reference.tell(x, costs)
        np.testing.assert_allclose(search.x, reference.m, rtol=1e-6, atol=1e-9)
    deviation = reference.sigma * np.sqrt(np.diag(reference.C).max())
    assert search.converged(2 * deviation) is not None
    assert search.converged(0.5 * deviation) is None


def test_draws_follow_the_covariance():
    search = CMA(np.zeros(3), sigma=0.5, population=2000, seed=0)
    for _ in range(3):
        search.tell(turned(search.ask()))
    wide = CMA(np.zeros(3), sigma=0.5, population=2000, seed=0)
    state = search.state_dict()
    wide.load_state_dict(state)
    x = wide.ask()
    covariance = state["cmaes_sigma"] ** 2 * state["cmaes_C"]
    # Entries of a sample covariance deviate by about sqrt(2 / n) of the variances.
    size = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    assert (np.abs(np.cov(x.T) - covariance) < 5 * np.sqrt(2 / 2000) * size).all()
    assert (np.abs(x.mean(axis=0) - wide.x) < 5 * np.sqrt(np.diag(covariance) / 2000)).all()


@given(scale=st.floats(1e-6, 1e6), offset=st.floats(-1e3, 1e3), seed=st.integers(0, 2**64 - 1))
@settings(max_examples=15, deadline=None)
def test_costs_count_by_their_order(scale, offset, seed):
    one, other = (CMA(np.ones(4), seed=seed) for _ in range(2))
    for _ in range(4):
        order = np.argsort(np.argsort(functions.rosenbrock(one.ask())))
        other.ask()
        one.tell(order)
        other.tell(scale * order + offset)
    assert (one.x == other.x).all()


@pytest.mark.parametrize(
    ("cost", "d", "evaluations", "limit"),
    [
        (functions.sphere, 10, 4_000, 1e-10),
        (turned, 10, 8_000, 1e-10),
        (functions.rosenbrock, 3, 4_000, 1e-12),
    ],
)
def test_reaches_the_minimum(cost, d, evaluations, limit):
    search = CMA(np.full(d, 3.0), sigma=1.0, seed=0)
    assert functions.lowest(search, cost, evaluations) < limit


def test_points_outside_are_folded_or_drawn_again():
    start, box = np.full(D, 0.9), [(-1, 1)] * D
    free = CMA(start, sigma=0.3, seed=0).ask()
    outside = (np.abs(free) > 1).any(axis=1)
    assert outside.any()
    assert not outside.all()
    folded = CMA(start, sigma=0.3, bounds=box, seed=0)
    np.testing.assert_allclose(folded.ask(), np.where(free > 1, 2 - free, free))
    # The mean moves as if the function were mirrored.
    folded.tell(free.sum(axis=1))
    other = CMA(start, sigma=0.3, seed=0)
    other.ask()
    other.tell(free.sum(axis=1))
    x = other.x
    np.testing.assert_allclose(folded.x, np.where(x > 1, 2 - x, x))
    again = CMA(start, sigma=0.3, bounds=box, boundary="resample", seed=0).ask()
    np.testing.assert_array_equal(again[~outside], free[~outside])
    assert (np.abs(again) < 1).all()
    # A point box: no draw lies inside.
    assert (CMA(start, bounds=[(0, 0)] * D, boundary="resample", seed=0).ask() == 0).all()


@pytest.mark.parametrize("boundary", ["reflect", "resample", "transform"])
def test_a_minimum_on_the_bounds_is_reached(boundary):
    search = CMA(np.full(6, 3.0), sigma=1.0, bounds=[(1, 5)] * 6, boundary=boundary, seed=0)
    assert functions.lowest(search, functions.sphere, 6_000) - 6 < 1e-6


def test_nothing_moves_without_a_finite_cost():
    search = CMA(np.ones(D), seed=0)
    search.tell(functions.sphere(search.ask()))
    before = search.x
    search.ask()
    search.tell(np.full(search.population, np.nan))
    assert (search.x == before).all()
    assert search.nonfinite == search.population


def test_a_slope_without_end_stays_finite():
    search = CMA(np.ones(3), seed=0)
    for _ in range(600):
        search.tell(search.ask().sum(axis=1))
    assert np.isfinite(search.x).all()
    assert np.isfinite(search.ask()).all()


def test_the_generator_of_numpy_is_left_alone():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    search = CMA(np.ones(3), seed=0)
    search.tell(functions.sphere(search.ask()))
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


@pytest.mark.parametrize(
    ("chosen", "error", "message"),
    [
        ({"population": 3}, ValueError, "population must be an integer >= 4"),
        ({"population": 4.5}, ValueError, "population must be an integer >= 4"),
        ({"population": True}, ValueError, "population must be an integer >= 4"),
        ({"sigma": 0.0}, ValueError, "sigma must be a positive number"),
        ({"sigma": np.nan}, ValueError, "sigma must be a positive number"),
        ({"sigma": "1"}, TypeError, "sigma must be a positive number"),
        ({"x0": np.full(D, 1e31)}, ValueError, r"x0 must be below 1e\+30 in size"),
        ({"x0": np.ones((2, D))}, ValueError, r"x0 must be of shape \(d,\)"),
        ({"x0": np.full(D, np.nan)}, ValueError, "x0 holds NaN"),
    ],
)
def test_settings_out_of_range(chosen, error, message):
    with pytest.raises(error, match=message):
        CMA(**{"x0": np.ones(D), **chosen})


def test_states_that_do_not_fit_are_refused():
    search = CMA(np.ones(D), seed=0)
    state = search.state_dict()
    for wrong in (
        {**state, "cmaes_C": np.eye(D + 1)},
        {**state, "open": np.ones((2, D))},
        {**state, "open": np.ones((8, D + 1))},
        {k: v for k, v in state.items() if k != "cmaes_pc"},
        CMA(np.ones(D), population=20, seed=0).state_dict(),
    ):
        with pytest.raises(ValueError, match="state must be one of a search with the same"):
            search.load_state_dict(wrong)
    np.testing.assert_equal(search.state_dict(), state)


def test_the_missing_package_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == "cmaes":
            raise ModuleNotFoundError("No module named 'cmaes'", name="cmaes")
        return real(name, *rest)

    monkeypatch.setattr("importlib.import_module", lambda name: without(name))
    with pytest.raises(ImportError, match=r'pip install "thalweg\[cma\]"'):
        CMA(np.ones(3))


def test_minimize_knows_it_and_stops_when_the_spread_is_small():
    result = minimize(lambda x: ((x - 1) ** 2).sum(), np.zeros(4), method="cma", seed=0)
    assert result.success
    assert result.fun < 1e-12


@given(
    low=st.floats(-3, 3),
    width=st.sampled_from([0.0, 0.5, 2.0, np.inf]),
    x=st.floats(-1e6, 1e6),
    rule=st.sampled_from(["reflect", "transform"]),
)
@settings(max_examples=200, deadline=None)
def test_boundaries_keep_inside_and_leave_what_is_inside(low, width, x, rule):
    box = Boundary(Bounds(np.array([low, -np.inf]), np.array([low + width, low])), rule, 2)
    rows = box.fold(np.array([[x, x]]))
    seen = box.outer(rows)
    assert ((seen >= box.low) & (seen <= box.high)).all()
    if rule == "transform":
        np.testing.assert_allclose(box.outer(box.inner(seen)), seen, rtol=1e-7, atol=1e-7)
    else:
        inside = (rows == x) | (x < box.low) | (x > box.high)
        assert inside.all()


def test_reflection_is_that_of_mirrors():
    low, high = np.array([0.0, 0.0, -np.inf, 1.0]), np.array([1.0, np.inf, 1.0, 1.0])
    box = Boundary(Bounds(low, high), "reflect", 4)
    rows = np.array([[-0.25, -3.0, 4.0, 2.0], [5.5, 3.0, 0.5, 1.0], [1.25, 0.0, 1.0, -9.0]])
    expected = [[0.25, 3.0, -2.0, 1.0], [0.5, 3.0, 0.5, 1.0], [0.75, 0.0, 1.0, 1.0]]
    np.testing.assert_allclose(box.fold(rows), expected)
