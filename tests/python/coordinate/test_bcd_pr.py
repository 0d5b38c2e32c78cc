"""Block descent with proximal terms: matrix factorizations, against exact steps and optima."""

import numpy as np
import pytest

from thalweg import project
from thalweg.coordinate import bcd_pr

RNG = np.random.default_rng(0)
V = np.abs(RNG.standard_normal((12, 3))) @ np.abs(RNG.standard_normal((3, 9))) + 0.1
START = [RNG.random((12, 3)), RNG.random((3, 9))]


def fun(blocks):
    return 0.5 * np.sum((V - blocks[0] @ blocks[1]) ** 2)


def grad(blocks, i):
    residual = blocks[0] @ blocks[1] - V
    return residual @ blocks[1].T if i == 0 else blocks[0].T @ residual


def positive(x):
    return np.maximum(x, 0.0)


@pytest.mark.parametrize("tau", [None, 1.0, [0.1, 0.5]])
def test_values_fall_to_a_stationary_point(tau):
    found = bcd_pr(fun, START, grad=grad, project=positive, tau=tau, tol=1e-3)
    assert found.success, found.message
    values = np.array([row["objective"] for row in found.history])
    assert values[0] < fun(START)
    assert (np.diff(values) <= 1e-12).all()
    for i in range(2):
        x, g = found.blocks[i], grad(found.blocks, i)
        assert x.min() >= 0
        # Projected gradient: of the order of tau |change|, which tol bounds.
        assert np.linalg.norm(x - positive(x - g)) <= 2e-2


def test_inner_solves_agree_with_exact_ones():
    def solve(blocks, i, tau):
        """Ridge without bounds, exact."""
        W, H = blocks
        if i == 0:
            return np.linalg.solve(H @ H.T + tau * np.eye(3), H @ V.T + tau * W.T).T
        return np.linalg.solve(W.T @ W + tau * np.eye(3), W.T @ V + tau * H)

    exact = bcd_pr(fun, START, solve=solve, tau=0.3, tol=1e-5, max_iter=5000)
    inner = bcd_pr(fun, START, grad=grad, tau=0.3, tol=1e-5, max_iter=5000)
    # Without bounds the best factors are the leading singular vectors.
    best = 0.5 * np.sum(np.linalg.svd(V, compute_uv=False)[3:] ** 2)
    for found in (exact, inner):
        assert found.success, found.message
        assert best - 1e-12 <= found.objective <= best + 1e-6
    assert exact.n_gradients == 0
    assert inner.n_gradients > inner.n_iter


def test_one_convex_block_reaches_its_optimum():
    A, y = RNG.standard_normal((15, 4)), RNG.standard_normal(15)
    found = bcd_pr(
        lambda b: 0.5 * np.sum((A @ b[0] - y) ** 2),
        [np.full(4, 0.25)],
        grad=lambda b, i: A.T @ (A @ b[0] - y),
        project=project.simplex,
        tau=1.0,
        tol=1e-8,
    )
    assert found.success
    x = found.blocks[0]
    g = A.T @ (A @ x - y)
    # KKT on the simplex: the support has the least gradient.
    assert g[x > 1e-9].max() - g.min() < 1e-6


def test_tensors_need_no_gradient():
    torch = pytest.importorskip("torch")
    v = torch.from_numpy(V)
    start = [torch.from_numpy(block.copy()) for block in START]
    copies = [block.clone() for block in start]
    found = bcd_pr(
        lambda b: 0.5 * ((v - b[0] @ b[1]) ** 2).sum(),
        start,
        project=lambda x: x.clamp(min=0),
        tau=1.0,
        tol=1e-2,
    )
    same = bcd_pr(fun, START, grad=grad, project=positive, tau=1.0, tol=1e-2)
    np.testing.assert_allclose(found.objective, same.objective, rtol=1e-6)
    for block, copy in zip(start, copies, strict=True):
        assert torch.equal(block, copy)


def test_float32_stays_and_a_start_outside_is_projected():
    start = [-np.ones((12, 3), np.float32), np.ones((3, 9), np.float32)]
    found = bcd_pr(fun, start, grad=grad, project=[positive, None], tau=1.0, tol=1e-1, max_iter=50)
    assert {block.dtype for block in found.blocks} == {np.dtype(np.float32)}
    assert found.blocks[0].min() >= 0
    assert start[0].max() == -1


def test_the_limit_is_reported():
    found = bcd_pr(fun, START, grad=grad, tau=1.0, tol=1e-12, max_iter=2)
    assert (found.status, found.n_iter, found.success) == ("limit", 2, False)
    assert "after 2 passes; raise max_iter" in found.message


def nan_grad(blocks, i):
    return np.full_like(blocks[i], np.nan)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"x0": []}, ValueError, "at least one block"),
        ({"x0": np.ones(3)}, TypeError, "sequence of blocks"),
        ({"x0": [np.ones((12, 3)), np.ones((0, 9))]}, ValueError, r"x0\[1\] must not be empty"),
        ({"x0": [START[0], np.full((3, 9), np.nan)]}, ValueError, r"x0\[1\] holds NaN"),
        ({"x0": [np.ones((12, 3), int), START[1]]}, TypeError, r"x0\[0\] must hold float32"),
        ({"tau": -1.0}, ValueError, "tau must be in \\(0"),
        ({"tau": 0.0}, ValueError, "tau must be in \\(0"),
        ({"tau": [1.0]}, ValueError, "tau must hold one entry for each of the 2 blocks"),
        ({"grad": None}, TypeError, "grad must be given"),
        ({"grad": lambda b, i: b[0]}, ValueError, "grad of block 1 of shape"),
        ({"grad": nan_grad}, ValueError, "gradient of block 0 holds NaN"),
        ({"grad": nan_grad, "tau": None}, ValueError, "gradient of block 0 at x0 holds NaN"),
        ({"grad": lambda b, i: 0 * b[i], "tau": None}, ValueError, "singular"),
        ({"fun": lambda b: np.nan}, ValueError, "fun must be finite at x0"),
        ({"fun": 3}, TypeError, "fun must be a function"),
        ({"project": 3}, TypeError, "project must be a function"),
        ({"project": lambda x: x[:1]}, ValueError, "project of block 0 of shape"),
        ({"solve": lambda b, i, t: b[i] * np.nan}, ValueError, "is it singular"),
        ({"solve": lambda b, i, t: b[i], "tau": None}, ValueError, "tau must be given"),
        ({"max_iter": 0}, ValueError, "max_iter"),
    ],
)
def test_bad_input(change, error, match):
    arguments = {"fun": fun, "x0": START, "grad": grad, "tau": 1.0, "max_iter": 3, **change}
    before = [block.copy() for block in START]
    with pytest.raises(error, match=match):
        bcd_pr(**arguments)
    for block, copy in zip(START, before, strict=True):
        np.testing.assert_array_equal(block, copy)
