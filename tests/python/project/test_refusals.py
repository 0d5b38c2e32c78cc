"""Every message of a parameter, and numerical answers at the edges."""

import numpy as np
import pytest

import thalweg.project as pr
from thalweg.project import prox

X = np.zeros(3)
M = np.zeros((2, 3))
inf, nan = np.inf, np.nan

REFUSED = [
    (lambda: pr.box(X, 1.0, 0.0), "hi must be at least lo = 1, got 0; the box is empty"),
    (lambda: pr.box(X, nan), "lo must be no NaN, got NaN"),
    (lambda: pr.box(X, 0.0, [1.0, 2.0]), "hi must be a number or of length 3, got length 2"),
    (lambda: pr.box(X, np.zeros((1, 3))), "lo must be a number or a vector, got shape"),
    (lambda: pr.linf_ball(X, -1.0), "radius must be finite and >= 0, got -1.0; the set is empty"),
    (lambda: pr.l2_ball(X, -1.0), "radius must be finite and >= 0, got -1"),
    (lambda: pr.l2_ball(X, nan), "radius must be finite and >= 0, got NaN"),
    (lambda: pr.l2_ball(X, 1.0, inf), "center must be finite, got inf"),
    (lambda: pr.frobenius_ball(M, -1.0), "radius must be finite and >= 0, got -1"),
    (lambda: pr.l1_ball(X, -1.0), "radius must be finite and >= 0, got -1"),
    (lambda: pr.l1_ball(X, 1.0, 0.0), "weights must be positive, got 0"),
    (lambda: pr.l0_ball(X, -1), "k must be an integer >= 0, got -1"),
    (lambda: pr.l0_ball(X, 1.5), "k must be an integer >= 0, got 1.5"),
    (lambda: pr.simplex(X, -1.0), "radius must be finite and >= 0, got -1"),
    (lambda: pr.weighted_simplex(X, [1.0, 0.0, 1.0]), "weights must be positive, got 0"),
    (lambda: pr.weighted_simplex(X, 1.0, -1.0), r"radius must be in \[0, inf\], what the bounds"),
    (lambda: pr.capped_simplex(X, 0.1, 1.0), "what the bounds allow, got 1; the set is empty"),
    (lambda: pr.capped_simplex(X, -1.0, 1.0), "hi must be at least lo = 0, got -1; the box is"),
    (lambda: pr.box_section(X, 1.0, 0.0, 1.0, nan), "radius must be finite, got NaN"),
    (lambda: pr.kl_simplex(X, 1.0, 0.1), "radius must be at most 0.3"),
    (lambda: pr.kl_simplex(X, 1.0, 0.0), "upper must be positive, got 0"),
    (lambda: pr.halfspace(X, [0.0] * 3, 1.0), "a must be finite and not zero, got zeros"),
    (lambda: pr.halfspace(X, [1.0], 1.0), "a must be of length 3, got length 1"),
    (lambda: pr.halfspace(X, [1.0] * 3, nan), "the sides must be lo <= hi, not NaN, got -inf and"),
    (lambda: pr.slab(X, [1.0] * 3, 1.0, 0.0), "the sides must be lo <= hi, not NaN, got 1 and 0"),
    (lambda: pr.hyperplane(X, [1.0] * 3, inf), "the sides must be lo <= hi, not NaN, got inf"),
    (lambda: pr.affine(X, [1.0] * 3, 1.0), r"A must be of shape \(k, 3\), got \(3,\)"),
    (lambda: pr.affine(X, [[1.0] * 3], [1.0, 2.0]), r"b of shape \(2,\) does not match A of shape"),
    (lambda: pr.affine(X, [[nan] * 3], 1.0), "A holds NaN or infinity; give finite coefficients"),
    (
        lambda: pr.affine(X, [[1.0] * 3, [2.0] * 3], [1.0, 3.0]),
        "b must be in the range of A, got a contradiction in row 1; the set is empty",
    ),
    (lambda: pr.isotonic(X, 0.0), "weights must be positive, got 0"),
    (lambda: pr.isotonic(X, lo=1.0, hi=0.0), "hi must be at least lo = 1, got 0; the set is empty"),
    (lambda: pr.psd(M), "x must be a square matrix, got 2 x 3"),
    (lambda: pr.correlation(M), "x must be a square matrix, got 2 x 3"),
    (lambda: pr.rotation(M), "x must be a square matrix, got 2 x 3"),
    (lambda: pr.symmetric(M), "x must be a square matrix, got 2 x 3"),
    (lambda: pr.birkhoff(M), "x must be a square matrix, got 2 x 3; use transport"),
    (lambda: pr.transport(M, [1.0], [1.0] * 3), "a must be of length 2, got length 1"),
    (lambda: pr.transport(M, [1.0, -1.0], [0.0] * 3), "a must be finite and >= 0, got -1"),
    (lambda: pr.transport(M, [1.0, 1.0], [1.0] * 3), "b must be of sum 2, the sum of a, got 3"),
    (lambda: pr.spectral_ball(M, -1.0), "radius must be finite and >= 0, got -1"),
    (lambda: pr.nuclear_ball(M, -1.0), "radius must be finite and >= 0, got -1"),
    (lambda: pr.rank(M, -1), "k must be an integer >= 0, got -1"),
    (lambda: pr.reflect(X, "cone"), "set must be 'box', 'ball' or a callable, got 'cone'; ch"),
    (lambda: pr.reflect(X, radius=2.0), "radius must be None for a box, got 2.0; leave it out"),
    (lambda: pr.reflect(X, "ball", lo=0.0), "lo must be None for a ball, got 0.0; leave it out"),
    (lambda: pr.reflect(X, pr.box, lo=0.0), "lo must be None for a callable, got 0.0; leave it"),
    (lambda: pr.reflect(M, pr.box, axis=0), "axis must be -1 for a callable"),
    (lambda: pr.reflect(X, lambda x: x[:2]), r"set must keep the shape \(3,\) of x, got \(2,\)"),
    (lambda: pr.reflect(X, lo=1.0, hi=0.0), "hi must be at least lo = 1, got 0; the box is empty"),
    (lambda: pr.reflect(X, "ball", radius=0.0), "radius must be > 0, got 0; a point reflects"),
    (lambda: prox.l1(X, -1.0), "lam must be >= 0, got -1"),
    (lambda: prox.l1(X, 1.0, -1.0), "weights must be >= 0, got -1"),
    (lambda: prox.elastic_net(X, 1.0, -1.0), "gamma must be finite and >= 0, got -1"),
    (lambda: prox.ridge(X, -1.0), "gamma must be finite and >= 0, got -1"),
    (lambda: prox.l2(X, nan), "lam must be >= 0, got NaN"),
    (lambda: prox.linf(X, -1.0), "lam must be >= 0, got -1"),
    (lambda: prox.l0(X, -1.0), "lam must be >= 0, got -1"),
    (lambda: prox.huber(X, 1.0, 0.0), "delta must be positive, got 0"),
    (lambda: prox.mcp(X, 1.0, 1.0), "gamma must be finite and > 1, got 1"),
    (lambda: prox.scad(X, 1.0, 2.0), "a must be finite and > 2, got 2"),
    (lambda: prox.mcp(X, inf), "lam must be finite and >= 0, got inf"),
    (lambda: prox.group(X, [0, 1]), "groups must be of length 3, got length 2"),
    (lambda: prox.group(X, [0, 1, -1]), r"groups must be integers in \[0, 2\), got -1"),
    (lambda: prox.group(X, [0, 0.5, 1]), r"groups must be integers in \[0, 2\), got 0.5"),
    (lambda: prox.group(X, [0, 0, 1], 1.0, "size"), "weights must be 'sqrt', 'none' or one value"),
    (lambda: prox.group(X, [0, 0, 1], 1.0, [1.0, -1.0]), "weights must be finite and >= 0, got -1"),
    (lambda: prox.tv1d(X, [1.0] * 3), "lam must be a number or of length 2, got length 3"),
    (lambda: prox.tv1d(X, -1.0), "lam must be >= 0, got -1"),
    (lambda: prox.nuclear(M, -1.0), "lam must be >= 0, got -1"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=range(len(REFUSED)))
def test_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_parameters_of_another_kind():
    with pytest.raises(TypeError, match="radius must be a number, got str; see the documentation"):
        pr.simplex(X, "wide")
    with pytest.raises(TypeError, match="lo must be a number or an array of numbers, got str"):
        pr.box(X, "low")


def test_zero_and_infinite_strengths():
    x = np.array([1.5, -0.2, 0.0])
    for f in (prox.l1, prox.l2, prox.linf, prox.l0, prox.huber, prox.tv1d, prox.ridge, prox.mcp):
        assert np.array_equal(f(x, 0.0), x)
    assert np.array_equal(prox.elastic_net(x, 0.0), x)
    for f in (prox.l1, prox.l2, prox.linf, prox.l0, prox.huber, prox.ridge):
        assert not f(x, inf).any()
    assert np.allclose(prox.tv1d(x, inf), x.mean(), rtol=0, atol=1e-15)
    assert np.allclose(prox.tv1d(x, [inf, 0.0]), [0.65, 0.65, 0.0], rtol=0, atol=1e-15)


def test_radius_zero():
    x = np.array([1.5, -0.2, 0.0])
    assert not pr.simplex(x, 0.0).any()
    assert not pr.l1_ball(x, 0.0).any()
    assert not pr.l2_ball(x, 0.0).any()
    assert not pr.linf_ball(x, 0.0).any()
    assert not pr.kl_simplex(x, 0.0).any()
    assert not pr.nuclear_ball(np.outer(x, x), 0.0).any()


@pytest.mark.parametrize("scale", [1e-150, 1e-9, 1.0, 1e9, 1e150])
def test_no_overflow_and_no_lost_digits(scale):
    x = scale * np.array([3.0, 4.0, 0.0])
    assert np.allclose(pr.l2_ball(x, scale) / scale, [0.6, 0.8, 0.0], rtol=1e-14, atol=0)
    assert np.allclose(pr.soc(x) / scale, [1.5, 2.0, 2.5], rtol=1e-14, atol=0)
    assert np.allclose(pr.simplex(x + 0.0, scale) / scale, [0.0, 1.0, 0.0], rtol=0, atol=1e-14)
    m = scale * np.array([[3.0, 0.0], [0.0, 1.0]])
    assert np.allclose(pr.nuclear_ball(m, 2 * scale) / scale, [[2, 0], [0, 0]], rtol=0, atol=1e-13)
    assert not pr.psd(-m).any()


def test_large_entries_keep_the_sum():
    x = 1e12 + np.array([0.25, 0.5, -3.0])
    assert pr.simplex(x).tolist() == [0.375, 0.625, 0.0]
    y = pr.weighted_simplex(x, [1.0, 1.0, 1.0])
    assert np.allclose(y, [0.375, 0.625, 0.0], rtol=0, atol=1e-12)


def test_a_million_entries_of_every_kind():
    rng = np.random.default_rng(0)
    n = 10**6
    for x in (
        rng.standard_normal(n),
        np.full(n, 3.0),
        np.sort(rng.standard_normal(n)),
        -np.sort(rng.exponential(size=n)),
        rng.standard_cauchy(n),
    ):
        for s in (1.0, 1e5):
            y = pr.simplex(x, s)
            assert y.min() >= 0
            assert abs(y.sum() - s) <= 1e-9 * s
            kept = y > 0
            tau = (x - y)[kept]
            assert np.ptp(tau) <= 1e-9 * max(1.0, np.abs(tau).max())
            assert (x[~kept] <= tau.max() + 1e-9 * np.abs(tau).max()).all()


def test_a_rank_deficient_matrix_has_no_unique_polar_factor():
    with pytest.warns(pr.ConvergenceWarning, match="the nearest point is not unique; one of them"):
        y = pr.stiefel(np.ones((3, 2)))
    assert np.allclose(y.T @ y, np.eye(2), atol=1e-14)


def test_monotone_and_piecewise_constant_at_scale():
    rng = np.random.default_rng(1)
    x = np.cumsum(rng.standard_normal(10**5))
    y = pr.isotonic(x)
    assert (np.diff(y) >= 0).all()
    sk = pytest.importorskip("sklearn.isotonic")
    assert np.abs(y - sk.isotonic_regression(x)).max() <= 1e-10 * np.abs(x).max()
    z = prox.tv1d(x, 5.0)
    dual = np.cumsum(x - z)[:-1]
    assert np.abs(dual).max() <= 5.0 * (1 + 1e-9)
    jump = np.diff(z) != 0
    assert np.abs(dual[jump] + 5.0 * np.sign(np.diff(z)[jump])).max() <= 1e-9 * np.abs(x).max()
    assert abs(z.sum() - x.sum()) <= 1e-9 * np.abs(x).sum()
