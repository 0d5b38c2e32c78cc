"""Long paths, whose last strengths are solved at the same time as the first."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import thalweg
from thalweg.coordinate import lasso_path, path


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((250, 900))
    y = X[:, :12] @ rng.standard_normal(12) + 0.3 * rng.standard_normal(250)
    return X, y


@pytest.fixture(params=[1, 2, 5])
def threads(request):
    thalweg.set_num_threads(request.param)
    yield request.param
    thalweg.set_num_threads(0)


def solved(X, y, **options):
    return path(X, y, n_alphas=60, eps=0.05, tol=1e-7, **options)


@pytest.mark.parametrize("layout", ["F", "C", "strided", "csc", "csr"])
def test_every_strength_is_certified_and_no_bit_depends_on_threads(data, threads, layout):
    X, y = data
    X = {
        "F": lambda: np.asfortranarray(X),
        "C": lambda: X,
        "strided": lambda: np.repeat(X, 2, axis=1)[:, ::2],
        "csc": lambda: sparse.csc_array(X),
        "csr": lambda: sparse.csr_array(X),
    }[layout]()
    given = solved(X, y)
    assert set(given.statuses) == {"converged"}
    assert (given.dual_gaps <= 1e-7 * np.mean(y**2)).all()
    thalweg.set_num_threads(1)
    alone = solved(X, y)
    np.testing.assert_array_equal(given.coefs, alone.coefs)
    np.testing.assert_array_equal(given.dual_gaps, alone.dual_gaps)


def test_the_parts_meet_the_whole(data, threads):
    X, y = data
    two, one = solved(X, y), solved(X, y, parts=False)
    assert not np.array_equal(two.coefs, one.coefs)
    cost = [
        ((y[:, None] - X @ c.coefs - c.intercepts) ** 2).mean(axis=0) / 2
        + c.alphas * np.abs(c.coefs).sum(axis=0)
        for c in (two, one)
    ]
    # Both gaps are certified, so the objectives differ by no more.
    assert (np.abs(cost[0] - cost[1]) <= np.maximum(two.dual_gaps, one.dual_gaps) + 1e-14).all()
    # The first four fifths are the same work.
    np.testing.assert_array_equal(two.coefs[:, :48], one.coefs[:, :48])


def test_a_callback_sees_all_strengths_in_order_and_changes_nothing(data, threads):
    X, y = data
    seen = []
    watched = solved(X, y, callback=seen.append)
    assert len(seen) == watched.n_iters.sum()
    np.testing.assert_array_equal(watched.coefs, solved(X, y).coefs)


def test_an_exception_of_the_callback_ends_both_parts(data, threads):
    def stop(progress):
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        solved(*data, callback=stop)


def test_bad_input_is_refused_as_without_parts(data, threads):
    X, y = data
    bad = X.copy()
    bad[3, 4] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        lasso_path(bad, y, np.geomspace(1, 0.1, 60))
    with pytest.raises(ValueError, match="sample_weight"):
        lasso_path(X, y, np.geomspace(1, 0.1, 60), sample_weight=np.zeros(250))
    with pytest.raises(ValueError, match="2-D"):
        lasso_path(X[0], y, np.geomspace(1, 0.1, 60))
