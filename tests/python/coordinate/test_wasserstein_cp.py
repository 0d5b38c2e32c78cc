"""Wasserstein CP dictionaries against a primal oracle in plain numpy."""

import numpy as np
import pytest

import thalweg
from thalweg.coordinate import wasserstein_cp

GAMMA = 0.2


def transport(x, q, costs, gamma):
    """W(x, q) by scaling in the log domain, with the whole cost matrix."""
    cost = np.zeros((1, 1))
    for c in costs:
        n = len(cost) * len(c)
        cost = (cost[:, None, :, None] + c[None, :, None, :]).reshape(n, n)
    f, g = np.zeros(len(x)), np.zeros(len(x))
    with np.errstate(divide="ignore"):
        log_x, log_q = np.log(x), np.log(q)
    for _ in range(20_000):
        f = log_x - np.logaddexp.reduce(g[None, :] - cost / gamma, axis=1)
        g = log_q - np.logaddexp.reduce(f[:, None] - cost / gamma, axis=0)
        rows = np.exp(f + np.logaddexp.reduce(g[None, :] - cost / gamma, axis=1))
        if np.abs(rows - x).sum() < 1e-12:
            break
    with np.errstate(invalid="ignore"):
        log_plan = f[:, None] + g[None, :] - cost / gamma
        plan = np.exp(log_plan)
        assert np.abs(plan.sum(1) - x).sum() < 1e-9
        return np.sum(np.where(plan > 0, plan * (cost + gamma * log_plan), 0.0))


def entropy(x):
    return np.sum(np.where(x > 0, x * np.log(np.where(x > 0, x, 1.0)), 0.0))


def objective(X, factors, codes, costs, rho):
    """Value of the primal, from codes and factors alone."""
    atoms = np.einsum("ir,jr->rij", *factors).reshape(codes.shape[1], -1)
    total = rho * (entropy(codes) + sum(map(entropy, factors)))
    return total + sum(
        transport(x.ravel(), q, costs, GAMMA) for x, q in zip(X, codes @ atoms, strict=True)
    )


def squared(n):
    grid = np.arange(n) / max(n - 1, 1)
    return (grid[:, None] - grid) ** 2


def tiny(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.dirichlet(np.ones(6), 3).reshape(3, 2, 3)
    return X, [squared(2), squared(3)]


@pytest.mark.parametrize(("rho", "tau"), [(0.05, 0.0), (0.05, 0.2), (0.0, 0.2)])
def test_the_dual_value_is_the_primal_value(rho, tau):
    X, costs = tiny()
    found = wasserstein_cp(
        X, 2, gamma=GAMMA, rho=rho, tau=tau, tol=1e-7, inner_tol=1e-8, max_iter=1000
    )
    primal = objective(X, found.factors, found.codes, costs, rho)
    np.testing.assert_allclose(found.objective, primal, atol=1e-6)
    assert found.residual <= 1e-6


@pytest.mark.parametrize("tau", [0.0, 0.2])
def test_no_block_can_be_improved(tau):
    X, costs = tiny(1)
    rho = 0.02
    found = wasserstein_cp(
        X, 2, gamma=GAMMA, rho=rho, tau=tau, tol=1e-8, inner_tol=1e-9, max_iter=2000
    )
    best = objective(X, found.factors, found.codes, costs, rho)
    rng = np.random.default_rng(2)
    for step in (1e-1, 1e-2, 1e-3):
        blocks = [found.codes.T, *found.factors]
        for at in range(3):
            for _ in range(5):
                # Towards a point of the simplex: columns stay on it.
                other = rng.dirichlet(np.ones(len(blocks[at])), blocks[at].shape[1]).T
                moved = list(blocks)
                moved[at] = (1 - step) * blocks[at] + step * other
                value = objective(X, moved[1:], moved[0].T, costs, rho)
                assert value >= best - 1e-7


def test_codes_of_one_sample_against_a_scan():
    X, costs = tiny(3)
    rng = np.random.default_rng(0)
    factors = [rng.dirichlet(np.ones(n), 2).T for n in (2, 3)]
    found = wasserstein_cp(
        X[:1],
        2,
        gamma=GAMMA,
        rho=0.1,
        tau=0.0,
        factors=factors,
        update_factors=False,
        tol=1e-9,
        inner_tol=1e-9,
    )
    grid = np.linspace(1e-3, 1 - 1e-3, 100)
    values = [
        objective(X[:1], factors, np.array([[t, 1 - t]]), costs, 0.1)
        - 0.1 * sum(map(entropy, factors))
        for t in grid
    ]
    assert abs(grid[np.argmin(values)] - found.codes[0, 0]) < 0.011
    assert found.objective - 0.1 * sum(map(entropy, factors)) <= min(values) + 1e-6
    for given, kept in zip(factors, found.factors, strict=True):
        np.testing.assert_array_equal(given, kept)


def planted(samples=20):
    rng = np.random.default_rng(0)

    def bumps(n, centres):
        x = np.exp(-0.5 * (np.arange(n)[:, None] - np.array(centres)) ** 2)
        return x / x.sum(0)

    factors = [bumps(9, (1.5, 4.0, 7.0)), bumps(8, (5.5, 1.5, 4.0))]
    codes = rng.dirichlet(0.4 * np.ones(3), samples)
    atoms = np.einsum("ir,jr->rij", *factors)
    return np.einsum("sr,rij->sij", codes, atoms), atoms, codes


def test_planted_factors_come_back_up_to_order():
    X, atoms, codes = planted()
    found = wasserstein_cp(X, 3, gamma=0.003, max_iter=40)
    distances = np.abs(found.atoms()[:, None] - atoms).sum(axis=(2, 3)) / 2
    order = distances.argmin(axis=0)
    assert sorted(order) == [0, 1, 2]
    assert distances.min(axis=0).max() < 0.05
    assert np.abs(found.codes[:, order] - codes).max() < 0.02


def test_values_fall_and_all_stays_on_the_simplex():
    X, _, _ = planted(6)
    found = wasserstein_cp(X, 3, gamma=0.01, max_iter=15)
    values = np.array([row["objective"] for row in found.history])
    slack = np.array([row["residual"] for row in found.history])
    # What a sweep reports is exact up to the mass that its last inner solve left misplaced.
    assert (np.diff(values) <= slack[1:] + slack[:-1]).all()
    assert values[-1] < values[0]
    assert found.codes.min() >= 0
    np.testing.assert_allclose(found.codes.sum(axis=1), 1, atol=1e-14)
    for factor in found.factors:
        assert factor.min() >= 0
        np.testing.assert_allclose(factor.sum(axis=0), 1, atol=1e-14)


def test_zeros_one_mode_and_float32():
    X = np.zeros((2, 5), np.float32)
    X[0, 0] = X[1, 4] = 1
    found = wasserstein_cp(X, 2, gamma=0.01, max_iter=30)
    assert found.codes.dtype == found.factors[0].dtype == np.float32
    assert sorted(found.codes.argmax(axis=1)) == [0, 1]
    assert found.codes.max(axis=1).min() > 0.9
    one = wasserstein_cp(np.ones((1, 1, 1)), 1)
    assert one.success
    assert one.atoms().tolist() == [[[1.0]]]


def test_same_bits_for_any_number_of_threads_and_from_its_own_end():
    X, _, _ = planted(5)
    runs = []
    for threads in (1, 2, 7):
        thalweg.set_num_threads(threads)
        runs.append(wasserstein_cp(X, 3, max_iter=3))
    thalweg.set_num_threads(0)
    for run in runs[1:]:
        np.testing.assert_array_equal(run.codes, runs[0].codes)
        np.testing.assert_array_equal(run.factors[1], runs[0].factors[1])

    last = wasserstein_cp(X, 3)
    assert last.success
    start = {"factors": last.factors, "codes": last.codes, "max_iter": 1}
    warm = wasserstein_cp(X, 3, potentials=last.potentials, **start)
    # One look at each of the 5 samples for each of the 3 blocks.
    assert warm.history[0]["evaluations"] == 15
    assert wasserstein_cp(X, 3, **start).history[0]["evaluations"] > 30


GOOD = np.full((2, 2, 2), 0.25)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"X": np.full((2, 2, 2), 0.3)}, ValueError, r"X\[0\] must be of sum 1, got 1.2"),
        ({"X": GOOD * [1.0, np.nan]}, ValueError, "NaN"),
        ({"X": GOOD * [-1.0, 3.0]}, ValueError, r"X\[0\] must be >= 0"),
        ({"X": np.ones(3)}, ValueError, "axis of samples"),
        ({"X": np.ones((0, 2))}, ValueError, "must not be empty"),
        ({"X": np.array([["a"]])}, TypeError, "must hold numbers"),
        ({"n_components": 0}, ValueError, "n_components"),
        ({"gamma": 0.0}, ValueError, "gamma"),
        ({"tau": -0.1}, ValueError, "tau"),
        ({"tau": (0.1, 0.1, 0.1)}, ValueError, "tau must be one number or two"),
        ({"rho": 0.0, "tau": 0.0}, ValueError, "rho \\+ tau of the codes must be positive"),
        ({"costs": [np.zeros((2, 2))]}, ValueError, "one for each mode"),
        ({"costs": [np.zeros((2, 2)), np.zeros((3, 3))]}, ValueError, r"costs\[1\] of shape"),
        ({"costs": [np.zeros((2, 2)), np.full((2, 2), np.inf)]}, ValueError, r"costs\[1\] holds"),
        ({"factors": [np.ones((2, 2))] * 2}, ValueError, r"factors\[0\]\[0\] must be of sum 1"),
        ({"factors": [np.ones((2, 3))] * 2}, ValueError, "does not match mode 0"),
        ({"codes": np.ones((1, 2))}, ValueError, "codes of shape"),
        ({"potentials": np.ones(3)}, ValueError, "potentials of shape"),
        ({"update_factors": False}, ValueError, "factors must be given"),
        ({"init": "other"}, ValueError, "samples, random"),
    ],
)
def test_bad_input(change, error, match):
    arguments = {"X": GOOD, "n_components": 2, **change}
    with pytest.raises(error, match=match):
        wasserstein_cp(**arguments)
