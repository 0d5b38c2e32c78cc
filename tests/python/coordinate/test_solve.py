"""The solver against plain references, its certificate, its layouts."""

import numpy as np
import oracle
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import sparse

import thalweg
from thalweg.coordinate import solve

TIGHT = {"tol": 1e-12}


def share(X, y, part=10.0, **kw):
    from thalweg.coordinate import alpha_grid

    return alpha_grid(X, y, n_alphas=1, **kw)[0] / part


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("rho", [1.0, 0.6, 0.0])
@pytest.mark.parametrize("weighted", [True, False])
def test_equals_plain_coordinate_descent(data, intercept, positive, rho, weighted):
    X, y = data
    rng = np.random.default_rng(1)
    s = rng.uniform(0, 3, 60) if weighted else None
    if weighted:
        s[:7] = 0
    v = rng.uniform(0.5, 2, 25) if weighted else None
    if weighted:
        v[3] = np.inf
    alpha = 0.05 * np.abs(X.T @ y).max() / 60
    w, b = oracle.lasso(X, y, alpha, rho=rho, v=v, s=s, positive=positive, intercept=intercept)
    found = solve(
        X,
        y,
        alpha,
        penalty="elastic_net",
        l1_ratio=rho,
        weights=v,
        positive=positive,
        sample_weight=s,
        fit_intercept=intercept,
        **TIGHT,
    )
    assert found.success
    np.testing.assert_allclose(found.coef, w, atol=2e-6)
    np.testing.assert_allclose(found.intercept, b, atol=2e-5)
    expected = oracle.objective(X, y, w, b, alpha, rho=rho, v=v, s=s)
    assert abs(found.objective - expected) <= 1e-10 * abs(expected)


@pytest.mark.parametrize("name", ["logistic", "squared_hinge", "huber", "poisson"])
@pytest.mark.parametrize("intercept", [True, False])
def test_losses_reach_a_gap_that_the_reference_confirms(data, name, intercept):
    X, y = data
    X = X - 2
    rng = np.random.default_rng(2)
    z = 0.3 * (y - y.mean())
    if name in ("logistic", "squared_hinge"):
        y = np.where(z + rng.standard_normal(60) > 0, 1.0, -1.0)
    if name == "poisson":
        y = rng.poisson(np.exp(0.5 * z / np.abs(z).max())).astype(float)
    s = rng.uniform(0.1, 2, 60)
    kw = {"datafit": name, "fit_intercept": intercept}
    alpha = share(X, y, 5, sample_weight=s, **kw)
    found = solve(X, y, alpha, sample_weight=s, tol=1e-9, **kw)
    assert found.success
    assert 0 < np.count_nonzero(found.coef) < 25
    gap = oracle.gap(X, y, found.coef, found.intercept, alpha, name=name, s=s)
    assert -1e-12 <= gap <= 2 * found.target
    value = oracle.objective(X, y, found.coef, found.intercept, alpha, name=name, s=s)
    np.testing.assert_allclose(found.objective, value, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_layouts_agree(dtype, intercept, index):
    rng = np.random.default_rng(3)
    S = sparse.random(80, 40, 0.2, format="csc", random_state=4, dtype=np.float64)
    y = S @ (rng.standard_normal(40) * (rng.random(40) < 0.2)) + 0.1 * rng.standard_normal(80) + 3
    S = S.astype(dtype)
    S.indices, S.indptr = S.indices.astype(index), S.indptr.astype(index)
    dense = S.toarray()
    alpha = share(dense.astype(float), y, 20, fit_intercept=intercept)
    kw = {"alpha": alpha, "fit_intercept": intercept, **TIGHT}
    layouts = [
        np.asfortranarray(dense),
        np.ascontiguousarray(dense),
        S,
        S.tocsr(),
        np.repeat(dense, 2, axis=1)[:, ::2],
        dense[::-1][::-1],
    ]
    found = [solve(X, y, **kw) for X in layouts]
    for other in found[1:]:
        np.testing.assert_allclose(other.coef, found[0].coef, atol=1e-5)
        assert other.success
        assert other.coef.dtype == dtype
    assert np.count_nonzero(found[0].coef) > 3


def test_unsorted_and_duplicate_entries_are_summed():
    data = np.array([1.0, 2.0, 3.0, 1.0])
    S = sparse.csc_matrix((data, [2, 0, 2, 1], [0, 3, 4]), shape=(3, 2))
    dense = np.array([[2.0, 0], [0, 1], [4, 0]])
    y = [1.0, 2.0, 3.0]
    one, two = (solve(X, y, 0.01, **TIGHT).coef for X in (S, dense))
    np.testing.assert_allclose(one, two, atol=1e-9)


@pytest.mark.parametrize(("kind", "gamma"), [("mcp", 3.0), ("mcp", 1.5), ("scad", 3.7)])
def test_concave_penalties_reach_the_minimum_of_the_plain_method(kind, gamma):
    rng = np.random.default_rng(5)
    X = rng.standard_normal((70, 30))
    X /= np.sqrt((X**2).mean(0))
    w = np.zeros(30)
    w[:6] = [2, -2, 1, 1, -0.7, 0.5]
    y = X @ w + 0.5 * rng.standard_normal(70)
    alpha = 0.15 * np.abs(X.T @ y).max() / 70
    found = solve(X, y, alpha, penalty=kind, gamma=gamma, fit_intercept=False, tol=1e-10)
    expected = oracle.concave(X, y, alpha, gamma, kind)
    assert found.success
    assert np.isinf(found.dual_gap)
    np.testing.assert_allclose(found.coef, expected, atol=1e-7)


def test_the_dual_point_proves_the_gap(data):
    X, y = data
    alpha = share(X, y, 30)
    found = solve(X, y, alpha, tol=1e-6)
    n, u = len(y), found.dual * len(y)
    assert abs(found.dual.sum()) < 1e-12
    assert np.abs(X.T @ found.dual).max() <= alpha * (1 + 1e-9)
    bound = (u @ y - u @ u / 2) / n
    assert found.objective - bound <= found.target * (1 + 1e-6)


def test_bounds_hold_and_are_optimal(data):
    X, y = data
    found = solve(X, y, 0.1, bounds=(-1.0, 0.5), **TIGHT)
    assert found.success
    assert found.coef.min() >= -1
    assert found.coef.max() <= 0.5
    x = (X - X.mean(0)).T @ (y - X @ found.coef - found.intercept) / len(y)
    free = (found.coef > -1) & (found.coef < 0.5) & (found.coef != 0)
    np.testing.assert_allclose(x[free], 0.1 * np.sign(found.coef[free]), atol=1e-5)
    assert (x[found.coef == 0.5] >= 0.1 - 1e-6).all()
    assert (x[found.coef == -1.0] <= -0.1 + 1e-6).all()
    assert (np.abs(x[found.coef == 0]) <= 0.1 + 1e-6).all()


def test_residual_and_inner_product_solvers_agree():
    # 3000 nonzeros on 200 samples exceed what is kept as inner products.
    rng = np.random.default_rng(6)
    X = sparse.random(400, 3000, 0.02, format="csc", random_state=7)
    y = rng.standard_normal(400)
    alpha = share(X, y, 50)
    big = solve(X, y, alpha, tol=1e-10, p0=2000)
    small = solve(X, y, alpha, tol=1e-10, p0=10)
    assert big.success
    assert small.success
    np.testing.assert_allclose(big.objective, small.objective, rtol=1e-9)


def test_the_support_may_empty_on_the_way():
    # In some of these every coefficient enters and leaves again before the solver stops.
    for seed in range(40):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((6, 6)) * rng.choice([0.0, 1.0, 10.0], 6)
        y = rng.standard_normal(6) + X[:, 0]
        alpha = max(np.abs(X.T @ (y - y.mean())).max() / 6, 1e-3) / rng.choice([1.0, 5.0, 20.0])
        found = solve(X, y, alpha, penalty="elastic_net", l1_ratio=0.7, positive=True, tol=1e-8)
        assert found.success
        assert (found.coef >= 0).all()


@pytest.mark.parametrize("selection", ["cyclic", "shuffled", "random"])
def test_orders_reach_the_same_optimum(data, selection):
    X, y = data
    one = solve(X, y, 0.1, selection=selection, seed=3, tol=1e-10)
    two = solve(X, y, 0.1, selection=selection, seed=3, tol=1e-10)
    assert one.success
    assert np.array_equal(one.coef, two.coef)
    np.testing.assert_allclose(one.objective, solve(X, y, 0.1, **TIGHT).objective, rtol=1e-8)


def test_the_bits_do_not_depend_on_threads():
    rng = np.random.default_rng(8)
    X = np.asfortranarray(rng.standard_normal((200, 3000)))
    y = X[:, :20] @ rng.standard_normal(20) + rng.standard_normal(200)
    S = sparse.random(300, 5000, 0.01, format="csc", random_state=9)
    found = []
    try:
        for threads in (1, 2, 7):
            thalweg.set_num_threads(threads)
            found.append(
                [
                    solve(X, y, 0.05).coef,
                    solve(np.ascontiguousarray(X), y, 0.05).coef,
                    solve(S, rng.__class__(np.random.PCG64(1)).random(300), 1e-4).coef,
                ]
            )
    finally:
        thalweg.set_num_threads(0)
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other))


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 30),
    p=st.integers(1, 40),
    seed=st.integers(0, 2**20),
    part=st.floats(1.0, 200.0),
    rho=st.sampled_from([1.0, 0.7]),
    intercept=st.booleans(),
    positive=st.booleans(),
)
def test_the_gap_is_met_on_random_problems(n, p, seed, part, rho, intercept, positive):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) * rng.choice([0.0, 1.0, 10.0], p) + rng.choice([0, 5.0])
    y = rng.standard_normal(n) + X[:, 0]
    alpha = max(np.abs(X.T @ (y - y.mean())).max() / n, 1e-3) / part
    found = solve(
        X,
        y,
        alpha,
        penalty="elastic_net",
        l1_ratio=rho,
        fit_intercept=intercept,
        positive=positive,
        tol=1e-8,
    )
    assert found.success, found.message
    w, b = oracle.lasso(X, y, alpha, rho=rho, positive=positive, intercept=intercept, epochs=300)
    worse = oracle.objective(X, y, w, b, alpha, rho=rho)
    assert found.objective <= worse + found.target + 1e-12 * abs(worse)
    value = oracle.objective(X, y, found.coef, found.intercept, alpha, rho=rho)
    assert abs(value - found.objective) <= 1e-9 * (1 + abs(value))
