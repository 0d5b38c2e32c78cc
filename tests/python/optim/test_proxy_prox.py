"""ProxyProx against closed forms, and that it spares gradients of the dear function."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from optim import rounds
from torch.nn import Parameter

from thalweg import optim, steps

# Quadratics: f = x'Ax/2 - b'x, h = x'Hx/2 - c'x


def spd(seed, n, low, high):
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    return q @ np.diag(np.geomspace(low, high, n)) @ q.T


def quadratic(matrix, vector, p):
    a, b = torch.tensor(matrix, dtype=p.dtype), torch.tensor(vector, dtype=p.dtype)
    return lambda: p @ a @ p / 2 - b @ p


def exact_round(x, eta, A, b, H):
    """Minimize over y <Ax - b - (Hx - c), y> + y'Hy/2 - c'y + |y - x|^2 / (2 eta); c cancels."""
    return x - np.linalg.solve(H + np.eye(len(x)) / eta, A @ x - b)


@pytest.mark.parametrize("kind", ["default", "sgd", "numpy", "numpy rule"])
def test_a_solved_round_is_the_closed_form(kind):
    rng = np.random.default_rng(0)
    A, H = spd(1, 6, 1, 10), spd(2, 6, 0.5, 8)
    b, c, x = rng.standard_normal((3, 6))
    expected = x.copy()
    options = {"eta": 0.7, "tol": 1e-13, "max_inner": 3000}
    if kind.startswith("numpy"):
        inner = steps.SGD(lr=0.1) if "rule" in kind else None
        method, array = steps.ProxyProx(inner=inner, **options), x.copy()
        for _ in range(3):
            expected = exact_round(expected, 0.7, A, b, H)
            method.step([array], lambda p: [A @ p[0] - b], lambda p: [H @ p[0] - c])
            np.testing.assert_allclose(array, expected, rtol=1e-10, atol=1e-11)
        return
    p = Parameter(torch.tensor(x))
    base = torch.optim.SGD([p], lr=0.1) if kind == "sgd" else [p]
    optimizer = optim.ProxyProx(base, **options)
    for _ in range(3):
        expected = exact_round(expected, 0.7, A, b, H)
        optimizer.step(quadratic(A, b, p), quadratic(H, c, p))
        np.testing.assert_allclose(p.detach().numpy(), expected, rtol=1e-10, atol=1e-11)


def test_groups_have_their_own_eta():
    rng = np.random.default_rng(4)
    A, H = spd(1, 6, 1, 10), spd(2, 6, 0.5, 8)
    b, x = rng.standard_normal((2, 6))
    etas = np.repeat([0.2, 3.0], 3)
    p, q = (Parameter(torch.tensor(part)) for part in (x[:3], x[3:]))
    groups = [{"params": [p], "eta": 0.2}, {"params": [q], "eta": 3.0}]
    optimizer = optim.ProxyProx(torch.optim.SGD(groups, lr=0.1), tol=1e-13, max_inner=3000)

    def value(matrix):
        joined = torch.cat([p, q])
        return joined @ torch.tensor(matrix) @ joined / 2 - torch.tensor(b) @ joined

    optimizer.step(lambda: value(A), lambda: value(H))
    expected = x - np.linalg.solve(H + np.diag(1 / etas), A @ x - b)
    np.testing.assert_allclose(torch.cat([p, q]).detach(), expected, rtol=1e-9)


def test_without_a_proxy_it_is_gradient_descent():
    A, x = spd(1, 5, 1, 10), np.arange(5.0)
    p = Parameter(torch.tensor(x))
    optimizer = optim.ProxyProx([p], eta=0.05, tol=1e-14, max_inner=1000)
    optimizer.step(quadratic(A, np.zeros(5), p), lambda: 0.0 * p.sum())
    np.testing.assert_allclose(p.detach(), x - 0.05 * A @ x, rtol=1e-10)


def test_the_stop_rule_holds_where_it_ends():
    A, H, b = spd(1, 8, 1, 50), spd(2, 8, 1, 60), np.ones(8)
    p = Parameter(torch.tensor(np.linspace(-1, 2, 8)))
    x = p.detach().numpy().copy()
    optimizer = optim.ProxyProx([p], eta=0.5, tol=0.1)
    calls = []
    optimizer.step(quadratic(A, b, p), lambda: calls.append(0) or quadratic(H, np.zeros(8), p)())
    y = p.detach().numpy()
    gradient = A @ x - b - H @ x + H @ y + (y - x) / 0.5
    assert np.linalg.norm(gradient) <= 0.1 * np.linalg.norm(y - x) / 0.5 * (1 + 1e-9)
    assert 1 <= optimizer.inner_steps < 100
    assert len(calls) == optimizer.inner_steps + 1


def test_max_inner_bounds_the_calls():
    p = Parameter(torch.ones(4, dtype=torch.float64))
    calls = []
    optimizer = optim.ProxyProx([p], eta=10.0, tol=0.0, max_inner=7)
    optimizer.step(lambda: p.square().sum(), lambda: calls.append(0) or 2 * p.square().sum())
    assert len(calls) == optimizer.inner_steps == 7


# What the paper claims


def needed(advance, gap, target, most):
    for count in range(most):
        if gap() <= target:
            return count
        advance()
    return most


def test_few_gradients_suffice_where_the_difference_is_smooth():
    n, L, delta = 30, 1000.0, 0.5
    A = spd(5, n, 1, L)
    H = A + delta * spd(6, n, 0.1, 1)
    b = np.random.default_rng(7).standard_normal(n)
    solution = np.linalg.solve(A, b)

    def gap(x):
        return (x - solution) @ A @ (x - solution)

    first = gap(np.zeros(n))
    x = np.zeros(n)
    method = steps.ProxyProx(eta=1 / delta, tol=0.1, max_inner=2000)
    ours = needed(
        lambda: method.step([x], lambda p: [A @ p[0] - b], lambda p: [H @ p[0]]),
        lambda: gap(x), 1e-8 * first, 200,
    )  # fmt: skip
    y = np.zeros(n)

    def descend():
        y[:] -= (A @ y - b) / L

    theirs = needed(descend, lambda: gap(y), 1e-8 * first, 5000)
    assert ours <= 40
    assert theirs >= 20 * ours


def test_beats_sgd_by_gradients_of_the_dear_function():
    n, budget = 20, 150
    A = spd(8, n, 0.5, 400)
    H = A + 0.3 * spd(9, n, 0.1, 1)
    rng = np.random.default_rng(10)
    b = rng.standard_normal(n)
    solution = np.linalg.solve(A, b)
    noise = 0.01 * rng.standard_normal((budget, n))

    def gap(p):
        x = p.detach().numpy() - solution
        return x @ A @ x

    def dear(p, k):
        return lambda: quadratic(A, b + noise[k], p)()

    def fresh():
        return Parameter(torch.zeros(n, dtype=torch.float64))

    first = gap(fresh())
    p = fresh()
    optimizer = optim.ProxyProx([p], eta=1.0, tol=0.1, max_inner=1000)
    for k in range(budget):
        optimizer.step(dear(p, k), quadratic(H, np.zeros(n), p))
    best = np.inf
    for lr in np.geomspace(1e-4, 4.9e-3, 8):
        q = fresh()
        sgd = torch.optim.SGD([q], lr=lr)
        for k in range(budget):
            sgd.zero_grad()
            dear(q, k)().backward()
            sgd.step()
        best = min(best, gap(q))
    assert gap(p) <= 1e-2 * first
    assert gap(p) <= 0.1 * best


# Closures, checkpoints, copies


def adaptive(params):
    return optim.ProxyProx(params, eta=0.8)


def adam(params):
    return optim.ProxyProx(torch.optim.Adam(params, lr=0.05), eta=0.8, max_inner=6)


def native(params):
    return optim.ProxyProx(optim.AdamW(params, lr=0.05), eta=0.8, max_inner=6)


def advance(optimizer, first, second):
    optimizer.step(first, second)


makers = pytest.mark.parametrize("make", [adaptive, adam, native])


@makers
@pytest.mark.parametrize("kind", rounds.FAILURES)
@pytest.mark.parametrize(("which", "call"), [(0, 1), (1, 1), (1, 3)])
def test_a_failing_closure_changes_nothing(make, kind, which, call):
    rounds.assert_fails_whole(make, advance, which, call, kind)


@makers
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_resumes_exactly(make, dtype):
    rounds.assert_resumes(make, advance, dtype)


@makers
def test_copies_and_pickles(make):
    rounds.assert_copies(make, advance)


@makers
def test_what_has_no_gradient_stays(make):
    rounds.assert_skips_what_has_no_gradient(make, advance)


@makers
def test_schedulers(make):
    rounds.assert_works_with_a_scheduler(make, advance)


@makers
def test_returns_the_dear_loss(make):
    params = rounds.leaves()
    first, second = rounds.closures(params)
    expected = first().item()
    assert float(make(params).step(first, second)) == expected


def test_diverging_inner_steps_are_an_error():
    params = rounds.leaves()
    optimizer = optim.ProxyProx(torch.optim.SGD(params, lr=1e30), max_inner=50)
    before = rounds.everything(optimizer, params)
    with pytest.raises(ValueError, match="finite"):
        optimizer.step(*rounds.closures(params))
    assert rounds.everything(optimizer, params) == before


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"eta": 0.0}, "eta must be finite and > 0, got 0.0"),
        ({"eta": float("nan")}, "eta must be finite"),
        ({"tol": -1.0}, "tol must be finite and >= 0"),
        ({"max_inner": 0}, "max_inner must be an int >= 1"),
        ({"max_inner": 2.5}, "max_inner must be an int >= 1"),
    ],
)
def test_refuses_hyperparameters(options, match):
    params = rounds.leaves()
    with pytest.raises(ValueError, match=match):
        optim.ProxyProx(params, **options)
    with pytest.raises(ValueError, match=match):
        steps.ProxyProx(**options)
    optimizer = optim.ProxyProx(params)
    optimizer.param_groups[0].update(options)
    with pytest.raises(ValueError, match=match):
        optimizer.step(*rounds.closures(params))


def test_refuses_a_missing_closure():
    params = rounds.leaves()
    optimizer = optim.ProxyProx(params)
    with pytest.raises(TypeError, match="closure must be a function"):
        optimizer.step()
    with pytest.raises(TypeError, match="closure must be a function"):
        optimizer.step(rounds.closures(params)[0])
    with pytest.raises(TypeError, match="inner must be a rule"):
        steps.ProxyProx(inner=torch.optim.SGD(params, lr=0.1))


# numpy


def slopes(A, b):
    return lambda p: [A @ p[0] - b, None]


@pytest.mark.parametrize("inner", [None, lambda: steps.Adam(lr=0.05)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numpy_resumes_copies_and_fails_whole(inner, dtype):
    A, H, b = (m.astype(dtype) for m in (spd(1, 5, 1, 10), spd(2, 5, 1, 8), np.ones(5)))

    def make():
        return steps.ProxyProx(eta=0.5, inner=inner and inner(), max_inner=20)

    def run(method, x, count):
        for _ in range(count):
            method.step(x, slopes(A, b), slopes(H, 0 * b))

    x = [np.linspace(-1, 1, 5).astype(dtype), np.ones(2, dtype)]
    method = make()
    run(method, x, 3)
    others = [(pickle.loads(pickle.dumps(method)), copy.deepcopy(x))]
    others.append((copy.deepcopy(method), copy.deepcopy(x)))
    loaded = make()
    loaded.load_state_dict(pickle.loads(pickle.dumps(method.state_dict())))
    others.append((loaded, copy.deepcopy(x)))

    calls = []

    def fails(p):
        calls.append(0)
        return [H @ p[0] * (np.nan if len(calls) == 3 else 1), None]

    before = [a.tobytes() for a in x]
    with pytest.raises(ValueError, match="proxy must return finite gradients"):
        method.step(x, slopes(A, b), fails)
    assert [a.tobytes() for a in x] == before
    run(method, x, 4)
    for other, y in others:
        run(other, y, 4)
        assert [a.tobytes() for a in y] == [a.tobytes() for a in x]
    assert x[0].dtype == dtype
    assert (x[1] == 1).all()


def test_numpy_refuses():
    x = [np.ones(3)]
    method = steps.ProxyProx()
    good = lambda p: [p[0]]  # noqa: E731
    with pytest.raises(TypeError, match="gradient must be a function"):
        method.step(x, None, good)
    with pytest.raises(TypeError, match="must be a list of numpy arrays"):
        method.step(np.ones(3), good, good)
    with pytest.raises(TypeError, match="must be float32 or float64, got int64"):
        method.step([np.ones(3, int)], good, good)
    with pytest.raises(ValueError, match="gradient must return 1 arrays, got 2"):
        method.step(x, lambda p: [p[0], p[0]], good)
    with pytest.raises(ValueError, match="proxy must return an array of shape"):
        method.step(x, good, lambda p: [p[0][:2]])
    with pytest.raises(ValueError, match="state_dict must be of ProxyProx"):
        method.load_state_dict({**method.state_dict(), "method": "ModelBased"})
    with pytest.raises(ValueError, match="the same inner rule"):
        method.load_state_dict(steps.ProxyProx(inner=steps.SGD()).state_dict())
    assert (x[0] == 1).all()
