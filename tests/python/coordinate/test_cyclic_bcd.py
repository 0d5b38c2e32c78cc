"""P-CCD and VRO-CCD on arrays and on torch groups."""

import copy

import numpy as np
import pytest

from thalweg.coordinate import cyclic_bcd

N, D, M, LAM = 1000, 40, 4, 0.01
K = D // M


def sigmoid_problem(seed=0):
    """Mean of 1 / (1 + exp(y a.x)), not convex, plus an l1 norm; blocks of different scale."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((N, D)) * np.repeat([3.0, 1.0, 0.5, 0.2], K)
    w = rng.standard_normal(D) * (rng.random(D) < 0.3)
    y = np.where(A @ w + 0.5 * rng.standard_normal(N) > 0, 1.0, -1.0)
    # The second derivative of the sigmoid is at most 0.0963.
    lipschitz = [0.0963 * np.linalg.norm(A[:, j * K : j * K + K], 2) ** 2 / N for j in range(M)]
    return A, y, lipschitz


A, Y, LIPSCHITZ = sigmoid_problem()
START = [np.zeros(K) for _ in range(M)]


def slopes(x, rows):
    s = 1 / (1 + np.exp(np.clip(Y[rows] * (A[rows] @ x), -50, 50)))
    return -Y[rows] * s * (1 - s) / len(s)


def grad(blocks, j, samples):
    rows = slice(None) if samples is None else samples
    return A[rows, j * K : j * K + K].T @ slopes(np.concatenate(blocks), rows)


def shrink(v, step):
    return np.sign(v) * np.maximum(np.abs(v) - LAM * step, 0)


def objective(blocks):
    x = np.concatenate(blocks)
    return np.mean(1 / (1 + np.exp(Y * (A @ x)))) + LAM * np.abs(x).sum()


def stationarity(x):
    total = 0.0
    for j, lam in enumerate(LIPSCHITZ):
        block = x[j * K : j * K + K]
        step = shrink(block - grad(np.split(x, M), j, None) / lam, 1 / lam) - block
        total += lam * step @ step
    return np.sqrt(total)


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_pccd_falls_monotonically_to_a_stationary_point(eta):
    found = cyclic_bcd(
        grad, START, LIPSCHITZ, prox=shrink, fun=objective, method="pccd", eta=eta, tol=1e-6
    )
    assert found.success
    values = [objective(START)] + [row["objective"] for row in found.history]
    assert (np.diff(values) <= 1e-15).all()
    assert stationarity(np.concatenate(found.blocks)) <= 1e-5


def test_one_cycle_is_the_formula():
    found = cyclic_bcd(grad, START, LIPSCHITZ, prox=shrink, method="pccd", eta=0.7, max_iter=1)
    blocks = [block.copy() for block in START]
    for j, lam in enumerate(LIPSCHITZ):
        blocks[j] = shrink(blocks[j] - 0.7 / lam * grad(blocks, j, None), 0.7 / lam)
    np.testing.assert_allclose(np.concatenate(found.blocks), np.concatenate(blocks), rtol=1e-14)


def test_variance_reduction_with_all_copies_kept():
    """The recursion from one spare copy is the one from all intermediate points."""
    found = cyclic_bcd(
        grad, START, LIPSCHITZ, n_samples=N, small_batch_size=50, eta=0.5, max_iter=8, seed=3
    )
    from thalweg.coordinate._cycles import Cycles

    cycles = Cycles("vro", N, None, 50, None, 3)
    blocks, points, g = [b.copy() for b in START], {}, {}
    coins = []
    for t in range(8):
        coins.append(cycles.anew(t))
        for j, lam in enumerate(LIPSCHITZ):
            samples = cycles.samples(t, j, coins[-1])
            if coins[-1]:
                g[j] = grad(blocks, j, samples)
            else:
                g[j] = g[j] + grad(blocks, j, samples) - grad(points[t - 1, j], j, samples)
            points[t, j] = [b.copy() for b in blocks]
            blocks[j] = blocks[j] - 0.5 / lam * g[j]
    assert coins[0]
    assert not all(coins)
    np.testing.assert_allclose(np.concatenate(found.blocks), np.concatenate(blocks), atol=1e-13)
    assert found.n_gradients == sum(N if coin else 100 for coin in coins)


def sgd_gradients(target, budget, step, decay, seed=0, batch=32):
    """Component gradients that proximal SGD takes to the target, or the budget."""
    rng = np.random.default_rng(seed)
    x, lam = np.zeros(D), 0.0963 * np.linalg.norm(A, 2) ** 2 / N
    for t in range(budget // batch):
        rows = rng.integers(0, N, batch)
        eta = step / lam / np.sqrt(1 + decay * t)
        x = shrink(x - eta * (A[rows].T @ slopes(x, rows)), eta)
        if t % 10 == 0 and stationarity(x) <= target:
            return t * batch
    return budget


def test_vro_takes_fewer_gradients_than_sgd():
    target = 1e-2
    found = cyclic_bcd(
        grad, START, LIPSCHITZ, prox=shrink, n_samples=N, eta=0.5, tol=target, max_iter=5000
    )
    assert found.success
    assert stationarity(np.concatenate(found.blocks)) <= 1.5 * target
    budget = int(4 * found.n_gradients)
    for step in (1.0, 0.3, 0.1):
        for decay in (0.0, 0.1):
            assert sgd_gradients(target, budget, step, decay) > 2 * found.n_gradients


def test_it_resumes_exactly_and_depends_on_the_seed():
    def run(**more):
        return cyclic_bcd(grad, START, LIPSCHITZ, n_samples=N, eta=0.5, tol=0.0, **more)

    whole = run(max_iter=9, seed=5)
    first = run(max_iter=4, seed=5)
    rest = run(max_iter=5, seed=5, state=copy.deepcopy(first.state))
    np.testing.assert_array_equal(np.concatenate(whole.blocks), np.concatenate(rest.blocks))
    assert rest.n_gradients == whole.n_gradients
    assert rest.state["cycles"] == 9
    other = run(max_iter=9, seed=6)
    assert (np.concatenate(other.blocks) != np.concatenate(whole.blocks)).any()
    with pytest.raises(ValueError, match="same settings"):
        run(max_iter=1, seed=6, state=first.state)
    with pytest.raises(TypeError, match="state must be the state"):
        run(max_iter=1, seed=6, state={})


def test_metrics_of_every_kind():
    B = np.random.default_rng(1).standard_normal((30, 6))
    target = np.arange(6.0)
    hessian = B.T @ B / 30

    def quadratic(blocks, j, samples):
        return (hessian @ (np.concatenate(blocks) - target))[3 * j : 3 * j + 3]

    first, second = hessian[:3, :3], hessian[3:, 3:]
    diagonal = np.full(3, np.linalg.norm(second, 2))
    found = cyclic_bcd(
        quadratic,
        [np.zeros(3), np.zeros(3)],
        [first, diagonal],
        method="pccd",
        tol=1e-10,
        max_iter=5000,
    )
    assert found.success
    np.testing.assert_allclose(np.concatenate(found.blocks), target, atol=1e-7)
    # The whole matrix is Newton's step in its block: one cycle solves a single block.
    newton = cyclic_bcd(
        lambda b, j, s: first @ (b[0] - target[:3]), [np.zeros(3)], [first], method="pccd"
    )
    np.testing.assert_allclose(newton.blocks[0], target[:3], atol=1e-12)
    assert newton.n_iter == 2


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"x0": []}, ValueError, "at least one block"),
        ({"x0": [np.ones(0)] * 4}, ValueError, "must not be empty"),
        ({"lipschitz": 0.0}, ValueError, "singular"),
        ({"lipschitz": [1.0, 1.0]}, ValueError, "one entry for each of the 4 blocks"),
        ({"lipschitz": [np.zeros((K, K))] * 4}, ValueError, r"lipschitz\[0\].*singular"),
        ({"lipschitz": [np.triu(np.ones((K, K))) + np.eye(K)] * 4}, ValueError, "symmetric"),
        ({"lipschitz": [np.ones(3)] * 4}, ValueError, r"lipschitz\[0\] of shape"),
        ({"lipschitz": np.nan}, ValueError, "NaN"),
        ({"eta": 0.0}, ValueError, "eta"),
        ({"method": "other"}, ValueError, "vro, pccd"),
        ({"n_samples": None}, ValueError, "n_samples must be given"),
        ({"batch_size": N + 1}, ValueError, "batch_size must be <= 1000"),
        ({"probability": 0.0}, ValueError, "probability"),
        ({"method": "pccd", "batch_size": 3}, ValueError, "must be None with method='pccd'"),
        ({"prox": 3}, TypeError, "prox must be a function"),
        ({"prox": lambda v, step: v[:2]}, ValueError, "prox of block 0 of shape"),
        ({"grad": lambda b, j, s: b[j] * np.nan}, ValueError, "gradient of block 0 holds NaN"),
        ({"grad": lambda b, j, s: b[j][:1]}, ValueError, "grad of block 0 of shape"),
        ({"grad": None}, TypeError, "grad must be a function"),
        ({"seed": -1}, ValueError, "seed"),
    ],
)
def test_bad_input(change, error, match):
    arguments = {"grad": grad, "x0": START, "lipschitz": LIPSCHITZ, "n_samples": N, **change}
    with pytest.raises(error, match=match):
        cyclic_bcd(**arguments)
