"""CBO against a replay from its formulas, with the noise of the product given; what it reaches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search import draws, functions

from thalweg.search import CBO, minimize

N, D, SEED = 9, 4, 3
START = np.random.default_rng(0).uniform(-3, 3, size=(N, D))


def cost(x):
    return functions.rastrigin(x - 0.3) / 10


def noise(second=False, **chosen):
    """Yields the noise of each step, read off particles that only shake."""
    shaken = {"sigma": 0.0, "lam_memory": 0.0, "sigma_memory": 1.0} if second else {"sigma": 1.0}
    search = CBO(np.zeros((N, D)), noise="constant", dt=1.0, lam=0.0, seed=SEED, **shaken, **chosen)
    x = np.zeros((N, D))
    while True:
        search.ask()
        search.tell(np.zeros(search.population))
        new = search.state_dict()["members"].reshape(N, D)
        yield new - x
        x = new


def weights(alpha, f):
    w = np.exp(-alpha * (f - f.min()))
    return w / w.sum()


def diffuse(kind, drift, z):
    if kind == "isotropic":
        return np.linalg.norm(drift, axis=1, keepdims=True) * z
    return drift * z if kind == "anisotropic" else z


def replay(steps, kind="anisotropic", correction=None, memory=None, kappa=None, betas=None,
           dt=0.04, lam=1.3, sigma=2.0, alpha=3.0, factor=1.1, top=9.0, eps=0.7):  # fmt: skip
    """Yields particles before each step."""
    x, y, best = START.copy(), START.copy(), np.full(N, np.inf)
    m, v = np.zeros((N, D)), np.zeros((N, D))
    first, second = noise(), noise(second=True)
    for t in range(1, steps + 1):
        yield x
        z, z2 = next(first), next(second)
        if correction:
            z, z2 = next(first), next(second)
        f, sites = cost(x), x
        if memory:
            y[f < best] = x[f < best]
            best = np.minimum(f, best)
            f, sites = best, y
        if kappa:
            gaps = ((x[:, None] - sites[None]) ** 2).sum(axis=2) / (2 * kappa**2)
            c = np.array([weights(alpha, f + gap) @ sites for gap in gaps])
        else:
            c = np.tile(weights(alpha, f) @ sites, (N, 1))
        drift = x - c
        if correction == "heaviside":
            drift = drift * (f > cost(c))[:, None]
        elif correction == "tanh":
            drift = drift * (1 + np.tanh((f - cost(c)) / eps))[:, None] / 2
        if betas:
            m, v = betas[0] * m + (1 - betas[0]) * drift, betas[1] * v + (1 - betas[1]) * drift**2
            pull = lam * m / (1 - betas[0] ** t) / (np.sqrt(v / (1 - betas[1] ** t)) + 1e-8)
        else:
            pull = lam * dt * drift
        x = x - pull + sigma * np.sqrt(dt) * diffuse(kind, drift, z)
        if memory:
            back = x - y
            x = x - memory[0] * dt * back + memory[1] * np.sqrt(dt) * diffuse(kind, back, z2)
        alpha = min(alpha * factor, top)


def solve_ess(f, share, top):
    low, high = -5.0, np.log10(top)
    for _ in range(200):
        mid = (low + high) / 2
        w = weights(10**mid, f)
        low, high = (mid, high) if 1 / (w**2).sum() > share * len(f) else (low, mid)
    return 10 ** ((low + high) / 2)


COMMON = {"dt": 0.04, "lam": 1.3, "sigma": 2.0, "alpha_max": 9.0, "seed": SEED}
ALPHA = {"alpha": 3.0, "alpha_factor": 1.1}


@pytest.mark.parametrize("kind", ["anisotropic", "isotropic", "constant"])
@pytest.mark.parametrize(
    ("told", "ours"),
    [
        ({}, {}),
        ({"correction": "heaviside"}, {"correction": "heaviside"}),
        ({"correction": "tanh", "eps": 0.7}, {"correction": "tanh", "correction_eps": 0.7}),
        ({"memory": (0.6, 1.1)}, {"lam_memory": 0.6, "sigma_memory": 1.1}),
        ({"memory": (0.4, 0.8)}, {"lam_memory": 0.4}),
        ({"kappa": 1.5}, {"kappa": 1.5}),
        ({"kappa": 1.5, "correction": "heaviside"}, {"kappa": 1.5, "correction": "heaviside"}),
        ({"kappa": 2.0, "memory": (0.6, 1.1)},
         {"kappa": 2.0, "lam_memory": 0.6, "sigma_memory": 1.1}),
        ({"betas": (0.8, 0.95)}, {"betas": (0.8, 0.95)}),
        ({"betas": (0.8, 0.95), "correction": "heaviside", "memory": (0.4, 0.8)},
         {"betas": (0.8, 0.95), "correction": "heaviside", "lam_memory": 0.4}),
    ],
)  # fmt: skip
def test_equals_a_replay(kind, told, ours):
    search = CBO(START, noise=kind, **COMMON, **ALPHA, **ours)
    for x in replay(12, kind, **told):
        np.testing.assert_allclose(search.ask(), x, rtol=1e-8, atol=1e-9)
        search.tell(cost(x))
        if "correction" in ours:
            c = search.ask()
            assert len(c) == (N if "kappa" in ours else 1)
            search.tell(cost(c))


def test_an_effective_sample_size_chooses_alpha():
    # The product stops once the size is within 0.01 of the goal.
    search = CBO(START, ess=0.6, **{**COMMON, "alpha_max": 1e5})
    x = START
    for z, _ in zip(noise(), range(6), strict=False):
        np.testing.assert_allclose(search.ask(), x, rtol=1e-8, atol=1e-9)
        f = cost(x)
        search.tell(f)
        c = search.x
        np.testing.assert_allclose(c, weights(solve_ess(f, 0.6, 1e5), f) @ x, atol=0.01)
        x = x - 1.3 * 0.04 * (x - c) + 2.0 * 0.2 * (x - c) * z


def test_noise_is_that_of_its_stream():
    key, z = draws.stream(0, 0), next(noise()).ravel()
    for i, found in enumerate(z):
        w, part = draws.words(SEED, key, 16 * (i // 64) + i % 16), i % 64 // 16
        r = np.sqrt(-2 * np.log((w[part // 2] + 0.5) / 2**32))
        angle = 2 * np.pi * (w[2 + part // 2] >> 8) / 2**24
        assert found == pytest.approx(r * (np.sin if part % 2 else np.cos)(angle), abs=3e-6)


def test_covariance_noise_has_the_covariance_of_the_particles():
    n, d = 2000, 3
    rng = np.random.default_rng(1)
    start = rng.normal(size=(n, d)) @ np.array([[2.0, 0, 0], [1.0, 0.5, 0], [0, 0.3, 0.1]])
    f = functions.sphere(start) / 10
    search = CBO(start, noise="covariance", lam=0.0, sigma=0.5, dt=0.1, alpha=2.0, seed=0)
    search.ask()
    search.tell(f)
    shake = search.ask() - start
    w = weights(2.0, f)
    drift = start - w @ start
    expected = 0.25 * 2 * 0.1 * 3.0 * (drift * w[:, None]).T @ drift
    np.testing.assert_allclose(np.cov(shake.T), expected, atol=5 * expected.max() / np.sqrt(n))
    assert np.abs(shake.mean(axis=0)).max() < 5 * np.sqrt(expected.max() / n)


def batches(count, size, join):
    """Permutations taken piece by piece, the first one in order."""
    order, epoch = list(range(count)), 0
    while True:
        if len(order) < size:
            rest, order, epoch = order if join else [], list(range(count)), epoch + 1
            for i in range(count - 1, 0, -1):
                j = draws.below(SEED, draws.stream(0, epoch, 3), i, i + 1)
                order[i], order[j] = order[j], order[i]
            order = rest + order
        yield order[:size]
        order = order[size:]


@pytest.mark.parametrize("rest", ["drop", "join"])
@pytest.mark.parametrize("moves", ["batch", "all"])
def test_batches_weigh_and_move_who_they_should(rest, moves):
    search = CBO(START, batch_size=4, batch_moves=moves, batch_rest=rest, sigma=0.0, lam=1.3,
                 dt=0.04, alpha=3.0, alpha_factor=1.0, seed=SEED)  # fmt: skip
    x = START.copy()
    for batch, _ in zip(batches(N, 4, rest == "join"), range(30), strict=False):
        np.testing.assert_allclose(search.ask(), x[batch], rtol=1e-9)
        f = cost(x[batch])
        search.tell(f)
        c = weights(3.0, f) @ x[batch]
        who = slice(None) if moves == "all" else batch
        x[who] = x[who] - 1.3 * 0.04 * (x[who] - c)
    np.testing.assert_allclose(search.state_dict()["members"], x.ravel(), rtol=1e-9)


@pytest.mark.parametrize("kind", ["anisotropic", "isotropic", "covariance"])
@pytest.mark.parametrize("extra", [{}, {"betas": (0.9, 0.99)}, {"correction": "tanh"}])
def test_batched_runs_of_every_kind_resume(kind, extra):
    chosen = {"noise": kind, "batch_size": 4, "batch_rest": "join", "seed": 5, **extra}
    search, other = CBO(START, **chosen), CBO(START, **chosen)
    for k in range(23):
        search.tell(cost(search.ask()))
        if k % 5 == 0:
            other = CBO(np.zeros((N, D)), **chosen)
            other.load_state_dict(search.state_dict())
        else:
            other.tell(cost(other.ask()))
    np.testing.assert_array_equal(search.state_dict()["members"], other.state_dict()["members"])


@given(seed=st.integers(0, 2**64 - 1), shift=st.floats(-1e6, 1e6))
@settings(max_examples=25, deadline=None)
def test_a_constant_added_to_the_costs_changes_nothing(seed, shift):
    one, other = (CBO(START, alpha=0.5, seed=seed) for _ in range(2))
    for _ in range(3):
        one.tell(cost(one.ask()))
        other.tell(cost(other.ask()) + shift)
    np.testing.assert_allclose(one.ask(), other.ask(), rtol=1e-5, atol=1e-5)


@given(seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_the_consensus_lies_among_the_particles(seed):
    search = CBO(np.ones(D), population=7, spread=2.0, seed=seed)
    for _ in range(10):
        x = search.ask()
        search.tell(cost(x))
        assert (search.x >= x.min(axis=0) - 1e-12).all()
        assert (search.x <= x.max(axis=0) + 1e-12).all()


def test_a_consensus_of_infinite_cost_draws_nobody():
    search = CBO(START, correction="tanh", seed=0)
    search.tell(cost(search.ask()))
    search.ask()
    search.tell([np.inf])
    np.testing.assert_array_equal(search.ask(), START)


def test_bad_particles_have_no_weight():
    search = CBO(START, seed=0)
    search.ask()
    search.tell([np.nan, 1.0] + [np.inf] * (N - 2))
    np.testing.assert_allclose(search.x, START[1], rtol=1e-12)


def test_given_particles_lie_in_the_box():
    for boundary in ("reflect", "transform"):
        search = CBO(START, bounds=[(-1, 2)] * D, boundary=boundary, seed=0)
        x = search.ask()
        inside = (START >= -1) & (START <= 2)
        np.testing.assert_allclose(x[inside], START[inside], rtol=1e-12)
        assert ((x >= -1) & (x <= 2)).all()


@pytest.mark.parametrize(
    ("chosen", "limit"),
    [
        ({}, 1e-3),
        ({"lam_memory": 0.4}, 1e-3),
        ({"correction": "heaviside"}, 1e-3),
        ({"batch_size": 40}, 1e-4),
        ({"ess": 0.2}, 1e-2),
        ({"kappa": 3.0}, 1e-3),
        ({"betas": (0.9, 0.99), "lam": 0.1, "sigma": 5.0}, 1e-3),
    ],
)
def test_reaches_the_minimum(chosen, limit):
    found = [
        functions.lowest(
            CBO(np.full(5, 2.0), population=100, bounds=[(-5, 5)] * 5, seed=seed, **chosen),
            functions.sphere,
            20_000,
        )
        for seed in range(3)
    ]
    assert np.median(found) < limit, found


@pytest.mark.parametrize("chosen", [{"sigma": 7.0}, {"lam_memory": 0.4}])
def test_most_runs_find_the_lowest_of_many_minima(chosen):
    found = [
        functions.lowest(
            CBO(np.full(5, 2.0), population=100, bounds=[(-5, 5)] * 5, seed=seed, **chosen),
            functions.rastrigin,
            30_000,
        )
        for seed in range(5)
    ]
    assert np.median(found) < 1e-3, found


def test_polarised_particles_find_both_minima():
    def two(x):
        return np.minimum(((x - 2) ** 2).sum(axis=1), ((x + 2) ** 2).sum(axis=1))

    search = CBO(np.zeros(2), population=60, kappa=1.0, spread=2.0, seed=0)
    functions.lowest(search, two, 40_000)
    x = search.ask()
    near = [np.linalg.norm(x - side, axis=1) < 0.1 for side in (2, -2)]
    assert min(n.sum() for n in near) >= 10


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"population": 1}, "population must be an integer >= 2"),
        ({"noise": "white"}, "noise must be 'anisotropic'"),
        ({"dt": 0.0}, "dt must be a positive number"),
        ({"lam": -1.0}, "lam must be a number >= 0"),
        ({"sigma": np.nan}, "sigma must be a number >= 0"),
        ({"alpha": 0.0}, "alpha must be a positive number"),
        ({"alpha_factor": 0.9}, "alpha_factor must be a number >= 1"),
        ({"alpha_max": np.inf}, "alpha_max must be a positive number"),
        ({"ess": 1.0}, r"ess must be in \(0, 1\)"),
        ({"ess": 0.5, "alpha": 2.0}, "alpha must be left out"),
        ({"ess": 0.5, "alpha_factor": 2.0}, "alpha_factor must be left out"),
        ({"correction": "step"}, "correction must be 'heaviside' or 'tanh'"),
        ({"correction": "heaviside", "correction_eps": 0.1}, "correction_eps must be left out"),
        ({"batch_size": 1}, "batch_size must be an integer >= 2"),
        ({"batch_size": 21}, "batch_size must be at most the population, 20"),
        ({"batch_moves": "all"}, "batch_moves must be left out"),
        ({"batch_size": 3, "batch_moves": "some"}, "batch_moves must be 'batch' or 'all'"),
        ({"batch_rest": "join"}, "batch_rest must be left out"),
        ({"batch_size": 3, "batch_rest": "keep"}, "batch_rest must be 'drop' or 'join'"),
        ({"sigma_memory": 1.0}, "sigma_memory must be left out"),
        ({"lam_memory": -1.0}, "lam_memory must be a number >= 0"),
        ({"kappa": 0.0}, "kappa must be a positive number"),
        ({"kappa": 1.0, "noise": "covariance"}, "noise must be of another kind"),
        ({"lam_memory": 1.0, "noise": "covariance"}, "noise must be of another kind"),
        ({"betas": (0.9, 1.0)}, r"betas must be two numbers in \[0, 1\)"),
        ({"betas": (0.9,)}, "betas must be two numbers"),
        ({"spread": 0.0}, "spread must be a positive number"),
    ],
)
def test_settings_out_of_range(chosen, message):
    with pytest.raises(ValueError, match=message):
        CBO(np.ones(D), **chosen)


def test_rows_of_x0_are_the_population():
    assert CBO(START).population == N
    with pytest.raises(ValueError, match="population must be left out or the 9 rows of x0"):
        CBO(START, population=5)
    with pytest.raises(ValueError, match="x0 holds NaN"):
        CBO(np.full((3, 2), np.nan))


def test_minimize_knows_it_and_stops_at_agreement():
    result = minimize(
        lambda x: ((x - 1) ** 2).sum(), np.zeros(3), method="cbo", bounds=[(-5, 5)] * 3, seed=0,
        maxfev=40_000, tol=1e-3, options={"population": 40},
    )  # fmt: skip
    assert result.success
    assert "step" in result.message
    assert result.fun < 1e-4
