"""SepCMA against the update of the paper, written out in numpy, and what it reaches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search import draws, functions

from thalweg.search import SepCMA, minimize

D, SEED = 7, 4


def constants(d, population, active):
    raw = np.log((population + 1) / 2) - np.log(np.arange(1, population + 1))
    mu = population // 2
    muw, other = (half.sum() ** 2 / (half**2).sum() for half in (raw[:mu], raw[mu:]))
    cs = (muw + 2) / (d + muw + 3)
    ds = 1 + cs + 2 * max(0, np.sqrt((muw - 1) / (d + 1)) - 1)
    cc = 4 / (d + 4)
    full = 1 / muw * 2 / (d + np.sqrt(2)) ** 2
    full += (1 - 1 / muw) * min(1, (2 * muw - 1) / ((d + 2) ** 2 + muw))
    chi = np.sqrt(d) * (1 - 1 / (4 * d) + 1 / (21 * d**2))
    c = min(1, full * (d + 2) / 3)
    c1, cmu = c / muw, c * (1 - 1 / muw)
    # Hansen 2016, eq. 49 to 53, with a bound d times as high.
    by_rates = min(1 + c1 / cmu, (1 - c1 - cmu) / cmu) if cmu > 0 else np.inf
    least = min(by_rates, 1 + 2 * other / (muw + 2))
    w = np.where(raw >= 0, raw / raw[:mu].sum(), -active * least * raw / raw[mu:].sum())
    return w, mu, muw, cs, ds, cc, c1, cmu, chi


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("population", [None, 2, 9, 60])
@pytest.mark.parametrize("box", [None, [(-1.0, 2.5)] * D])
def test_equals_a_replay(active, population, box):
    m = np.linspace(-1, 2, D)
    search = SepCMA(m, population=population, sigma=0.4, bounds=box, active=active, seed=SEED)
    n = population or 4 + int(3 * np.log(D))
    assert search.population == n
    w, mu, muw, cs, ds, cc, c1, cmu, chi = constants(D, n, active)
    sigma, c, ps, pc = 0.4, np.ones(D), np.zeros(D), np.zeros(D)
    for g in range(40):
        z = np.array(
            [
                np.ravel([draws.normal(SEED, draws.stream(g, i), k) for k in range(4)])[:D]
                for i in range(n)
            ]
        )
        x = m + sigma * np.sqrt(c) * z
        seen = x if box is None else np.vectorize(draws.fold)(x, *box[0])
        np.testing.assert_allclose(search.ask(), seen, rtol=1e-8, atol=1e-10)
        costs = functions.ellipsoid(seen - 2.3)
        search.tell(costs)
        y = (x[np.argsort(costs, kind="stable")] - m) / sigma
        step = w[:mu] @ y[:mu]
        ps = (1 - cs) * ps + np.sqrt(cs * (2 - cs) * muw) * step / np.sqrt(c)
        norm = np.linalg.norm(ps)
        h = norm / np.sqrt(1 - (1 - cs) ** (2 * (g + 1))) < (1.4 + 2 / (D + 1)) * chi
        pc = (1 - cc) * pc + h * np.sqrt(cc * (2 - cc) * muw) * step
        rates = cmu * w * np.where(w >= 0, 1, D / (y**2 / c).sum(axis=1))
        kept = 1 - c1 - cmu * w.sum()
        c = np.maximum(kept * c + c1 * pc**2 + rates @ y**2, 0.5 * min(kept, 1) * c)
        m = m + sigma * step
        sigma *= np.exp(min(1, cs / ds * (norm / chi - 1)))
        if box is not None:
            inside = np.vectorize(draws.fold)(m, *box[0])
            # One mirror at a time, each of which turns the paths.
            signs = np.where(np.isclose(np.abs(m - inside) % (2 * 3.5), 0), 1, -1)
            m, ps, pc = inside, signs * ps, signs * pc
        state = search.state_dict()
        np.testing.assert_allclose(search.x, m, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(state["sigma"], sigma, rtol=1e-8)
        np.testing.assert_allclose(state["variance"], c, rtol=1e-8)


def test_variances_stay_positive_whatever_is_taken_away():
    # A coordinate alone decides, and its long steps are the worst ones.
    search = SepCMA(np.zeros(40), population=80, seed=0)
    for _ in range(60):
        x = search.ask()
        search.tell(np.abs(x[:, 0] - search.x[0]))
    variance = search.state_dict()["variance"]
    assert (variance > 0).all()
    assert variance[0] < variance[1:].min()


def test_negative_weights_save_evaluations():
    def spent(active):
        search = SepCMA(np.full(20, 3.0), sigma=1.0, active=active, seed=0)
        while search.best.cost > 1e-10:
            search.tell(functions.ellipsoid(search.ask()))
        return search.evaluations

    assert spent(True) < 0.95 * spent(False)


@given(scale=st.floats(1e-3, 1e3), offset=st.floats(-1e3, 1e3), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_only_the_order_of_costs_matters(scale, offset, seed):
    one, other = (SepCMA(np.ones(4), seed=seed) for _ in range(2))
    for _ in range(5):
        order = np.argsort(np.argsort(functions.rosenbrock(one.ask())))
        other.ask()
        one.tell(order)
        other.tell(scale * order + offset)
    assert (one.x == other.x).all()


@pytest.mark.parametrize(
    ("cost", "d", "evaluations", "limit"),
    [
        (functions.sphere, 20, 6_000, 1e-10),
        (functions.ellipsoid, 20, 15_000, 1e-10),
        (functions.rosenbrock, 5, 60_000, 1e-3),
    ],
)
def test_reaches_the_minimum(cost, d, evaluations, limit):
    search = SepCMA(np.full(d, 3.0), sigma=1.0, seed=0)
    assert functions.lowest(search, cost, evaluations) < limit


def test_many_candidates_find_the_lowest_of_many_minima():
    search = SepCMA(np.full(10, 3.0), population=200, sigma=2.0, bounds=[(-5, 5)] * 10, seed=0)
    assert functions.lowest(search, functions.rastrigin, 60_000) < 1e-6


def test_coordinates_outside_are_drawn_again():
    start, box = np.full(4000, 0.9), [(-1, 1)] * 4000
    free = SepCMA(start, sigma=0.3, seed=0).ask()[0]
    drawn = SepCMA(start, sigma=0.3, bounds=box, boundary="resample", seed=0).ask()[0]
    outside = np.abs(free) > 1
    np.testing.assert_array_equal(drawn[~outside], free[~outside])
    assert (np.abs(drawn) <= 1).all()
    # A normal number cut off at 1/3 of a deviation: mean -0.5985, as density over distribution.
    assert abs((drawn.mean() - 0.9) / 0.3 + 0.5985) < 5 * 0.8 / np.sqrt(4000)


@pytest.mark.parametrize("boundary", ["reflect", "resample", "transform"])
def test_a_minimum_on_the_bounds_is_reached(boundary):
    search = SepCMA(np.full(6, 3.0), sigma=1.0, bounds=[(1, 5)] * 6, boundary=boundary, seed=0)
    assert functions.lowest(search, functions.sphere, 6_000) - 6 < 1e-6


def test_nothing_moves_without_a_finite_cost():
    search = SepCMA(np.ones(D), seed=0)
    search.tell(functions.sphere(search.ask()))
    before = search.state_dict()
    search.ask()
    search.tell(np.full(search.population, np.nan))
    after = search.state_dict()
    assert all((before[k] == after[k]).all() for k in before if k not in ("seed", "counters"))


def test_a_slope_without_end_stays_finite():
    search = SepCMA(np.ones(3), seed=0)
    for _ in range(3_000):
        search.tell(search.ask().sum(axis=1))
    assert np.isfinite(search.x).all()
    assert np.isfinite(search.state_dict()["variance"]).all()


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"population": 1}, "population must be an integer >= 2"),
        ({"sigma": 0.0}, "sigma must be a positive number"),
        ({"sigma": np.nan}, "sigma must be a positive number"),
    ],
)
def test_settings_out_of_range(chosen, message):
    with pytest.raises(ValueError, match=message):
        SepCMA(np.ones(D), **chosen)


def test_minimize_knows_it_and_stops_when_the_spread_is_small():
    result = minimize(
        lambda x: ((x - 1) ** 2).sum(), np.zeros(4), method="sep_cma", seed=0, maxfev=20_000
    )
    assert result.success
    assert result.fun < 1e-12
