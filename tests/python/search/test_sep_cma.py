"""SepCMA against the update of the paper, written out in numpy, and what it reaches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search import draws, functions

from thalweg.search import SepCMA, minimize

D, SEED = 7, 4


def constants(d, population):
    mu = population // 2
    w = np.log(mu + 0.5) - np.log(np.arange(1, mu + 1))
    w /= w.sum()
    muw = 1 / (w**2).sum()
    cs = (muw + 2) / (d + muw + 3)
    ds = 1 + cs + 2 * max(0, np.sqrt((muw - 1) / (d + 1)) - 1)
    cc = 4 / (d + 4)
    full = 1 / muw * 2 / (d + np.sqrt(2)) ** 2
    full += (1 - 1 / muw) * min(1, (2 * muw - 1) / ((d + 2) ** 2 + muw))
    chi = np.sqrt(d) * (1 - 1 / (4 * d) + 1 / (21 * d**2))
    return w, muw, cs, ds, cc, min(1, full * (d + 2) / 3), chi


@pytest.mark.parametrize("population", [None, 2, 9])
@pytest.mark.parametrize("box", [None, [(-1.0, 2.5)] * D])
def test_equals_a_replay(population, box):
    m = np.linspace(-1, 2, D)
    search = SepCMA(m, population=population, sigma=0.4, bounds=box, seed=SEED)
    n = population or 4 + int(3 * np.log(D))
    assert search.population == n
    w, muw, cs, ds, cc, c1, chi = constants(D, n)
    sigma, c, ps, pc = 0.4, np.ones(D), np.zeros(D), np.zeros(D)
    for g in range(40):
        z = np.array(
            [
                np.ravel([draws.normal(SEED, draws.stream(g, i), k) for k in range(4)])[:D]
                for i in range(n)
            ]
        )
        x = m + sigma * np.sqrt(c) * z
        if box is not None:
            x = np.vectorize(draws.fold)(x, *box[0])
        np.testing.assert_allclose(search.ask(), x, rtol=1e-8, atol=1e-10)
        costs = functions.ellipsoid(x - 0.3)
        search.tell(costs)
        y = (x[np.argsort(costs, kind="stable")[: len(w)]] - m) / sigma
        step = w @ y
        ps = (1 - cs) * ps + np.sqrt(cs * (2 - cs) * muw) * step / np.sqrt(c)
        norm = np.linalg.norm(ps)
        h = norm / np.sqrt(1 - (1 - cs) ** (2 * (g + 1))) < (1.4 + 2 / (D + 1)) * chi
        pc = (1 - cc) * pc + h * np.sqrt(cc * (2 - cc) * muw) * step
        c = (1 - c1) * c + c1 / muw * pc**2 + c1 * (1 - 1 / muw) * (w @ y**2)
        m = m + sigma * step
        sigma *= np.exp(min(1, cs / ds * (norm / chi - 1)))
        state = search.state_dict()
        np.testing.assert_allclose(search.x, m, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(state["sigma"], sigma, rtol=1e-8)
        np.testing.assert_allclose(state["variance"], c, rtol=1e-8)


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


def test_a_minimum_on_the_bounds_is_reached():
    search = SepCMA(np.full(6, 3.0), sigma=1.0, bounds=[(1, 5)] * 6, seed=0)
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
