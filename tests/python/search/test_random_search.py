"""RandomSearch against a replay, draw by draw, and the law of its draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search import draws, functions

from thalweg.search import RandomSearch, minimize

D, N, SEED = 5, 6, 3
BOX = [(-2.0, 1.5), (-1.0, 3.0), (-2.0, 2.0), (0.0, 0.5), (-3.0, 3.0)]
START = np.array([0.5, 2.0, -1.0, 0.25, 3.0])


@pytest.mark.parametrize("around", ["start", "best"])
@pytest.mark.parametrize("box", [None, BOX])
def test_equals_a_replay(around, box):
    search = RandomSearch(START, population=N, around=around, sigma=0.7, bounds=box, seed=SEED)
    best, cost = START, np.inf
    for step in range(20):
        rows = []
        for i in range(N):
            if around == "start":
                row = draws.first(SEED, step, i, box, START, 0.7)
            else:
                key = draws.stream(step, i)
                z = np.ravel([draws.normal(SEED, key, k) for k in range(3)])[:D]
                row = best + 0.7 * z
                if box is not None:
                    row = [draws.fold(x, *side) for x, side in zip(row, box, strict=True)]
            rows.append(START if step == i == 0 else row)
        np.testing.assert_allclose(search.ask(), rows, rtol=1e-12, atol=1e-12)
        costs = functions.rastrigin(np.array(rows))
        search.tell(costs)
        if costs.min() < cost:
            best, cost = np.array(rows[costs.argmin()]), costs.min()
        np.testing.assert_allclose(search.x, best, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(search.best.x, best, rtol=1e-12, atol=1e-12)


def test_draws_are_uniform_in_a_box_and_normal_without():
    box = [(-1.0, 3.0), (None, None), (0.0, None)]
    search = RandomSearch(np.array([0.0, 5.0, 9.0]), population=20_000, bounds=box, seed=0)
    x = search.ask()
    assert np.histogram(x[:, 0], bins=8, range=(-1, 3))[0] / 2_500 == pytest.approx(1, abs=0.1)
    for column, mean in ((1, 5.0), (2, 9.0)):
        assert x[:, column].mean() == pytest.approx(mean, abs=0.03)
        assert x[:, column].std() == pytest.approx(1.0, abs=0.03)


@given(seed=st.integers(0, 2**64 - 1), around=st.sampled_from(["start", "best"]))
@settings(max_examples=25, deadline=None)
def test_x_is_the_best_so_far(seed, around):
    search, costs = RandomSearch(np.ones(3), population=7, around=around, seed=seed), []
    for _ in range(6):
        costs.extend(functions.rastrigin(search.ask()))
        search.tell(costs[-7:])
        assert functions.rastrigin(search.x[None])[0] == search.best.cost == min(costs)


def test_reaches_the_neighbourhood_of_the_minimum():
    for around in ("start", "best"):
        search = RandomSearch(
            np.full(3, 3.0), around=around, sigma=0.3, bounds=[(-5, 5)] * 3, seed=0
        )
        assert functions.lowest(search, functions.sphere, 20_000) < 0.2


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"population": 0}, "population must be an integer >= 1"),
        ({"around": "x"}, "around must be 'start' or 'best'"),
        ({"sigma": 0.0}, "sigma must be a positive number"),
    ],
)
def test_settings_out_of_range(chosen, message):
    with pytest.raises(ValueError, match=message):
        RandomSearch(np.ones(3), **chosen)


def test_minimize_knows_it():
    result = minimize(
        lambda x: ((x - 1) ** 2).sum(), np.zeros(2), method="random_search",
        bounds=[(-5, 5)] * 2, seed=0, maxfev=20_000,
    )  # fmt: skip
    assert result.status == 1
    assert result.fun < 0.05
