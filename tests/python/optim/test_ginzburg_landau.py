"""Ginzburg-Landau splitting against the plain formula, its energy, and what momentum spares."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from thalweg import steps

# Oracles: dense Laplacians, the energy and one step as the formulas say them


def line(n, periodic):
    matrix = np.zeros((n, n))
    for i in range(n if periodic and n > 2 else n - 1):
        j = (i + 1) % n
        for a, b in ((i, j), (j, i)):
            matrix[a, a] += 1
            matrix[a, b] -= 1
    return matrix


def grid(shape, periodic, spacing=1.0):
    total = np.zeros((1, 1))
    for n in shape:
        own = line(n, periodic)
        total = np.kron(total, np.eye(n)) + np.kron(np.eye(len(total)), own)
    return total / spacing**2


def well(u):
    return np.where(np.abs(u) <= 1, (u**2 - 1) ** 2 / 4, (np.abs(u) - 1) ** 2)


def slope(u):
    return np.where(np.abs(u) <= 1, u**3 - u, 2 * (u - np.sign(u)))


def energy(u, lap, eps, lam=0.0, mask=1.0, target=0.0):
    data = (mask * (u - target) ** 2).sum()
    return eps / 2 * u @ lap @ u + well(u).sum() / eps + lam / 2 * data


def plain_step(y, lap, eps, h, c=2.0, lam=0.0, mask=1.0, target=0.0, split=False):
    """Solve (1 + h (eps Lap + c/eps + lam mask)) u = y + h (W_e'(y) / eps + lam mask u0)."""
    n = len(y)
    implicit = np.ones(n) if split else np.broadcast_to(mask, n)
    matrix = (1 + h * c / eps) * np.eye(n) + h * eps * lap + h * lam * np.diag(implicit)
    right = y + h * ((c * y - slope(y)) / eps + lam * mask * target)
    if split:
        right = right + h * lam * (1 - mask) * y
    return np.linalg.solve(matrix, right)


def graph(n, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.random((n, n)) * (rng.random((n, n)) < 0.4)
    weights = np.triu(weights, 1) + np.triu(weights, 1).T
    return np.diag(weights.sum(0)) - weights


def operators(n=12):
    """Every kind of operator: what to pass, its dense matrix, whether masks are split."""
    sparse = pytest.importorskip("scipy.sparse")
    lap = graph(n)
    values, vectors = np.linalg.eigh(lap)
    return {
        "dense": (lap, lap, False),
        "sparse": (sparse.csr_matrix(lap), lap, False),
        "eigenbasis": ((values, vectors), lap, True),
        "neumann": ((3, 4), grid((3, 4), False, 0.5), True),
        "periodic": ((3, 4), grid((3, 4), True, 0.5), True),
    }


KINDS = ("dense", "sparse", "eigenbasis", "neumann", "periodic")
every_operator = pytest.mark.parametrize("kind", KINDS)


def build(kind, **options):
    operator, lap, split = operators()[kind]
    if kind in ("neumann", "periodic"):
        options = {**options, "spacing": 0.5, "boundary": kind}
    return steps.GinzburgLandau(operator, **options), lap, split


def data(kind, seed=0):
    """A mask with fractions, and a target, in the shape that the operator asks for."""
    rng = np.random.default_rng(seed)
    shape = (3, 4) if kind in ("neumann", "periodic") else (12,)
    return rng.random(shape) * (rng.random(shape) < 0.6), rng.choice([-1.0, 1.0], shape), shape


@every_operator
@pytest.mark.parametrize("h", [0.01, 1.0, 300.0])
def test_steps_follow_the_formula(kind, h):
    mask, target, shape = data(kind)
    options = {"fidelity": 3.0, "mask": mask, "target": target}
    method, lap, split = build(kind, eps=0.4, lr=h, convexity=2.5, momentum="fista", **options)
    u = np.random.default_rng(1).uniform(-2, 2, shape)
    now = last = u.ravel().copy()
    m, t, k = mask.ravel(), target.ravel(), 0
    restarts = 0
    for _ in range(15):
        value = method.step(u)
        before = energy(now, lap, 0.4, 3.0, m, t)
        ahead = now + k / (k + 3) * (now - last)
        new = plain_step(ahead, lap, 0.4, h, 2.5, 3.0, m, t, split)
        if energy(new, lap, 0.4, 3.0, m, t) > before:
            new, k = plain_step(now, lap, 0.4, h, 2.5, 3.0, m, t, split), 0
            restarts += 1
        now, last, k = new, now, k + 1
        np.testing.assert_allclose(u.ravel(), now, rtol=1e-9, atol=1e-10)
        assert value == pytest.approx(energy(now, lap, 0.4, 3.0, m, t), rel=1e-10)
    assert method.restarts == restarts


@every_operator
@pytest.mark.parametrize("h", [1e-3, 0.1, 10.0, 1e3, 1e8])
@pytest.mark.parametrize("momentum", [0.0, "fista", 0.9])
def test_the_energy_never_rises(kind, h, momentum):
    for seed, eps in ((0, 0.1), (1, 1.0), (2, 5.0)):
        mask, target, shape = data(kind, seed)
        method, lap, _ = build(
            kind, eps=eps, lr=h, momentum=momentum, fidelity=2.0, mask=mask, target=target
        )
        # Far outside [-1, 1] too.
        u = np.random.default_rng(seed).uniform(-5, 5, shape)
        old = energy(u.ravel(), lap, eps, 2.0, mask.ravel(), target.ravel())
        for _ in range(20):
            method.step(u)
            new = energy(u.ravel(), lap, eps, 2.0, mask.ravel(), target.ravel())
            assert new <= old + 1e-12 * abs(old)
            old = new


def test_less_convexity_is_refused_since_it_is_unstable():
    with pytest.raises(ValueError, match="convexity must be finite and >= 2"):
        steps.GinzburgLandau((8,), convexity=1.9)
    # The plain formula with c = 0 and a long step does raise the energy.
    lap, u = grid((8,), False), np.linspace(-2.0, 2.0, 8)
    assert energy(plain_step(u, lap, 0.1, 10.0, c=0.0), lap, 0.1) > energy(u, lap, 0.1)


@pytest.mark.parametrize("shape", [(1,), (2,), (5,), (3, 4), (1, 6), (2, 3, 4)])
@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
def test_transforms_diagonalise_the_laplacian(shape, boundary):
    method = steps.GinzburgLandau(shape, spacing=0.7, boundary=boundary)
    lap = grid(shape, boundary == "periodic", 0.7)
    if boundary == "periodic":
        for axis, n in enumerate(shape):
            if n == 2:
                # Both neighbours are the same node.
                others = [np.eye(k) if a != axis else line(2, False) for a, k in enumerate(shape)]
                extra = np.eye(1)
                for part in others:
                    extra = np.kron(extra, part)
                lap = lap + extra / 0.7**2
    u = np.random.default_rng(0).standard_normal(shape)
    method.operator.prepare(1.3, 0.9, 0.2)
    solved = method.operator.solve(u).ravel()
    np.testing.assert_allclose(1.5 * solved + 0.9 * lap @ solved, u.ravel(), atol=1e-12)
    product = method.operator.multiply(u).ravel()
    np.testing.assert_allclose(product, lap @ u.ravel(), atol=1e-12)


def test_a_truncated_basis_minimizes_within_its_span():
    lap = graph(30)
    values, vectors = np.linalg.eigh(lap)
    method = steps.GinzburgLandau((values[:6], vectors[:, :6]), eps=0.5, lr=2.0, momentum=0.0)
    u = np.random.default_rng(0).standard_normal(30)
    start = vectors[:, :6] @ (vectors[:, :6].T @ u)
    old = energy(start, lap, 0.5)
    for _ in range(30):
        method.step(u)
        assert energy(u, lap, 0.5) <= old + 1e-12
        old = energy(u, lap, 0.5)
        np.testing.assert_allclose(vectors[:, :6] @ (vectors[:, :6].T @ u), u, atol=1e-12)


# What the paper claims


def disc(n=48):
    """A disc, which shrinks to nothing: its boundary is the only energy."""
    axis = np.arange(n) - (n - 1) / 2
    return np.where(np.hypot(axis[:, None], axis) < n / 3.5, 1.0, -1.0)


def steps_until_gone(momentum, lr):
    method = steps.GinzburgLandau((48, 48), eps=2.0, lr=lr, momentum=momentum)
    u = disc()
    for count in range(1, 4000):
        if method.step(u) < 1.0:
            return count
    return 4000


def test_momentum_needs_fewer_steps():
    for lr in (2.0, 20.0):
        plain, fast = steps_until_gone(0.0, lr), steps_until_gone("fista", lr)
        assert fast <= 0.5 * plain
        assert plain < 4000


def moons(n=200, seed=0):
    rng = np.random.default_rng(seed)
    angle = np.pi * rng.random(n)
    second = np.arange(n) % 2 == 1
    points = np.stack([np.cos(angle), np.sin(angle)], 1)
    points[second] = np.array([1.0, 0.5]) - points[second]
    points += 0.08 * rng.standard_normal((n, 2))
    distances = ((points[:, None] - points) ** 2).sum(-1)
    near = np.argsort(distances, axis=1)[:, 1:11]
    weights = np.zeros((n, n))
    for i, row in enumerate(near):
        weights[i, row] = np.exp(-distances[i, row] / 0.05)
    weights = np.maximum(weights, weights.T)
    return np.diag(weights.sum(0)) - weights, np.where(second, 1.0, -1.0)


def test_two_moons_from_a_few_labels():
    lap, truth = moons()
    mask = np.zeros(200)
    mask[:6] = 1
    results = []
    for momentum in (0.0, "fista"):
        method = steps.GinzburgLandau(
            lap, eps=1.0, lr=5.0, momentum=momentum, fidelity=50.0, mask=mask, target=truth * mask
        )
        results.append(method.minimize(truth * mask, tol=1e-5, max_iter=2000))
    for result in results:
        assert result.success
        assert (np.sign(result.x) == truth).mean() >= 0.95
    assert results[1].nit <= results[0].nit


# Arrays, checkpoints, copies, refusals


@every_operator
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_resumes_and_copies(kind, dtype):
    mask, target, shape = data(kind)

    def make():
        options = {"fidelity": 1.0, "mask": mask, "target": target}
        return build(kind, eps=0.7, lr=3.0, **options)[0]

    method = make()
    u = np.random.default_rng(3).uniform(-1, 1, shape).astype(dtype)
    for _ in range(5):
        method.step(u)
    loaded = make()
    loaded.lr = 1.0
    loaded.load_state_dict(pickle.loads(pickle.dumps(method.state_dict())))
    others = [loaded, copy.deepcopy(method), pickle.loads(pickle.dumps(method))]
    twins = [u.copy() for _ in others]
    for _ in range(6):
        value = method.step(u)
        for other, v in zip(others, twins, strict=True):
            assert other.step(v) == value
            assert v.tobytes() == u.tobytes()
    assert u.dtype == dtype


def test_float32_is_close_to_float64():
    u, v = disc(16), disc(16).astype(np.float32)
    one, two = (steps.GinzburgLandau((16, 16), eps=1.5, lr=2.0) for _ in range(2))
    for _ in range(10):
        one.step(u)
        two.step(v)
    np.testing.assert_allclose(v, u, atol=1e-4)


def test_strided_arrays_are_written_in_place():
    u = disc(16)
    wide = np.zeros((16, 32))
    wide[:, ::2] = u
    one, two = (steps.GinzburgLandau((16, 16), lr=2.0) for _ in range(2))
    view = wide[:, ::2]
    for _ in range(4):
        one.step(u)
        two.step(view)
    assert (wide[:, ::2] == u).all()
    assert (wide[:, 1::2] == 0).all()


def test_hyperparameters_may_change_between_steps():
    u = disc(12).ravel()
    method = steps.GinzburgLandau(grid((12, 12), False), lr=1.0, momentum=0.0)
    method.step(u)
    method.lr = 7.0
    expected = plain_step(u, grid((12, 12), False), 1.0, 7.0)
    method.step(u)
    np.testing.assert_allclose(u, expected, rtol=1e-10)


def test_minimize_leaves_its_start_and_says_how_it_ended():
    u = disc(12)
    before = u.copy()
    method = steps.GinzburgLandau((12, 12), lr=5.0)
    short = method.minimize(u, max_iter=2)
    assert (u == before).all()
    assert (short.success, short.status, short.nit) == (False, 2, 2)
    long = steps.GinzburgLandau((12, 12), lr=5.0).minimize(u, max_iter=5000)
    assert (long.success, long.status) == (True, 0)
    assert long.fun == pytest.approx(method.energy(long.x))
    assert long.fun <= short.fun


def test_a_step_that_raises_changes_nothing():
    u = disc(6)
    method = steps.GinzburgLandau((6, 6))
    method.step(u)
    before, state = u.copy(), pickle.dumps(method.state_dict())
    bad = u.copy()
    bad[2, 2] = np.nan
    with pytest.raises(ValueError, match="u must be finite"):
        method.step(bad)
    with pytest.raises(ValueError, match=r"u must be of shape \(6, 6\), got \(5, 6\)"):
        method.step(u[:5])
    with pytest.raises(ValueError, match="u must stay finite"):
        method.step(np.full((6, 6), 1e200))
    method.lr = -1.0
    with pytest.raises(ValueError, match="lr must be finite and > 0"):
        method.step(u)
    method.lr = 1.0
    assert (u == before).all()
    assert pickle.dumps(method.state_dict()) == state


@pytest.mark.parametrize(
    ("arguments", "options", "match"),
    [
        ((8,), {"eps": 0.0}, "eps must be finite and > 0"),
        ((8,), {"momentum": 1.0}, r"momentum must be 'fista' or in \[0, 1\)"),
        ((8,), {"momentum": -0.5}, "momentum must be finite and >= 0"),
        ((8,), {"fidelity": -1.0}, "fidelity must be finite and >= 0"),
        ((8,), {"fidelity": 1.0}, "target must be given"),
        ((8,), {"mask": np.full(8, 2.0)}, r"mask must be in \[0, 1\]"),
        ((8,), {"mask": np.ones(7)}, r"mask must be of shape \(8,\), got \(7,\)"),
        ((8,), {"target": np.full(8, np.nan)}, "target must be finite"),
        ((8,), {"boundary": "dirichlet"}, "boundary must be one of 'neumann', 'periodic'"),
        ((8,), {"spacing": 0.0}, "spacing must be finite and > 0"),
        ((0,), {}, "sides >= 1"),
        (np.ones((2, 3)), {}, r"laplacian must be square, got shape \(2, 3\)"),
        (np.array([[1.0, 2.0], [0.0, 1.0]]), {}, "laplacian must be symmetric"),
        (-np.eye(3), {}, "laplacian must have eigenvalues >= 0"),
        ((np.ones(2), np.ones((3, 2))), {}, "orthonormal eigenvectors"),
        ((np.ones(2), np.ones((3, 3))), {}, "must be .k values, n x k vectors."),
    ],
)
def test_refuses(arguments, options, match):
    with pytest.raises(ValueError, match=match):
        steps.GinzburgLandau(arguments, **options)


def test_refuses_types():
    with pytest.raises(TypeError, match="momentum must be a number"):
        steps.GinzburgLandau((8,), momentum="heavy")
    with pytest.raises(TypeError, match=r"u\[0\] must be float32 or float64, got int64"):
        steps.GinzburgLandau((8,)).step(np.ones(8, np.int64))
