"""Gradient sliding against its formulas, its bounds, and the calls that it spares."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from optim import rounds
from torch.nn import Parameter

from thalweg import optim, project, steps


def lan(x, gradient, subgradient, L, M, R, N, count):
    """The convex sequences in float64; each inner point solves its first-order condition.

    g + h' + beta (u - x) + beta p (u - u_prev) = 0
    """
    centre, average = x.copy(), x.copy()
    for k in range(1, count + 1):
        beta, gamma = 2 * L / k, 2 / (k + 1)
        T = math.ceil(M**2 * N * k**2 / (0.75 * R**2 * L**2))
        g = gradient((1 - gamma) * average + gamma * centre)
        u, mean = centre.copy(), np.zeros_like(x)
        points, weight = [], 1.0
        for t in range(1, T + 1):
            p = t / 2
            u = (beta * centre + beta * p * u - g - subgradient(u)) / (beta * (1 + p))
            points.append(u)
            weight *= p / (1 + p)
        # The mean that the theory names: weights 1 / ((1 + p_t) P_t), times P_T / (1 - P_T).
        P = 1.0
        for t, point in enumerate(points, 1):
            P *= (t / 2) / (1 + t / 2)
            mean += weight / (1 - weight) / ((1 + t / 2) * P) * point
        average = (1 - gamma) * average + gamma * mean
        centre = u
    return average


class Sparse:
    """f = sum w_i (x_i - b_i)^2 / 2, h = lam |x|_1: the minimiser is a soft threshold."""

    def __init__(self, n=20, low=1.0, high=20.0, lam=0.3, seed=0):
        rng = np.random.default_rng(seed)
        self.w, self.b, self.lam = np.geomspace(low, high, n), rng.standard_normal(n), lam
        shrunk = np.maximum(np.abs(self.b) - lam / self.w, 0)
        self.solution = np.sign(self.b) * shrunk
        self.L, self.mu, self.M = high, low, lam * math.sqrt(n)
        self.R = float(np.linalg.norm(self.solution))
        self.least = self.value(self.solution)

    def value(self, x):
        return float(self.w @ (x - self.b) ** 2 / 2 + self.lam * np.abs(x).sum())

    def gap(self, x):
        return self.value(x) - self.least

    def gradient(self, p):
        return [self.w * (p[0] - self.b)]

    def subgradient(self, p):
        return [self.lam * np.sign(p[0])]

    def tensors(self, p):
        w, b = torch.tensor(self.w, dtype=p.dtype), torch.tensor(self.b, dtype=p.dtype)
        return lambda: w @ (p - b) ** 2 / 2, lambda: self.lam * p.abs().sum()

    def options(self, **more):
        return {"lr": 1 / self.L, "lipschitz": self.M, "distance": self.R, **more}


def test_convex_sequences_follow_the_paper():
    task = Sparse(n=6)
    x = [np.zeros(6)]
    method = steps.GradientSliding(**task.options(horizon=12))
    p = Parameter(torch.zeros(6, dtype=torch.float64))
    optimizer = optim.GradientSliding([p], **task.options(horizon=12))
    for count in range(1, 13):
        method.step(x, task.gradient, task.subgradient)
        optimizer.step(*task.tensors(p))
        expected = lan(
            np.zeros(6), lambda u: task.gradient([u])[0], lambda u: task.subgradient([u])[0],
            task.L, task.M, task.R, 12, count,
        )  # fmt: skip
        np.testing.assert_allclose(x[0], expected, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(p.detach(), expected, rtol=1e-11, atol=1e-12)
    assert optimizer.gradient_calls == method.gradient_calls == 12
    assert optimizer.subgradient_calls == method.subgradient_calls


@pytest.mark.parametrize("horizon", [1, 2, 5, 20])
@pytest.mark.parametrize("seed", range(4))
def test_convex_bound_holds(horizon, seed):
    task = Sparse(low=0.01, seed=seed)
    x = [np.zeros(20)]
    method = steps.GradientSliding(**task.options(horizon=horizon))
    for _ in range(horizon):
        method.step(x, task.gradient, task.subgradient)
    assert task.gap(x[0]) <= 6 * task.L * task.R**2 / (horizon * (horizon + 1))


@pytest.mark.parametrize("seed", range(4))
def test_each_phase_halves_the_bound_of_the_distance(seed):
    task = Sparse(seed=seed)
    x = [np.zeros(20)]
    method = steps.GradientSliding(**task.options(mu=task.mu, sequence="multiphase"))
    length = math.ceil(4 * math.sqrt(task.L / task.mu))
    for phase in range(1, 6):
        for _ in range(length):
            method.step(x, task.gradient, task.subgradient)
        distance = ((x[0] - task.solution) ** 2).sum()
        assert distance <= task.R**2 * 0.5**phase
        assert task.gap(x[0]) <= task.mu * task.R**2 / 2 * 0.5**phase


def prox_ridge(mu):
    """Map of mu |u|^2 / 2."""
    return lambda v, step: project.prox.ridge(v, mu * step)


@pytest.mark.parametrize("seed", range(4))
def test_the_restart_free_bound_holds(seed):
    # chi = mu |u|^2 / 2; f = sum w (u - b)^2 / 2 with w down to 0, h = lam |u|_1.
    rng = np.random.default_rng(seed)
    n, mu, L, lam = 15, 1.0, 25.0, 0.2
    w, b = np.linspace(0, L, n), rng.standard_normal(n) * 2
    solution = np.sign(w * b) * np.maximum(np.abs(w * b) - lam, 0) / (w + mu)

    def value(x):
        return float(w @ (x - b) ** 2 / 2 + lam * np.abs(x).sum() + mu / 2 * x @ x)

    R, M = float(np.linalg.norm(solution)), lam * math.sqrt(n)
    x = [np.zeros(n)]
    method = steps.GradientSliding(1 / L, M, R, mu, "restart_free", prox=prox_ridge(mu))
    gamma = (math.sqrt(mu**2 + 8 / 3 * L * mu) - mu) / (2 * L)
    assert L * gamma**2 + mu * gamma == pytest.approx(2 / 3 * mu)
    # w / (1 - P_T) is at most 3/2 w.
    first = value(x[0]) - value(solution) + gamma * 1.5 * (L * gamma + mu) * R**2 / 2
    for k in range(1, 31):
        method.step(x, lambda p: [w * (p[0] - b)], lambda p: [lam * np.sign(p[0])])
        bound = (1 - gamma) ** k * first + 2 * (mu * R**2 / 2) * (1 - gamma / 2) ** k
        assert value(x[0]) - value(solution) <= bound


# What the paper claims


@pytest.mark.parametrize("sequence", ["multiphase", "restart_free"])
def test_gradients_grow_with_the_logarithm_of_the_accuracy(sequence):
    task = Sparse(n=10, lam=2.0, seed=1)
    prox, mu, gradient = None, task.mu, task.gradient
    if sequence == "restart_free":
        # The strong convexity moves from f to chi.
        prox = prox_ridge(mu)

        def gradient(p):
            return [task.gradient(p)[0] - mu * p[0]]

    def subgradient(p):
        return [task.lam * np.where(p[0] >= 0, 1.0, -1.0)]

    method = steps.GradientSliding(**task.options(mu=mu, sequence=sequence), prox=prox)
    x, first, calls = [np.zeros(10)], task.gap(np.zeros(10)), []
    targets = np.array([1e-1, 1e-2, 1e-3])
    for target in targets:
        while task.gap(x[0]) > target * first:
            method.step(x, gradient, subgradient)
        calls.append((method.gradient_calls, method.subgradient_calls))
    smooth, rough = np.array(calls).T
    # The logarithm of the accuracy, times the root of the condition: 4 sqrt(L / mu) a bit.
    assert (smooth <= 4 * math.sqrt(task.L / mu) * np.log2(1 / targets)).all()
    assert smooth[-1] <= 100
    assert rough[-1] >= 100 * smooth[-1]

    # The subgradient method asks for both at once.
    y, best, count = np.zeros(10), first, 0
    while best > targets[-1] * first:
        count += 1
        slope = task.gradient([y])[0] + subgradient([y])[0]
        y = y - 2 / (mu * (count + 2 * task.L / mu)) * slope
        best = min(best, task.gap(y))
    assert count >= 5 * smooth[-1]


def test_prox_of_a_set_keeps_the_points_in_it():
    p = Parameter(torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64))
    c = torch.tensor([1.0, 0.2, 2.0], dtype=torch.float64)
    optimizer = optim.GradientSliding(
        [p], 1.0, 1.0, 1.0, horizon=30, prox={p: lambda v, step: project.simplex(v)}
    )
    for _ in range(30):
        optimizer.step(lambda: (p - c).square().sum() / 2, lambda: 0.3 * (p[0] - p[2]).abs())
        assert float(p.detach().sum()) == pytest.approx(1)
        assert (p.detach() >= -1e-12).all()
    # On the face p_1 = 0: the gap p_2 - p_0 is 1 - 0.6, within the simplex.
    assert torch.allclose(p.detach(), torch.tensor([0.3, 0.0, 0.7]).double(), atol=0.02)


def test_stochastic_subgradients():
    task = Sparse(n=10)
    rng = np.random.default_rng(0)
    sigma = 0.5
    noisy = task.options(mu=task.mu, sequence="multiphase")
    noisy["lipschitz"] = math.hypot(task.M, sigma * math.sqrt(10))
    method, x = steps.GradientSliding(**noisy), [np.zeros(10)]
    for _ in range(80):
        method.step(
            x, task.gradient,
            lambda p: [task.subgradient(p)[0] + sigma * rng.standard_normal(10)],
        )  # fmt: skip
    assert task.gap(x[0]) <= 0.01 * task.gap(np.zeros(10))


# Closures, checkpoints, copies


def convex(params):
    return optim.GradientSliding(params, lr=0.5, lipschitz=1.0, distance=3.0, horizon=6)


def phases(params):
    return optim.GradientSliding(
        params, lr=0.5, lipschitz=0.7, distance=3.0, mu=1.9, sequence="multiphase",
        prox=lambda v, step: v / (1 + step),
    )  # fmt: skip


def restart_free(params):
    return optim.GradientSliding(
        params, lr=0.5, lipschitz=1.2, distance=3.0, mu=0.3, sequence="restart_free",
        prox=shrink,
    )  # fmt: skip


def shrink(v, step):
    return v / (1 + 0.3 * step)


def named(params):
    return optim.GradientSliding(
        params, lr=0.5, lipschitz=0.7, distance=3.0, mu=0.3, sequence="multiphase", prox=shrink
    )


def advance(optimizer, first, second):
    optimizer.step(first, second)


makers = pytest.mark.parametrize("make", [convex, phases, restart_free])


@makers
@pytest.mark.parametrize("kind", rounds.FAILURES)
@pytest.mark.parametrize(("which", "call"), [(0, 1), (1, 1), (1, 2)])
def test_a_failing_closure_changes_nothing(make, kind, which, call):
    rounds.assert_fails_whole(make, advance, which, call, kind)


@makers
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_resumes_exactly(make, dtype):
    rounds.assert_resumes(make, advance, dtype, before=5, after=9)


@pytest.mark.parametrize("make", [convex, restart_free, named])
def test_copies_and_pickles(make):
    rounds.assert_copies(make, advance)


@makers
def test_what_has_no_gradient_stays(make):
    rounds.assert_skips_what_has_no_gradient(make, advance)


@makers
def test_schedulers(make):
    rounds.assert_works_with_a_scheduler(make, advance)


def test_rates_of_groups_are_a_metric():
    """A group with 4 times the rate behaves as variables of twice the scale."""
    x = torch.tensor([1.0, -2.0], dtype=torch.float64)
    p, q = Parameter(x[:1].clone()), Parameter(x[1:].clone())
    groups = [{"params": [p]}, {"params": [q], "lr": 0.4}]
    optimizer = optim.GradientSliding(groups, lr=0.1, lipschitz=1e-9, distance=3.0)
    z = Parameter(torch.tensor([1.0, -1.0], dtype=torch.float64))
    scaled = optim.GradientSliding([z], lr=0.1, lipschitz=1e-9, distance=3.0)
    for _ in range(5):
        optimizer.step(lambda: (p * q + p * p).sum(), lambda: (p - q).abs().sum() / 100)
        scaled.step(lambda: z[0] * 2 * z[1] + z[0] * z[0], lambda: (z[0] - 2 * z[1]).abs() / 100)
    torch.testing.assert_close(torch.cat([p, q]), z * torch.tensor([1.0, 2.0]))


BAD = [
    ({"lr": 0.0}, "lr must be finite and > 0"),
    ({"lipschitz": -1.0}, "lipschitz must be finite and >= 0"),
    ({"distance": 0.0}, "distance must be finite and > 0"),
    ({"mu": -1.0}, "mu must be finite and >= 0"),
    ({"sequence": "nesterov"}, "sequence must be one of 'convex', 'multiphase', 'restart_free'"),
    ({"sequence": "multiphase"}, "mu must be > 0 with sequence='multiphase', got 0.0"),
    ({"horizon": 0}, "horizon must be an int >= 1, got 0"),
]


@pytest.mark.parametrize(("options", "match"), BAD)
def test_refuses_hyperparameters(options, match):
    good = {"lr": 1.0, "lipschitz": 1.0, "distance": 1.0}
    params = rounds.leaves()
    with pytest.raises(ValueError, match=match):
        optim.GradientSliding(params, **{**good, **options})
    with pytest.raises(ValueError, match=match):
        steps.GradientSliding(**{**good, **options})
    optimizer = optim.GradientSliding(params, **good)
    optimizer.param_groups[0].update(options)
    before = rounds.bits(params)
    with pytest.raises(ValueError, match=match):
        optimizer.step(*rounds.closures(params))
    assert rounds.bits(params) == before


def test_refuses_other_arguments():
    params = rounds.leaves()
    good = {"lr": 1.0, "lipschitz": 1.0, "distance": 1.0}
    with pytest.raises(TypeError, match="prox must be a callable"):
        optim.GradientSliding(params, **good, prox=3)
    with pytest.raises(TypeError, match="prox must map parameters"):
        optim.GradientSliding(params, **good, prox={"w": shrink})
    with pytest.raises(TypeError, match="closure must be a function"):
        optim.GradientSliding(params, **good).step(rounds.closures(params)[0])
    groups = [{"params": params[:1]}, {"params": params[1:], "distance": 2.0}]
    with pytest.raises(ValueError, match="distance must be the same in every group"):
        optim.GradientSliding(groups, **good).step(*rounds.closures(params))
    optimizer = optim.GradientSliding(params, **good, prox=lambda v, step: v * float("nan"))
    before = rounds.everything(optimizer, params)
    with pytest.raises(ValueError, match="prox must return finite"):
        optimizer.step(*rounds.closures(params))
    assert rounds.everything(optimizer, params) == before


# numpy


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numpy_resumes_copies_and_fails_whole(dtype):
    task = Sparse(n=6)

    def gradient(p):
        return [task.gradient(p)[0].astype(dtype), None]

    def subgradient(p):
        return [task.subgradient(p)[0].astype(dtype), None]

    def run(method, x, count):
        for _ in range(count):
            method.step(x, gradient, subgradient)

    options = task.options(mu=task.mu, sequence="multiphase")
    method = steps.GradientSliding(**options)
    x = [np.zeros(6, dtype), np.ones(2, dtype)]
    run(method, x, 20)
    loaded = steps.GradientSliding(**{**options, "lr": 7.0})
    loaded.load_state_dict(pickle.loads(pickle.dumps(method.state_dict())))
    others = [
        (loaded, copy.deepcopy(x)),
        (copy.deepcopy(method), copy.deepcopy(x)),
        (pickle.loads(pickle.dumps(method)), copy.deepcopy(x)),
    ]
    calls = []

    def fails(p):
        calls.append(0)
        p[0][:] = 1e9  # what a function gets is its own
        return [np.full(6, np.nan if len(calls) == 2 else 1.0), None]

    before = [a.tobytes() for a in x]
    with pytest.raises(ValueError, match="subgradient must return finite"):
        method.step(x, gradient, fails)
    assert [a.tobytes() for a in x] == before
    run(method, x, 5)
    for other, y in others:
        run(other, y, 5)
        assert [a.tobytes() for a in y] == [a.tobytes() for a in x]
        assert other.subgradient_calls == method.subgradient_calls
    assert x[0].dtype == dtype
    assert (x[1] == 1).all()


def test_numpy_refuses():
    method = steps.GradientSliding(1.0, 1.0, 1.0)
    x = [np.ones(3)]
    method.step(x, lambda p: [p[0]], lambda p: [p[0]])
    with pytest.raises(ValueError, match="params must be those of the first step"):
        method.step([np.ones(4)], lambda p: [p[0]], lambda p: [p[0]])
    method.prox = [None, None]
    with pytest.raises(ValueError, match="prox must have 1 entries, got 2"):
        method.step(x, lambda p: [p[0]], lambda p: [p[0]])
    with pytest.raises(ValueError, match="lr must be finite"):
        method.load_state_dict({**method.state_dict(), "hyper": {"lr": -1.0}})
    assert method.lr == 1.0
