"""Polyhedra: an independent solver, certificates, warm starts, degenerate and empty sets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import thalweg.project as pr

METHODS = ["active_set", "dykstra", "admm"]
ALL = pytest.mark.parametrize("method", METHODS)


def problem(seed, n=6, k=10, equations=2):
    rng = np.random.default_rng(seed)
    inside = rng.standard_normal(n)
    A, E = rng.standard_normal((k, n)), rng.standard_normal((equations, n))
    return A, A @ inside + rng.uniform(0, 1, k), E, E @ inside, inside + 3 * rng.standard_normal(n)


def certified(x, y, lam, A, b, E, f, tol):
    """The KKT conditions, from scratch."""
    size = max(1.0, np.abs(x).max())
    assert (A @ y - b).max(initial=-1.0) <= tol * size
    assert np.abs(E @ y - f).max(initial=0.0) <= tol * size
    assert lam.min(initial=0.0) >= 0
    assert np.abs(lam * (A @ y - b)).max(initial=0.0) <= tol * size * max(1, lam.max(initial=0))
    rest = x - y - A.T @ lam
    if len(E):
        rest = rest - E.T @ np.linalg.lstsq(E.T, rest, rcond=None)[0]
    assert np.abs(rest).max() <= tol * size * max(1, np.abs(A).max(initial=0))


@ALL
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 8),
    k=st.integers(0, 15),
    equations=st.integers(0, 3),
)
def test_points_are_certified(method, seed, n, k, equations):
    A, b, E, f, x = problem(seed, n, k, min(equations, n))
    found = pr.polyhedron(x, A, b, E, f, method, certificate=True)
    assert found.success
    certified(x, found.point, found.multipliers, A, b, E, f, 1e-9)
    again = pr.polyhedron(found.point, A, b, E, f, method)
    assert np.abs(again - found.point).max() <= 1e-9 * max(1, np.abs(x).max())


@ALL
def test_agrees_with_an_independent_solver(method):
    quadprog = pytest.importorskip("quadprog")
    for seed in range(20):
        A, b, E, f, x = problem(seed)
        G = -np.vstack([E, A]).T
        want = quadprog.solve_qp(np.eye(6), x, G, -np.concatenate([f, b]), len(f))[0]
        assert np.abs(pr.polyhedron(x, A, b, E, f, method) - want).max() <= 1e-10


@ALL
def test_redundant_dependent_and_zero_rows(method):
    A = np.array([[1.0, 0, 0], [1.0, 0, 0], [2.0, 0, 0], [0, 0, 0], [0, 1, 0], [1, 1, 0]])
    b = np.array([1.0, 1.0, 2.0, 0.0, 1.0, 2.0])  # a vertex where four rows meet
    E = np.array([[0.0, 0, 1], [0, 0, -2]])
    found = pr.polyhedron([5.0, 4.0, 3.0], A, b, E, [0.5, -1.0], method, certificate=True)
    assert np.allclose(found.point, [1, 1, 0.5], atol=1e-12)
    certified(np.array([5.0, 4, 3]), found.point, found.multipliers, A, b, E, [0.5, -1.0], 1e-10)
    open_side = pr.polyhedron([5.0, 4.0], np.eye(2), [np.inf, 1.0], method=method)
    assert np.allclose(open_side, [5, 1], atol=1e-14)


@ALL
def test_scales_of_rows_and_points_do_not_matter(method):
    A, b, E, f, x = problem(3)
    want = pr.polyhedron(x, A, b, E, f)
    rows = 10.0 ** np.linspace(-6, 6, len(A))
    got = pr.polyhedron(x, A * rows[:, None], b * rows, 1e5 * E, 1e5 * f, method)
    assert np.abs(got - want).max() <= 1e-9
    for scale in (1e-8, 1e8):
        far = pr.polyhedron(scale * x, A, scale * b, E, scale * f, method)
        assert np.abs(far / scale - want).max() <= 1e-9


@ALL
def test_empty_sets_are_refused_before_anything_is_written(method):
    out = np.full(2, 7.0)
    with pytest.raises(ValueError, match="b must be feasible, got a contradiction at row"):
        pr.polyhedron(np.zeros(2), [[1.0, 0], [-1.0, 0]], [-1.0, -1.0], method=method, out=out)
    with pytest.raises(ValueError, match="f must be in the range of E, got a contradiction"):
        pr.polyhedron(np.zeros(2), None, None, [[1.0, 0], [1.0, 0]], [0.0, 1.0], method, out=out)
    with pytest.raises(ValueError, match="b must be feasible, got a contradiction at row 0"):
        pr.polyhedron(np.zeros(2), [[1.0, 0]], [-1.0], [[1.0, 0]], [0.0], method, out=out)
    with pytest.raises(ValueError, match="b must be feasible, got a contradiction at row 0"):
        pr.polyhedron(np.zeros(2), [[0.0, 0]], [-1.0], method=method, out=out)
    assert (out == 7.0).all()


def test_large_sets():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((700, 40))
    b = rng.uniform(0.5, 1, 700)
    x = rng.standard_normal((2, 40))
    want = pr.polyhedron(x, A, b, method="active_set", certificate=True)
    for method in ("dykstra", "admm", "auto"):
        found = pr.polyhedron(x, A, b, method=method, certificate=True)
        assert found.success
        assert np.abs(found.point - want.point).max() <= 1e-9
        warm = pr.polyhedron(x, A, b, method=method, certificate=True, warm_start=found.multipliers)
        assert warm.n_iter <= found.n_iter / 2


def test_what_stops_early_is_marked():
    A, b, _, _, x = problem(1, 20, 60, 0)
    with pytest.warns(pr.ConvergenceWarning, match="after 1 iterations; raise max_iter"):
        found = pr.polyhedron(5 * x, A, b, method="dykstra", max_iter=1, certificate=True)
    assert not found.success
    assert found.residual > 1e-10
    assert "raise max_iter" in found.message


def test_batches_axes_and_single_precision():
    A, b, E, f, _ = problem(2)
    x = np.random.default_rng(1).standard_normal((3, 6, 4))
    got = pr.polyhedron(x, A, b, E, f, axis=1)
    for i in range(3):
        for j in range(4):
            assert np.array_equal(got[i, :, j], pr.polyhedron(x[i, :, j], A, b, E, f))
    low = pr.polyhedron(x.astype(np.float32), A, b, E, f, axis=1)
    assert low.dtype == np.float32
    assert np.abs(low - got).max() <= 1e-5
    assert np.array_equal(pr.polyhedron(x, axis=1), x)


@ALL
def test_gradients(method):
    torch = pytest.importorskip("torch")
    A, b, E, f, _ = problem(2)
    x = torch.randn(2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = (2 * x).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: pr.polyhedron(x, A, b, E, f, method), (x,))
    assert np.array_equal(
        pr.polyhedron(x, A, b, E, f, method).detach(),
        pr.polyhedron(x.detach().numpy(), A, b, E, f, method),
    )
    out = torch.empty(2, 6, dtype=torch.float64)
    assert pr.polyhedron(x.detach(), A, b, E, f, method, out=out) is out
    with pytest.raises(ValueError, match="must have a point, got constraints that contradict"):
        pr.polyhedron(x[:, :2], [[1.0, 0], [-1.0, 0]], [-1.0, -1.0], method="admm")
    with pytest.raises(TypeError, match="x must be an array where warm_start, certificate or out"):
        pr.polyhedron(x, A, b, certificate=True)


X = np.zeros(3)
REFUSED = [
    (lambda: pr.polyhedron(X, np.eye(3)), "A and b, and E and f, must be given together"),
    (lambda: pr.polyhedron(X, np.eye(2), 1.0), r"A must be of shape \(k, 3\), got \(2, 2\)"),
    (lambda: pr.polyhedron(X, np.eye(3), [1.0, 2.0]), r"b of shape \(2,\) does not match A"),
    (lambda: pr.polyhedron(X, np.eye(3), 1.0, method="simplex"), "method must be one of 'auto'"),
    (lambda: pr.polyhedron(X, np.eye(3), 1.0, tol=-1.0), "tol must be positive, got -1"),
    (lambda: pr.polyhedron(X, np.eye(3), 1.0, max_iter=0), "max_iter must be an integer >= 1"),
    (lambda: pr.polyhedron(X, np.eye(3), np.nan), "A or b holds NaN or infinity"),
    (lambda: pr.polyhedron(X + np.nan, np.eye(3), 1.0), "x holds NaN or infinity"),
    (
        lambda: pr.polyhedron(X, np.eye(3), 1.0, warm_start=np.zeros((2, 3))),
        "warm_start must hold 1 rows of 3 multipliers, got 2",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=range(len(REFUSED)))
def test_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()
