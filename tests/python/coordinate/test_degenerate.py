"""Degenerate and bad input, one test a case."""

import numpy as np
import pytest
from scipy import sparse

from thalweg.coordinate import factorize, solve, solve_blocks, solve_svm

X = np.asfortranarray(np.random.default_rng(0).standard_normal((20, 5)))
Y = X[:, 0] + 0.1


def test_alpha_zero_is_least_squares_without_certificate():
    found = solve(X, Y, 0.0, tol=1e-9)
    exact = np.linalg.lstsq(np.column_stack([X, np.ones(20)]), Y, rcond=None)[0]
    assert found.success
    np.testing.assert_allclose(found.coef, exact[:5], atol=1e-6)


def test_no_features():
    found = solve(np.empty((4, 0)), [1.0, 2.0, 3.0, 6.0], 1.0)
    assert found.success
    assert found.coef.shape == (0,)
    assert found.intercept == 3.0


def test_no_samples():
    with pytest.raises(ValueError, match="X must hold at least one sample"):
        solve(np.empty((0, 3)), [], 1.0)


def test_one_sample():
    found = solve(np.array([[2.0, 1.0]]), [4.0], 0.5, fit_intercept=False, tol=1e-10)
    np.testing.assert_allclose(found.coef, [(8 - 0.5) / 4, 0], atol=1e-8)
    assert solve(np.array([[2.0, 1.0]]), [4.0], 0.5).intercept == 4.0


def test_targets_of_zeros():
    found = solve(X, np.zeros(20), 0.1)
    assert found.success
    assert not found.coef.any()
    assert found.intercept == 0
    assert found.n_iter == 1


def test_above_the_largest_useful_strength():
    limit = np.abs(X.T @ (Y - Y.mean())).max() / 20
    found = solve(X, Y, limit * 1.0001)
    assert not found.coef.any()
    assert found.n_iter == 1
    assert solve(X, Y, limit * 0.999, tol=1e-12).coef.any()


@pytest.mark.parametrize("layout", [np.asfortranarray, np.ascontiguousarray, sparse.csc_matrix])
def test_constant_and_zero_columns_stay_out(layout):
    Z = np.column_stack([X, np.full(20, 7.0), np.zeros(20)])
    found = solve(layout(Z), Y, 0.01, tol=1e-10)
    assert found.success
    assert found.coef[5] == 0
    assert found.coef[6] == 0
    np.testing.assert_allclose(found.coef[:5], solve(X, Y, 0.01, tol=1e-10).coef, atol=1e-6)


def test_duplicated_columns_have_the_objective_of_one():
    found = solve(np.column_stack([X, X]), Y, 0.01, tol=1e-10)
    np.testing.assert_allclose(found.objective, solve(X, Y, 0.01, tol=1e-10).objective, rtol=1e-8)


def test_zero_weights_are_removed_samples():
    s = np.r_[np.zeros(5), np.ones(15)]
    one, two = solve(X, Y, 0.01, sample_weight=s, tol=1e-11), solve(X[5:], Y[5:], 0.01, tol=1e-11)
    np.testing.assert_allclose(one.coef, two.coef, atol=1e-8)


def test_weights_that_are_all_zero():
    with pytest.raises(ValueError, match="sample_weight must have a positive sum, got 0"):
        solve(X, Y, 0.1, sample_weight=np.zeros(20))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("layout", [np.asfortranarray, np.ascontiguousarray, sparse.csc_matrix])
def test_nonfinite_entries_are_refused(bad, layout):
    Z = X.copy()
    Z[3, 2] = bad
    with pytest.raises(ValueError, match="X holds NaN or infinity"):
        solve(layout(Z), Y, 0.1)
    with pytest.raises(ValueError, match="y holds NaN or infinity"):
        solve(layout(X), np.r_[Y[:-1], bad], 0.1)
    with pytest.raises(ValueError, match="X holds NaN or infinity"):
        solve_blocks(layout(Z), Y, 0.1)
    with pytest.raises(ValueError, match="X holds NaN or infinity"):
        solve_svm(layout(Z), np.sign(Y), 1.0)
    with pytest.raises(ValueError, match="NaN or infinity"):
        factorize(layout(np.abs(Z)) if np.isfinite(bad) else layout(Z), 2)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"alpha": -1.0}, r"alpha must be in \[0, inf\), got -1"),
        ({"alpha": np.nan}, "alpha must be"),
        ({"alpha": np.inf}, "alpha must be finite"),
        ({"datafit": "cubic"}, "datafit must be one of"),
        ({"penalty": "l7"}, "penalty must be one of"),
        ({"penalty": "elastic_net", "l1_ratio": 2.0}, r"l1_ratio must be in \[0, 1\]"),
        ({"penalty": "mcp", "gamma": 1.0}, r"gamma must be in \(1, inf\)"),
        ({"penalty": "scad", "gamma": 2.0}, r"gamma must be in \(2, inf\)"),
        ({"bounds": (0.5, 1.0)}, "bounds must hold 0"),
        ({"tol": -1.0}, "tol must be"),
        ({"max_iter": 0}, "max_iter must be >= 1"),
        ({"selection": "sideways"}, "selection must be one of"),
        ({"weights": np.ones(4)}, "weights of shape"),
        ({"weights": -np.ones(5)}, "weights must be >= 0"),
        ({"sample_weight": -np.ones(20)}, "sample_weight must be finite and >= 0"),
        ({"sample_weight": np.ones(3)}, "sample_weight of shape"),
        ({"coef_init": np.ones(4)}, "coef_init of shape"),
        ({"coef_init": np.full(5, np.nan)}, "coef_init holds NaN"),
        ({"datafit": "logistic"}, "y must be -1 or 1"),
        ({"datafit": "huber", "delta": 0.0}, r"delta must be in \(0, inf\)"),
    ],
)
def test_bad_arguments_are_named(change, match):
    with pytest.raises(ValueError, match=match):
        solve(X, Y, **{"alpha": 0.1, **change})


def test_bad_types_and_shapes():
    with pytest.raises(TypeError, match="X must be float32 or float64, got int64"):
        solve(np.ones((3, 2), dtype=np.int64), [1.0, 2, 3], 0.1)
    with pytest.raises(ValueError, match="X must be a 2-D array"):
        solve(np.ones(3), [1.0, 2, 3], 0.1)
    with pytest.raises(ValueError, match="y of shape"):
        solve(X, Y[:-1], 0.1)
    with pytest.raises(ValueError, match="y must be non-negative"):
        solve(X, -np.ones(20), 0.1, datafit="poisson")


def test_a_broken_sparse_matrix_is_refused_not_read():
    S = sparse.csc_matrix(X)
    S.indices[3] = 1000
    with pytest.raises(ValueError, match="indices inside its shape"):
        solve(S, Y, 0.1)


def test_the_limit_is_reported_with_the_gap():
    found = solve(X, Y, 1e-4, max_epochs=1, tol=1e-14)
    assert not found.success
    assert found.status == "limit"
    assert "raise max_iter or loosen tol" in found.message


def test_an_unreachable_tolerance_stops_by_itself():
    found = solve(X * 1e4, Y, 1.0, tol=0.0)
    assert found.status in ("precision", "converged")
    assert found.n_iter < 60


def test_an_exception_in_the_callback_stops_the_work():
    def callback(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solve(X, Y, 0.1, callback=callback)


def test_inputs_are_left_alone():
    before = X.copy(), Y.copy()
    solve(X, Y, 0.01)
    solve_blocks(X, Y, 0.01)
    assert np.array_equal(X, before[0])
    assert np.array_equal(Y, before[1])
