"""Randomised derivatives against closed forms, and what sampling promises."""

import subprocess
import sys

import numpy as np
import pytest

import thalweg

torch = pytest.importorskip("torch")

from thalweg.search import stde  # noqa: E402

D = 9
RNG = np.random.default_rng(0)
A = RNG.normal(size=(D, D))
POINTS = torch.from_numpy(RNG.normal(size=(4, D)))


def quadratic(x):
    return x @ torch.from_numpy(A).to(x) @ x


def sines(x):
    """Not diagonal: sin of the sum of squares."""
    return torch.sin((x**2).sum())


def laplacian_of_sines(x):
    """2 d cos r - 4 r sin r for r the sum of squares."""
    r = (x**2).sum(1)
    return 2 * x.shape[1] * np.cos(r) - 4 * r * np.sin(r)


def test_all_basis_vectors_are_exact():
    np.testing.assert_allclose(stde.laplacian(quadratic, POINTS), [2 * np.trace(A)] * 4)
    exact = laplacian_of_sines(POINTS.numpy())
    for chunk_size in (None, 1, 4):
        found = stde.laplacian(sines, POINTS, chunk_size=chunk_size)
        np.testing.assert_allclose(found, exact, rtol=1e-9)


def test_trace_with_a_matrix():
    sigma = RNG.normal(size=(D, 4))
    found = stde.trace(quadratic, POINTS, torch.from_numpy(sigma))
    np.testing.assert_allclose(found, [np.trace(sigma @ sigma.T @ (A + A.T))] * 4)


@pytest.mark.parametrize("kind", ["basis", "gaussian", "rademacher"])
@pytest.mark.parametrize("shaped", [False, True])
def test_unbiased_and_the_variance_shrinks(kind, shaped):
    sigma = RNG.normal(size=(D, D)) if shaped else np.eye(D)
    given = torch.from_numpy(sigma) if shaped else None
    exact, spreads, n = np.trace(sigma @ sigma.T @ (A + A.T)), [], 200
    for samples in (2, 8):
        rng = np.random.default_rng(1)
        drawn = np.array(
            [
                stde.trace(
                    quadratic, POINTS[:1], given, samples=samples, kind=kind, seed=rng
                ).item()
                for _ in range(n)
            ]
        )
        assert abs(drawn.mean() - exact) < 4.5 * drawn.std() / n**0.5
        spreads.append(drawn.std())
    # A quarter of the variance; without replacement less than that.
    limit = 0.5 if kind != "basis" else (1 / 8 - 1 / 9) ** 0.5 / (1 / 2 - 1 / 9) ** 0.5
    assert spreads[1] / spreads[0] == pytest.approx(limit, rel=0.2)


def test_rademacher_is_exact_where_the_hessian_is_diagonal():
    found = stde.laplacian(lambda x: (x**4).sum(), POINTS, samples=1, kind="rademacher", seed=0)
    np.testing.assert_allclose(found, (12 * POINTS**2).sum(1))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_directional_derivatives(order):
    x, v = POINTS[0], POINTS[1]
    found = stde.directional(lambda x: torch.exp(x @ x / 10).sin(), x, v, order)
    # Central differences of the function of t, in high precision by Richardson's extrapolation.
    exponents = np.arange(-4, 5) * 0.04
    values = [np.sin(np.exp(((x + t * v) @ (x + t * v)).item() / 10)) for t in exponents]
    fit = np.polynomial.Polynomial.fit(exponents, values, 8)
    assert found.item() == pytest.approx(fit.deriv(order)(0.0), rel=2e-3)
    linear = stde.directional(lambda x: x * x.sum(), x, v, 1)
    np.testing.assert_allclose(linear, v * x.sum() + x * v.sum())


def test_mixed_partial_derivatives():
    def f(x):
        return x[0] ** 3 * x[1] ** 2 * x[2] + x[3] ** 4

    x = POINTS.numpy()
    indices = [(0, 0, 1, 2), (1, 0, 1, 0), (3, 3, 3, 3), (0, 1, 2, 3)]
    parts = np.stack(
        [12 * x[:, 0] * x[:, 1], 12 * x[:, 0] * x[:, 2], 24 + 0 * x[:, 0], 0 * x[:, 0]]
    )
    weights = np.array([1.0, -2.0, 0.5, 7.0])
    np.testing.assert_allclose(stde.operator(f, POINTS, indices, weights), weights @ parts)
    rng, n = np.random.default_rng(0), 60
    drawn = np.array(
        [
            stde.operator(f, POINTS[:1], indices, weights, samples=2, seed=rng).item()
            for _ in range(n)
        ]
    )
    assert abs(drawn.mean() - (weights @ parts)[0]) < 4.5 * drawn.std() / n**0.5
    assert drawn.std() > 0


def test_the_biharmonic_operator():
    """Of the fourth power of the radius: 8 d (d + 2)."""
    x = POINTS[:, :3]
    pairs = [(i, i, j, j) for i in range(3) for j in range(3)]
    found = stde.operator(lambda x: (x @ x) ** 2, x, pairs)
    np.testing.assert_allclose(found, [8 * 3 * 5] * 4, rtol=1e-9)


def test_results_carry_gradients_of_parameters():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(D, 6), torch.nn.Tanh(), torch.nn.Linear(6, 1))
    net.double()
    weight = net[0].weight
    loss = stde.laplacian(lambda x: net(x)[0], POINTS, samples=3, seed=0).square().mean()
    (found,) = torch.autograd.grad(loss, weight)
    step, shift = 1e-5, torch.zeros_like(weight)
    shift[2, 3] = step
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            weight += sign * shift
            again = stde.laplacian(lambda x: net(x)[0], POINTS, samples=3, seed=0)
            ends.append(again.square().mean().item())
            weight -= sign * shift
    assert found[2, 3].item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)


def test_memory_does_not_hold_a_hessian():
    script = """
import resource, torch
from thalweg.search import stde
d = 20_000
x = torch.ones(1, d)
f = lambda x: torch.sin((x**2).sum() / d)
stde.laplacian(f, x, samples=1, seed=0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(stde.laplacian(f, x, samples=64, chunk_size=16, seed=0).item())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    if sys.platform != "linux":
        pytest.skip("peak memory is in kilobytes on Linux")
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True,
        env={**__import__("os").environ, "PYTHONPATH": thalweg.__path__[0] + "/.."},
    )  # fmt: skip
    value, grown = map(float, done.stdout.split())
    assert value == pytest.approx(2 * np.cos(1.0), rel=1e-3)
    # A Hessian would take 1,562,500 kilobytes.
    assert grown < 60_000


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stde.laplacian(quadratic, POINTS[0]), r"x must be .* of shape \(n, d\)"),
        (lambda: stde.laplacian(quadratic, POINTS.long()), "x must be a floating-point tensor"),
        (lambda: stde.laplacian(lambda x: x, POINTS), "f must return one number"),
        (
            lambda: stde.laplacian(sines, POINTS, samples=0),
            "samples must be an integer in",
        ),
        (lambda: stde.laplacian(sines, POINTS, samples=D + 1), "samples must be an integer in"),
        (lambda: stde.laplacian(sines, POINTS, kind="gaussian"), "samples must be an integer >= 1"),
        (lambda: stde.laplacian(sines, POINTS, kind="uniform"), "kind must be one of"),
        (lambda: stde.trace(sines, POINTS, torch.ones(3, 3)), r"sigma must be of shape \(9, m\)"),
        (lambda: stde.directional(sines, POINTS[0], POINTS[0], 0), "order must be an integer >= 1"),
        (lambda: stde.operator(sines, POINTS, [0, 1]), r"indices must be integers of shape"),
        (lambda: stde.operator(sines, POINTS, [[0.5]]), "indices must be integers of shape"),
        (lambda: stde.operator(sines, POINTS, [[0, D]]), r"indices must be in \[0, 9\)"),
        (lambda: stde.operator(sines, POINTS, [[-1]]), r"indices must be in \[0, 9\)"),
        (
            lambda: stde.operator(sines, POINTS, [[0]], [1.0, 2.0]),
            "weights must be of shape",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
