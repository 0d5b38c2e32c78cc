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
    value = oracle.objective(X, y, found.coef, found.intercept, alpha, name=name, s=s)
    np.testing.assert_allclose(found.objective, value, rtol=1e-12)
    # The dual point is feasible, and its bound leaves no more than the target.
    weights = s / s.sum()
    assert np.abs(X.T @ found.dual).max() <= alpha * (1 + 1e-9)
    assert abs(found.dual.sum()) <= 1e-9 * np.abs(found.dual).sum() or not intercept
    bound = weights @ oracle.loss(name, np.zeros(60), y)[2](found.dual / weights)
    assert -1e-12 <= value - bound <= found.target * (1 + 1e-6)


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


@pytest.mark.parametrize("selection", ["cyclic", "shuffled", "random", "greedy"])
def test_orders_reach_the_same_optimum(data, selection):
    X, y = data
    one = solve(X, y, 0.1, selection=selection, seed=3, tol=1e-10)
    two = solve(X, y, 0.1, selection=selection, seed=3, tol=1e-10)
    assert one.success
    assert np.array_equal(one.coef, two.coef)
    np.testing.assert_allclose(one.objective, solve(X, y, 0.1, **TIGHT).objective, rtol=1e-8)


def large(intercept, seed=11, n=300, p=2000):
    """Too large to be finished to rounding: the working set is kept in single precision."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) @ np.diag(rng.choice([0.3, 1.0, 3.0], p))
    X[:, 1:] += 0.9 * X[:, :-1]
    X += 4.0 if intercept else 0.0
    y = X[:, :30] @ rng.standard_normal(30) + rng.standard_normal(n)
    return X, y / y.std()


@pytest.mark.parametrize("name", ["quadratic", "logistic", "huber"])
@pytest.mark.parametrize("selection", ["cyclic", "shuffled"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("layout", [np.asfortranarray, np.ascontiguousarray, sparse.csc_matrix])
def test_single_precision_columns_give_certificates_in_double(name, selection, intercept, layout):
    X, y = large(intercept)
    y = np.where(y > np.median(y), 1.0, -1.0) if name == "logistic" else y
    kw = {"datafit": name, "fit_intercept": intercept}
    alpha = share(X, y, 20, **kw)
    found = solve(layout(X), y, alpha, tol=1e-9, selection=selection, **kw)
    assert found.success
    assert np.count_nonzero(found.coef) > 10
    value = oracle.objective(X, y, found.coef, found.intercept, alpha, name=name)
    np.testing.assert_allclose(found.objective, value, rtol=1e-11)
    gap = oracle.gap(X, y, found.coef, found.intercept, alpha, name=name)
    assert -1e-12 * value <= gap <= 10 * found.target


def test_nearly_equal_columns_are_solved_in_double_precision_in_the_end():
    # Differences below the rounding of single precision decide between the copies.
    rng = np.random.default_rng(12)
    X = np.repeat(rng.standard_normal((200, 60)), 4, axis=1)
    X += 1e-8 * rng.standard_normal(X.shape)
    y = X[:, ::4][:, :10] @ rng.standard_normal(10) + 0.1 * rng.standard_normal(200)
    found = solve(X, y, share(X, y, 1000), tol=1e-9)
    assert found.success


@pytest.mark.parametrize("name", ["quadratic", "logistic"])
def test_extrapolated_dual_points_prove_the_gap(name):
    X, y = large(False, n=120, p=600)
    y = np.sign(y) if name == "logistic" else y
    alpha = share(X, y, 300, datafit=name, fit_intercept=False)
    kw = {"datafit": name, "fit_intercept": False, "selection": "random", "p0": 10}
    found = solve(X, y, alpha, tol=1e-7, **kw)
    assert found.success
    assert np.abs(X.T @ found.dual).max() <= alpha * (1 + 1e-9)
    bound = np.mean(oracle.loss(name, np.zeros(120), y)[2](found.dual * 120))
    assert found.objective - bound <= found.target * (1 + 1e-6)
    np.testing.assert_allclose(found.dual_gap, max(found.objective - bound, 0), atol=1e-12)


def test_greedy_steps_lower_the_objective_most():
    # One epoch on an orthogonal design solves it; in any order the largest steps come first.
    X, y = np.diag([3.0, 1.0, 2.0, 5.0]) * 2, np.array([1.0, -4.0, 3.0, 0.1])
    kw = {"fit_intercept": False, "tol": 1e-12}
    greedy = solve(X, y, 0.05, selection="greedy", **kw)
    np.testing.assert_allclose(greedy.coef, solve(X, y, 0.05, **kw).coef, atol=1e-12)


def test_duplicate_entries_count_once_in_the_norms():
    # (1 + 1 + 1)^2, not 1 + 1 + 1: the norm decides on steps and on what screening may drop.
    rng = np.random.default_rng(13)
    dense = rng.standard_normal((60, 500)) * (rng.random((60, 500)) < 0.2)
    S = sparse.csc_matrix(dense)
    data, indices = np.repeat(S.data / 3, 3), np.repeat(S.indices, 3)
    triple = sparse.csc_matrix((data, indices, 3 * S.indptr), shape=S.shape)
    y = dense[:, :5] @ np.ones(5) + rng.standard_normal(60)
    alpha = share(dense, y, 30)
    one, two = (solve(Z, y, alpha, tol=1e-10) for Z in (dense, triple))
    assert two.success
    np.testing.assert_allclose(one.objective, two.objective, rtol=1e-9)
    np.testing.assert_allclose(one.coef, two.coef, atol=1e-5)


def test_layouts_are_read_in_place():
    from thalweg.coordinate._matrix import matrix

    dense = np.ones((4, 3))
    for X in (dense, np.asfortranarray(dense), dense.astype(np.float32)):
        assert np.shares_memory(matrix(X)[0], X)
    for index in (np.int32, np.int64):
        S = sparse.csc_matrix(dense)
        S.indices, S.indptr = S.indices.astype(index), S.indptr.astype(index)
        for part, taken in zip((S.data, S.indices, S.indptr), matrix(S)[0]):
            assert np.shares_memory(part, taken)
    # By samples, as support vector machines read it, CSR is the one that is not copied.
    R = sparse.csr_matrix(dense)
    assert np.shares_memory(matrix(R, transposed=True)[0][0], R.data)


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
