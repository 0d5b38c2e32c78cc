"""Fractional and parametric coordinate descent against dense search."""

import os
import signal
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ratio_oracle import Ratio
from scipy import sparse

from thalweg.coordinate import fractional as fr

KINDS = ["top_k", "l1", "l1_squared", "l2", "l2_squared", "squared_l4", "l_inf", "lowest"]
SQUARED_GROWTH = {"l1_squared", "l2_squared", "squared_l4"}


def made(kind, D=None, k=2, offset=None):
    return {
        "top_k": lambda: fr.TopK(k),
        "l1": lambda: fr.L1(D),
        "l1_squared": lambda: fr.L1(D, squared=True),
        "l2": lambda: fr.L2(D),
        "l2_squared": lambda: fr.L2(D, squared=True),
        "squared_l4": lambda: fr.SquaredL4(D),
        "l_inf": lambda: fr.LInf(D),
        "lowest": lambda: fr.Lowest(D, offset),
    }[kind]()


def problem(kind, seed, l1=0.0, bounds=None, m=7, n=5, layout=np.asfortranarray):
    """A least-squares ratio: ours and the oracle's, and a start."""
    rng = np.random.default_rng(seed)
    A, y = rng.standard_normal((m, n)), rng.standard_normal(m)
    D, offset = rng.standard_normal((6, n)), 3 + rng.random(6)
    D[rng.random(D.shape) < 0.2] = 0
    x0 = 0.5 * rng.standard_normal(n)
    if bounds is not None:
        x0 = np.clip(x0, *bounds)
    if kind == "lowest":
        x0 *= 0.1
    ours = fr.LeastSquares(layout(A), y), made(kind, layout(D), 2, offset)
    box = (-np.inf, np.inf) if bounds is None else bounds
    top_k = kind == "top_k"
    oracle = Ratio(
        A.T @ A, -A.T @ y, y @ y / 2, kind, None if top_k else D, l1, box, k=2,
        offset=offset if kind == "lowest" else 0.0,
    )  # fmt: skip
    return ours, oracle, x0


BOXES = [None, (-0.6, 0.9), (0.0, np.inf)]


def started(oracle, x0):
    """A start at which the denominator is positive."""
    if oracle.parts(x0, 0, x0[:1])[1][0] <= 0.05:
        x0 = np.clip(np.full_like(x0, 0.3), oracle.low, oracle.high)
    return x0


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), l1=st.sampled_from([0.0, 0.3]), box=st.sampled_from(BOXES))
def test_one_coordinate_is_solved_globally(kind, seed, l1, box):
    ours, oracle, x0 = problem(kind, seed, l1, box)
    x0 = started(oracle, x0)
    i = seed % len(x0)
    # Only coordinate i is free.
    low, high = x0.copy(), x0.copy()
    low[i], high[i] = (-np.inf, np.inf) if box is None else box
    start = oracle(x0)
    kw = {"l1": l1, "bounds": (low, high), "theta": 0.0, "tol": 0.0, "max_iter": 1}
    found = fr.minimize(*ours, x0, **kw)
    np.testing.assert_allclose(found.fun, oracle(found.x), rtol=1e-12)
    best = oracle.along(x0, i, lambda n, g: n / g)
    assert found.fun <= best * (1 + 1e-12)
    found = fr.minimize(*ours, x0, method="pcd", **kw)
    n, g = oracle.parts(found.x, i, found.x[i : i + 1])
    assert found.fun <= start * (1 + 1e-15)
    if kind not in SQUARED_GROWTH:
        best = oracle.along(x0, i, lambda n, g: n - start * g)
        assert n[0] - start * g[0] <= best + 1e-12 * (n[0] + abs(best))


@pytest.mark.parametrize("method", ["fcd", "pcd"])
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), l1=st.sampled_from([0.0, 0.3]), box=st.sampled_from(BOXES))
def test_ends_where_no_coordinate_gains_and_never_rises(method, kind, seed, l1, box):
    ours, oracle, x0 = problem(kind, seed, l1, box)
    x0 = started(oracle, x0)
    found = fr.minimize(*ours, x0, method=method, l1=l1, bounds=box, max_iter=20_000)
    assert (np.diff(found.history) <= 1e-13 * found.history[:-1]).all()
    assert found.history[0] == pytest.approx(oracle(x0), rel=1e-12)
    assert found.history[-1] == found.fun == pytest.approx(oracle(found.x), rel=1e-11)
    assert len(found.history) == found.nit + 1
    assert (oracle.low <= found.x).all()
    assert (found.x <= oracle.high).all()
    if found.success:
        assert oracle.gain(found.x) <= 1.1e-8
    else:
        # The infimum lies at infinity, or the way is long: the certificate says so.
        assert found.status == "limit"
        assert found.certificate > 1e-8
        assert found.certificate == pytest.approx(oracle.gain(found.x), rel=1e-3)


@pytest.mark.parametrize("method", ["fcd", "pcd"])
def test_sparse_recovery_and_components_are_certified(method):
    rng = np.random.default_rng(0)
    m, n, k = 60, 100, 5
    A = rng.standard_normal((m, n)) / np.sqrt(m)
    truth = np.zeros(n)
    truth[:k] = rng.choice([-1, 1], k) * (1 + rng.random(k))
    ratio = fr.LeastSquares(A, A @ truth), fr.TopK(k, 0.05)
    found = fr.minimize(*ratio, 0.1 * rng.standard_normal(n), l1=0.05, method=method)
    assert found.success
    assert found.certificate <= 1e-8
    sources = rng.laplace(size=(400, 6))
    mixed = sources @ rng.standard_normal((6, 6))
    X = np.linalg.qr(mixed - mixed.mean(axis=0))[0]
    x0 = rng.standard_normal(6)
    found = fr.minimize(fr.SquaredNorm(), fr.SquaredL4(X), x0, method=method)
    assert found.success
    assert found.certificate <= 1e-8
    identity = 2 * np.eye(6), np.zeros(6), 0.0
    assert Ratio(*identity, "squared_l4", X).gain(found.x) <= 1.1e-8


def test_methods_agree_where_the_problem_has_one_valley():
    rng = np.random.default_rng(4)
    B = rng.standard_normal((20, 6))
    Q, x0 = B.T @ B, rng.standard_normal(6)
    values = [
        fr.minimize(fr.Quadratic(2 * Q), fr.L2(squared=True), x0, method=method, tol=1e-14).fun
        for method in ("fcd", "pcd")
    ]
    np.testing.assert_allclose(values, np.linalg.eigvalsh(Q)[0], rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_layouts_and_precisions_agree(kind):
    kw = {"l1": 0.1, "max_iter": 20, "tol": 0.0}
    ours, _, x0 = problem(kind, 3)
    reference = fr.minimize(*ours, x0, **kw)
    for layout in (np.ascontiguousarray, lambda A: np.repeat(A, 2, axis=1)[:, ::2]):
        ours, _, _ = problem(kind, 3, layout=layout)
        assert (fr.minimize(*ours, x0, **kw).x == reference.x).all()
    for layout in (sparse.csc_matrix, sparse.csr_array):
        ours, _, _ = problem(kind, 3, layout=layout)
        np.testing.assert_allclose(fr.minimize(*ours, x0, **kw).fun, reference.fun, rtol=1e-9)
    ours, _, _ = problem(kind, 3, layout=lambda A: A.astype(np.float32))
    np.testing.assert_allclose(fr.minimize(*ours, x0, **kw).fun, reference.fun, rtol=1e-4)


@pytest.mark.parametrize("selection", ["cyclic", "shuffled", "random"])
@pytest.mark.parametrize("method", ["fcd", "pcd"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_in_parts_equals_one_run(kind, method, selection):
    ours, _, x0 = problem(kind, 8)
    kw = {"method": method, "l1": 0.1, "selection": selection, "seed": 3, "tol": 1e-10}
    whole = fr.minimize(*ours, x0, max_iter=9, **kw)
    x, first = x0, 0
    for sweeps in (1, 4, 4):
        part = fr.minimize(*ours, x, max_iter=sweeps, first_sweep=first, **kw)
        x, first = part.x, first + part.nit
        if part.success:
            break
    assert (x == whole.x).all()
    assert part.fun == whole.fun
    assert part.certificate == whole.certificate


def test_orders_are_seeded():
    ours, _, x0 = problem("l2", 1)
    runs = [
        fr.minimize(*ours, x0, selection="random", seed=seed, max_iter=1, tol=0.0).x
        for seed in (0, 0, 1)
    ]
    assert (runs[0] == runs[1]).all()
    assert (runs[0] != runs[2]).any()


def test_callback_stops_and_errors_pass_through():
    ours, _, x0 = problem("top_k", 0)
    rows = []

    def stop(progress):
        rows.append(progress)
        return len(rows) == 3

    found = fr.minimize(*ours, x0, l1=0.2, tol=0.0, callback=stop)
    assert found.status == "stopped"
    assert found.nit == 3
    assert "callback" in found.message
    assert [row["objective"] for row in rows] == list(found.history[1:])
    assert found.certificate >= 0

    def fail(progress):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        fr.minimize(*ours, x0, callback=fail)


def big():
    rng = np.random.default_rng(0)
    A = np.asfortranarray(rng.standard_normal((500, 1000)))
    return (fr.LeastSquares(A, rng.standard_normal(500)), fr.L1(A)), rng.standard_normal(1000)


def test_time_limit_ends_the_run():
    ours, x0 = big()
    found = fr.minimize(*ours, x0, tol=0.0, max_iter=10**6, time_limit=0.05)
    assert found.status == "time"
    assert found.certificate > 0
    assert not found.success


@pytest.mark.skipif(os.name == "nt", reason="no signals to a thread")
def test_ctrl_c_returns_what_there_is():
    ours, x0 = big()
    timer = threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    found = fr.minimize(*ours, x0, tol=0.0, max_iter=10**6)
    timer.join()
    assert found.status == "interrupted"
    assert np.isnan(found.certificate)
    assert found.fun < found.history[0]
    assert np.isfinite(found.x).all()


def test_theta_shortens_steps():
    ours, _, x0 = problem("l2", 5)
    low, high = x0.copy(), x0.copy()
    low[0], high[0] = -np.inf, np.inf
    kw = {"bounds": (low, high), "tol": 0.0, "max_iter": 1}
    steps = [abs(fr.minimize(*ours, x0, theta=theta, **kw).x - x0)[0] for theta in (0, 1, 1e3)]
    assert steps[0] > steps[1] > steps[2] > 0


def test_verbose_prints_a_line_a_sweep(capsys):
    ours, _, x0 = problem("l2", 5)
    found = fr.minimize(*ours, x0, verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == found.nit
    assert all(line.startswith("sweep ") for line in lines)


def test_the_start_is_left_alone():
    ours, _, x0 = problem("l1", 0)
    before = x0.copy()
    found = fr.minimize(*ours, x0, max_iter=2)
    assert (x0 == before).all()
    assert found.x is not x0


def test_a_perfect_fit_ends_at_zero():
    A = np.eye(4)[:, :3]
    found = fr.minimize(fr.LeastSquares(A, A @ [1.0, 2.0, 0.0]), fr.L2(), [1.0, 1.0, 1.0])
    assert found.success
    assert found.fun <= 1e-25


def test_a_minimiser_at_infinity_is_approached():
    # x' diag(1, 2) x / ||x||^2 along the first coordinate falls to 1 at infinity.
    found = fr.minimize(fr.Quadratic(np.diag([2.0, 4.0])), fr.L2(squared=True), [0.0, 1.0])
    assert found.success
    assert found.fun == pytest.approx(1.0, rel=1e-12)


A = np.asfortranarray(np.random.default_rng(0).standard_normal((4, 3)))
LS = fr.LeastSquares(A, np.ones(4))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: fr.minimize(LS, fr.TopK(1), np.zeros(3)), "denominator at x0 must be > 0"),
        (lambda: fr.minimize(LS, fr.SquaredL4(A), np.zeros(3)), "denominator at x0 must be > 0"),
        (lambda: fr.minimize(LS, fr.Lowest(A, -np.ones(4)), np.zeros(3)), "got -1"),
        (lambda: fr.minimize(LS, fr.TopK(4), np.ones(3)), r"k must be in \[1, 3\], got 4"),
        (lambda: fr.TopK(0), "k must be >= 1"),
        (lambda: fr.TopK(1, 0.0), "scale must be in"),
        (lambda: fr.minimize(LS, fr.L2(), np.ones(2)), "does not match the numerator"),
        (lambda: fr.minimize(LS, fr.L2(A[:, :2]), np.ones(3)), "does not match the denominator"),
        (lambda: fr.minimize(LS, fr.L2(), [1.0, np.nan, 1.0]), "x0 holds NaN"),
        (lambda: fr.minimize(LS, fr.L2(), np.zeros(0)), "does not match|at least one"),
        (lambda: fr.minimize(LS, fr.L2(), np.ones((3, 1))), "x0 must be a 1-D array"),
        (lambda: fr.LeastSquares(A, np.ones(3)), "y of shape"),
        (lambda: fr.LeastSquares(A, [1.0, 2.0, np.inf, 0.0]), "y holds NaN or infinity"),
        (lambda: fr.LeastSquares(np.full((2, 2), np.nan), [1.0, 1.0]), "A holds NaN"),
        (lambda: fr.L1(np.full((2, 2), np.inf)), "D holds NaN or infinity"),
        (lambda: fr.Quadratic(np.ones((2, 3))), "square"),
        (lambda: fr.Quadratic(np.triu(np.ones((2, 2)))), "Q must be symmetric"),
        (lambda: fr.Quadratic(np.eye(2), constant=np.nan), "constant must be finite"),
        (lambda: fr.minimize(fr.Quadratic(-np.eye(2)), fr.L2(), [1.0, 1.0]), "curvature"),
        (
            lambda: fr.minimize(fr.Quadratic(np.eye(2), [9.0, 0]), fr.L2(), [-1.0, 1.0]),
            "numerator at x0 must be >= 0",
        ),
        (
            lambda: fr.minimize(fr.Quadratic(np.eye(2), [9.0, 0]), fr.L2(), [1.0, 1.0]),
            "numerator must be >= 0 everywhere",
        ),
        (
            lambda: fr.minimize(fr.LeastSquares(np.diag([1.0, 0]), [1, 1]), fr.L2(), [1.0, 1]),
            "coordinate 1 must be > 0 without bounds, got 0; the ratio has no minimizer",
        ),
        (lambda: fr.minimize(LS, fr.L2(), np.ones(3), bounds=(2, 3)), r"x0\[0\] must be inside"),
        (lambda: fr.minimize(LS, fr.L2(), np.ones(3), bounds=(1, 0)), r"bounds\[0\] must be low"),
        (lambda: fr.minimize(LS, fr.L2(), np.ones(3), bounds=(np.zeros(2), 1)), "bounds"),
        (lambda: fr.minimize(LS, fr.L2(), np.ones(3), l1=-1), "l1 must be in"),
        (lambda: fr.minimize(LS, fr.L2(), np.ones(3), l1=np.inf), "l1 must be in"),
        (lambda: fr.minimize(LS, fr.L2(), np.ones(3), theta=np.nan), "theta must be in"),
        (lambda: fr.minimize(LS, fr.L2(), np.ones(3), method="cd"), "method must be one of"),
        (lambda: fr.minimize(LS, fr.L2(), np.ones(3), selection="greedy"), "selection must"),
        (lambda: fr.minimize(LS, fr.L2(), np.ones(3), max_iter=0), "max_iter must be >= 1"),
        (lambda: fr.minimize(LS, fr.L2(), np.ones(3), tol=-1), "tol must be in"),
        (lambda: fr.minimize(LS, fr.L2(), np.ones(3), time_limit=-1), "time_limit must be in"),
        (lambda: fr.Lowest(np.zeros((0, 2))), "at least one row"),
        (lambda: fr.Lowest(A, np.ones(3)), "offset of shape"),
    ],
)
def test_refuses(call, match):
    with pytest.raises(ValueError, match=match):
        call()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: fr.minimize(A, fr.L2(), np.ones(3)), "numerator must be LeastSquares"),
        (lambda: fr.minimize(LS, A, np.ones(3)), "denominator must be TopK"),
        (lambda: fr.LeastSquares(np.ones((2, 2), dtype=int), [1, 1]), "A must be float32"),
        (lambda: fr.TopK(1.5), "k must be an integer"),
    ],
)
def test_refuses_kinds(call, match):
    with pytest.raises(TypeError, match=match):
        call()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 5))
def test_parts_evaluate_what_they_say(seed, k):
    rng = np.random.default_rng(seed)
    D, x, y = rng.standard_normal((6, 5)), rng.standard_normal(5), rng.standard_normal(6)
    for kind in KINDS:
        offset = rng.random(6)
        oracle = Ratio(
            D.T @ D, -D.T @ y, y @ y / 2, kind, None if kind == "top_k" else D, k=k, offset=offset
        )
        n, g = oracle.parts(x, 0, x[:1])
        for layout in (np.asarray, sparse.csc_array):
            np.testing.assert_allclose(fr.LeastSquares(layout(D), y)(x), n[0], rtol=1e-9)
            np.testing.assert_allclose(made(kind, layout(D), k, offset)(x), g[0], rtol=1e-12)
    np.testing.assert_allclose(fr.Quadratic(D.T @ D, -D.T @ y, y @ y / 2)(x), n[0], rtol=1e-9)
