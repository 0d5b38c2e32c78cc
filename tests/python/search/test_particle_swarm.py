"""ParticleSwarm against a replay, draw by draw, and what it reaches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search import draws, functions

from thalweg.search import ParticleSwarm, minimize

D, N, SEED = 5, 6, 2
BOX = [(-2.0, 1.5), (-1.0, 3.0), (-2.0, 2.0), (0.0, 0.5), (-3.0, 3.0)]
START = np.array([0.5, 2.0, -1.0, 0.25, 3.0])


def leader(best, costs, i, topology):
    near = range(N) if topology == "global" else [(i - 1) % N, i, (i + 1) % N]
    return best[min(near, key=lambda k: costs[k])]


@pytest.mark.parametrize("topology", ["global", "ring"])
@pytest.mark.parametrize("box", [None, BOX])
def test_equals_a_replay(topology, box):
    search = ParticleSwarm(
        START, population=N, inertia=0.8, own=1.2, social=1.7, topology=topology, sigma=0.7,
        bounds=box, seed=SEED,
    )  # fmt: skip
    best, costs = np.zeros((N, D)), np.full(N, np.inf)
    for step in range(30):
        asked = search.ask()
        if step == 0:
            rows = [draws.first(SEED, 0, i, box, START, 0.7) for i in range(2 * N)]
            x = np.array([START, *rows[1:N]])
            v = (np.array(rows[N:]) - x) / 2
        else:
            for i in range(N):
                key, g = draws.stream(step, i), leader(best, costs, i, topology)
                for j in range(D):
                    r, s = (w / 2**32 for w in draws.words(SEED, key, j // 2)[2 * (j % 2) :][:2])
                    pull = 1.2 * r * (best[i, j] - x[i, j]) + 1.7 * s * (g[j] - x[i, j])
                    v[i, j] = 0.8 * v[i, j] + pull
            x = x + v
            if box is not None:
                low, high = np.array(box).T
                v = np.where((x < low) | (x > high), -v, v)
                x = np.vectorize(draws.fold)(x, low, high)
        np.testing.assert_allclose(asked, x, rtol=1e-9, atol=1e-11)
        new = functions.rastrigin(x)
        search.tell(new)
        best = np.where((new < costs)[:, None], x, best)
        costs = np.minimum(new, costs)
        np.testing.assert_allclose(search.x, best[costs.argmin()], rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(search.state_dict()["velocities"], v.ravel(), atol=1e-9)


@given(seed=st.integers(0, 2**64 - 1), ring=st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_best_points_only_get_better(seed, ring):
    search = ParticleSwarm(
        np.ones(3), population=7, topology="ring" if ring else "global", seed=seed
    )
    costs = np.full(7, np.inf)
    for _ in range(8):
        search.tell(functions.rastrigin(search.ask()))
        state = search.state_dict()
        assert (state["costs"] <= costs).all()
        costs = state["costs"]
        np.testing.assert_array_equal(functions.rastrigin(state["best"].reshape(7, 3)), costs)


@pytest.mark.parametrize(
    ("cost", "d", "evaluations", "limit"),
    [
        (functions.sphere, 10, 20_000, 1e-10),
        (functions.rosenbrock, 4, 60_000, 1e-2),
    ],
)
@pytest.mark.parametrize("topology", ["global", "ring"])
def test_reaches_the_minimum(cost, d, evaluations, limit, topology):
    search = ParticleSwarm(np.full(d, 3.0), bounds=[(-5, 5)] * d, topology=topology, seed=0)
    assert functions.lowest(search, cost, 2 * evaluations) < limit


def test_most_swarms_find_the_lowest_of_many_minima():
    found = [
        functions.lowest(
            ParticleSwarm(np.full(4, 3.0), bounds=[(-5, 5)] * 4, seed=seed),
            functions.rastrigin,
            20_000,
        )
        for seed in range(5)
    ]
    assert np.median(found) < 1e-6


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"population": 0}, "population must be an integer >= 1"),
        ({"inertia": 1.0}, r"inertia must be in \[0, 1\)"),
        ({"own": -1.0}, r"own must be in \[0, 4\]"),
        ({"social": np.nan}, r"social must be in \[0, 4\]"),
        ({"topology": "star"}, "topology must be 'global' or 'ring'"),
        ({"sigma": -1.0}, "sigma must be a positive number"),
    ],
)
def test_settings_out_of_range(chosen, message):
    with pytest.raises(ValueError, match=message):
        ParticleSwarm(np.ones(D), **chosen)


def test_minimize_knows_it_and_stops_when_the_swarm_rests():
    result = minimize(
        lambda x: ((x - 1) ** 2).sum(), np.zeros(3), method="particle_swarm",
        bounds=[(-5, 5)] * 3, seed=0, maxfev=60_000,
    )  # fmt: skip
    assert result.success
    assert result.fun < 1e-12
