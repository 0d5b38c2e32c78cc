"""Blocks, support vector machines, factorization, paths against plain references."""

import numpy as np
import oracle
import pytest
from scipy import sparse

from thalweg.coordinate import (
    alpha_grid,
    factorize,
    group_lasso_path,
    lasso_path,
    logistic_path,
    multitask_lasso_path,
    path,
    solve,
    solve_blocks,
    solve_svm,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((50, 24))
GROUPS = [[0, 1, 2], [3, 9, 4, 5], [6, 7, 8], list(range(10, 20)), [20], [21, 22, 23]]
Y = X[:, [0, 1, 2, 10, 12]] @ RNG.standard_normal(5) + 0.2 * RNG.standard_normal(50)


@pytest.mark.parametrize("l1", [0.0, 0.4])
@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("layout", [np.asfortranarray, np.ascontiguousarray, sparse.csc_matrix])
def test_groups_equal_proximal_gradient(l1, positive, layout):
    v = np.sqrt([len(g) for g in GROUPS])
    found = solve_blocks(
        layout(X),
        Y,
        0.08,
        groups=GROUPS,
        l1_ratio=l1,
        positive=positive,
        fit_intercept=False,
        tol=1e-12,
    )
    expected = oracle.group(X, Y[:, None], 0.08, GROUPS, v, l1=l1, positive=positive)[:, 0]
    assert found.success
    np.testing.assert_allclose(found.coef, expected, atol=1e-6)
    assert 0 < np.count_nonzero(found.coef) < 24


def test_correlated_groups_are_minimised_over_exactly():
    # Within a group the columns nearly coincide, one is a copy and one is zero: a step with the
    # largest eigenvalue would need thousands of passes.
    base = RNG.standard_normal((60, 5))
    parts = [base[:, [k]] + 0.03 * RNG.standard_normal((60, 6)) for k in range(5)]
    parts[0][:, 1], parts[1][:, 2] = parts[0][:, 0], 0.0
    A = np.column_stack(parts)
    y = A @ np.repeat([1.0, -0.5, 0.0, 0.3, 0.0], 6) + 0.1 * RNG.standard_normal(60)
    groups = [list(range(k, k + 6)) for k in range(0, 30, 6)]
    found = solve_blocks(A, y, 0.2, groups=6, fit_intercept=False, tol=1e-10)
    expected = oracle.group(A, y[:, None], 0.2, groups, np.full(5, 6**0.5))[:, 0]
    assert found.success
    assert found.n_epochs <= 100
    np.testing.assert_allclose(A @ found.coef, A @ expected, atol=1e-5)
    sizes = np.linalg.norm(found.coef.reshape(5, 6), axis=1)
    np.testing.assert_array_equal(sizes > 0, np.linalg.norm(expected.reshape(5, 6), axis=1) > 1e-8)


def test_groups_of_one_are_the_lasso():
    one = solve_blocks(X + 1, Y, 0.1, groups=1, tol=1e-12)
    two = solve(X + 1, Y, 0.1, tol=1e-12)
    np.testing.assert_allclose(one.coef, two.coef, atol=1e-7)
    np.testing.assert_allclose(one.intercept, two.intercept, atol=1e-7)


def test_tasks_equal_proximal_gradient():
    T = np.column_stack([Y, 2 * Y - X[:, 5], X[:, 7]])
    found = solve_blocks(X, T, 0.2, weights="unit", fit_intercept=False, tol=1e-12)
    expected = oracle.group(X, T, 0.2, [[j] for j in range(24)], np.ones(24))
    assert found.coef.shape == (3, 24)
    np.testing.assert_allclose(found.coef.T, expected, atol=1e-6)


def test_block_arguments_are_checked():
    with pytest.raises(ValueError, match="groups must divide the 24 features, got size 5"):
        solve_blocks(X, Y, groups=5)
    with pytest.raises(ValueError, match="groups must be a partition"):
        solve_blocks(X, Y, groups=[[0, 1], [1]])
    with pytest.raises(ValueError, match="weights of shape"):
        solve_blocks(X, Y, groups=GROUPS, weights=[1.0])


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
@pytest.mark.parametrize("scaling", [0.0, 1.0, 5.0])
@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray, sparse.csr_matrix])
def test_support_vector_machine(loss, scaling, layout):
    y = np.where(Y + 0.5 > 0, 1.0, -1.0)
    found = solve_svm(
        layout(X),
        y,
        0.3,
        loss=loss,
        fit_intercept=scaling > 0,
        tol=1e-10,
        intercept_scaling=scaling or 1.0,
        max_iter=20_000,
    )
    w, _a = oracle.svm(X, y, 0.3, loss == "squared_hinge", scaling)
    assert found.success
    np.testing.assert_allclose(found.coef, w[:24], atol=1e-4)
    slack = np.maximum(0, 1 - y * (X @ found.coef + found.intercept))
    b = found.intercept / scaling if scaling else 0.0
    power = slack**2 if loss == "squared_hinge" else slack
    primal = (found.coef @ found.coef + b * b) / 2 + 0.3 * power.sum()
    np.testing.assert_allclose(primal, found.objective, rtol=1e-9)
    assert found.dual_gap <= 1e-10 * 0.3 * 50


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray, sparse.csr_matrix])
def test_support_vector_machine_with_a_free_constant(loss, layout):
    Z, y = X + 3, np.where(Y + 0.5 > 0, 1.0, -1.0)
    s = np.linspace(0.2, 2, 50)
    kw = {"loss": loss, "intercept_scaling": np.inf, "sample_weight": s, "tol": 1e-9}
    found = solve_svm(layout(Z), y, 0.3, max_iter=100_000, **kw)
    w, b = oracle.svm_free(Z, y, 0.3 * s, loss == "squared_hinge")
    assert found.success
    np.testing.assert_allclose(found.coef, w, atol=1e-3)
    np.testing.assert_allclose(found.intercept, b, atol=5e-3)
    power = 2 if loss == "squared_hinge" else 1

    def objective(w, b):
        return w @ w / 2 + 0.3 * s @ np.maximum(0, 1 - y * (Z @ w + b)) ** power

    np.testing.assert_allclose(found.objective, objective(found.coef, found.intercept), rtol=1e-10)
    assert found.objective <= objective(w, b) + found.dual_gap + 1e-9
    # The dual point is feasible, and proves the gap.
    a = found.dual
    assert abs(y @ a) < 1e-9
    assert (a >= 0).all()
    quadratic = np.sum((Z.T @ (y * a)) ** 2) / 2
    ridge = np.sum(a**2 / (2 * 0.3 * s)) / 2 if power == 2 else 0.0
    np.testing.assert_allclose(
        found.objective - (a.sum() - quadratic - ridge), found.dual_gap, atol=1e-9
    )


def test_free_constants_of_special_cases():
    one = solve_svm(np.ones((3, 2)), [1, 1, 1], intercept_scaling=np.inf)
    assert (one.coef.tolist(), one.objective, one.success) == ([0.0, 0.0], 0.0, True)
    Z = np.array([[2.0, 0], [3, 1], [6, 0], [7, -1]])
    kw = {"loss": "hinge", "tol": 1e-9, "intercept_scaling": np.inf}
    hard = solve_svm(Z, [-1, -1, 1, 1], np.inf, **kw)
    assert hard.success
    np.testing.assert_allclose([*hard.coef, hard.intercept], oracle.hard_margin(Z), atol=1e-5)
    mixed = solve_svm(np.array([[1.0], [1.0]]), [1, -1], np.inf, **kw)
    assert mixed.status == "unbounded"


def test_hard_margin_and_its_absence():
    Z = np.array([[2.0, 0], [3, 1], [-2, 0], [-3, -1]])
    found = solve_svm(Z, [1, 1, -1, -1], np.inf, loss="hinge", fit_intercept=False, tol=1e-9)
    assert found.success
    np.testing.assert_allclose(found.coef, [0.5, 0.0], atol=1e-5)
    mixed = solve_svm(np.array([[1.0], [1.0]]), [1, -1], np.inf, loss="hinge", max_iter=10**6)
    assert mixed.status in ("unbounded", "limit")
    assert not mixed.success


@pytest.mark.parametrize("layout", [np.asfortranarray, np.ascontiguousarray, sparse.csr_matrix])
def test_factorization_equals_plain_sweeps(layout):
    V = np.abs(RNG.standard_normal((30, 12)))
    W, H = np.abs(RNG.standard_normal((30, 4))), np.abs(RNG.standard_normal((4, 12)))
    found = factorize(
        layout(V),
        4,
        init="custom",
        W=W,
        H=H,
        alpha_W=0.01,
        alpha_H=0.02,
        l1_ratio=0.3,
        tol=0.0,
        max_iter=25,
    )
    strengths = (0.01 * 12 * 0.3, 0.01 * 12 * 0.7, 0.02 * 30 * 0.3, 0.02 * 30 * 0.7)
    expected = oracle.hals(V, W, H, *strengths, 25)
    np.testing.assert_allclose(found.W, expected[0], atol=1e-9)
    np.testing.assert_allclose(found.H, expected[1], atol=1e-9)
    assert found.n_iter == 25
    assert found.status == "limit"


def test_factorization_refuses_negative_data():
    with pytest.raises(ValueError, match="X must be >= 0"):
        factorize(X, 2)


def test_a_path_is_a_sequence_of_certified_solutions():
    alphas, coefs, gaps = result = lasso_path(X, Y, n_alphas=30, eps=1e-2, tol=1e-9)
    assert coefs.shape == (24, 30)
    assert not coefs[:, 0].any()
    assert (gaps <= 1e-9 * np.mean(Y**2)).all()
    assert set(result.statuses) == {"converged"}
    for k in (5, 17, 29):
        single = solve(X, Y, alphas[k], tol=1e-12)
        np.testing.assert_allclose(coefs[:, k], single.coef, atol=1e-4)


def test_blocks_start_where_they_are_told():
    cold = solve_blocks(X, Y, 0.02, groups=GROUPS, tol=1e-9)
    warm = solve_blocks(X, Y, 0.02, groups=GROUPS, tol=1e-9, coef_init=cold.coef)
    assert warm.n_iter == 1 < cold.n_iter
    np.testing.assert_allclose(warm.coef, cold.coef, atol=1e-6)
    T = np.column_stack([Y, X[:, 7]])
    tasks = solve_blocks(X, T, 0.05, tol=1e-9)
    assert solve_blocks(X, T, 0.05, tol=1e-9, coef_init=tasks.coef).n_iter == 1
    with pytest.raises(ValueError, match="coef_init must be one for each feature and task"):
        solve_blocks(X, Y, 0.1, coef_init=np.ones(3))
    with pytest.raises(ValueError, match="coef_init holds NaN"):
        solve_blocks(X, Y, 0.1, coef_init=np.full(24, np.nan))


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
@pytest.mark.parametrize("positive", [True, False])
def test_a_path_of_groups_is_certified_and_starts_at_the_empty_model(l1_ratio, positive):
    kw = {"l1_ratio": l1_ratio, "positive": positive, "tol": 1e-9}
    found = group_lasso_path(X, Y, GROUPS, n_alphas=8, eps=0.05, **kw)
    assert not found.coefs[:, 0].any()
    assert set(found.statuses) == {"converged"}
    first = solve_blocks(X, Y, 0.98 * found.alphas[0], groups=GROUPS, **kw)
    assert first.coef.any()
    for k in (3, 7):
        single = solve_blocks(X, Y, found.alphas[k], groups=GROUPS, **kw)
        np.testing.assert_allclose(found.coefs[:, k], single.coef, atol=1e-4)


def test_paths_of_other_models():
    y = np.where(Y > 0, 1.0, -1.0)
    assert set(logistic_path(X, y, n_alphas=10, eps=0.05).statuses) == {"converged"}
    groups = group_lasso_path(X, Y, GROUPS, n_alphas=5, eps=0.1, tol=1e-8)
    assert not groups.coefs[:, 0].any()
    assert groups.coefs[:, -1].any()
    tasks = multitask_lasso_path(X, np.column_stack([Y, -Y]), n_alphas=4, eps=0.1)
    assert tasks.coefs.shape == (2, 24, 4)
    with pytest.raises(TypeError, match="unexpected keyword argument 'alfa'"):
        path(X, Y, alfa=1)


@pytest.mark.parametrize("datafit", ["quadratic", "logistic", "huber", "poisson", "squared_hinge"])
def test_the_grid_starts_where_the_first_feature_enters(datafit):
    y = {"quadratic": Y, "huber": Y, "poisson": np.round(np.exp(Y / 4))}.get(datafit)
    y = np.where(Y > 0, 1.0, -1.0) if y is None else y
    start = alpha_grid(X, y, n_alphas=2, datafit=datafit)[0]
    assert not solve(X, y, start * 1.001, datafit=datafit, tol=1e-9).coef.any()
    assert solve(X, y, start * 0.98, datafit=datafit, tol=1e-9).coef.any()


def test_a_path_can_be_drawn():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    ax = lasso_path(X, Y, n_alphas=5).plot(names=[f"f{j}" for j in range(24)])
    assert len(ax.lines) >= 2
    assert ax.get_xscale() == "log"
