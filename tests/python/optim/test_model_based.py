"""Model-based steps against brute force, and their indifference to the step size."""

from __future__ import annotations

import copy
import itertools
import math
import pickle

import numpy as np
import pytest
import torch
from optim import rounds
from torch.nn import Parameter

from thalweg import optim, project, steps

HOW = {
    "abs": lambda c: np.abs(c).sum(),
    "hinge": lambda c: np.maximum(c, 0).sum(),
    "max": np.max,
    "square": lambda c: (c**2).sum() / 2,
    "logistic": lambda c: np.logaddexp(0, -c).sum(),
}


def model(outer, c, J, x, lr, y):
    """Value of h(c + J (y - x)) + |y - x|^2 / (2 lr)."""
    return HOW[outer](c + J @ (y - x)) + ((y - x) ** 2).sum() / (2 * lr)


def brute(outer, c, J, x, lr):
    """Least value of the model over the stationary points of every pattern of multipliers.

    Each entry of s is at an end of its interval, or free with its value at the kink; for max, a set
    of values ties. All of these are points, so the least value among them is the answer.
    """
    m = len(c)
    best = math.inf
    if outer == "max":
        patterns = [
            np.array(ties) for k in range(1, m + 1) for ties in itertools.combinations(range(m), k)
        ]
        for ties in patterns:
            n = len(ties)
            G = lr * J[ties] @ J[ties].T
            K = np.block([[G, np.ones((n, 1))], [np.ones((1, n)), np.zeros((1, 1))]])
            s = np.linalg.lstsq(K, np.append(c[ties], 1), rcond=None)[0][:n]
            best = min(best, model(outer, c, J, x, lr, x - lr * J[ties].T @ s))
        return best
    ends = {"abs": (-1.0, 1.0), "hinge": (0.0, 1.0)}[outer]
    for pattern in itertools.product([*ends, None], repeat=m):
        free = np.array([p is None for p in pattern])
        s = np.array([0.0 if p is None else p for p in pattern])
        G = lr * J @ J.T
        s[free] = np.linalg.lstsq(G[np.ix_(free, free)], c[free] - G[free] @ s, rcond=None)[0]
        best = min(best, model(outer, c, J, x, lr, x - lr * J.T @ s))
    return best


def both(x, c, J, lr, outer, model="prox_linear", **options):
    """The step by numpy, which the one by torch must equal."""
    array = [x.copy()]
    one = len(c) == 1
    steps.ModelBased(lr, model, outer, **options).step(
        array, c[0] if one else c, [J[0] if one else J]
    )
    p = Parameter(torch.tensor(x))
    optimizer = optim.ModelBased([p], lr, model, outer, **options)

    def closure():
        values = torch.tensor(c) + torch.tensor(J) @ (p - torch.tensor(x))
        return values[0] if one else values

    if not options.get("prox"):
        optimizer.step(closure)
        np.testing.assert_allclose(p.detach(), array[0], rtol=1e-8, atol=1e-9)
    return array[0]


@pytest.mark.parametrize("outer", ["abs", "hinge", "max"])
@pytest.mark.parametrize("m", [1, 2, 4])
@pytest.mark.parametrize("lr", [1e-6, 1e-2, 1.0, 1e2, 1e6])
def test_minimizes_the_model(outer, m, lr):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        x, c, J = rng.standard_normal(5), rng.standard_normal(m), rng.standard_normal((m, 5))
        if seed == 6 and m > 1:
            J[1] = J[0]
        if seed == 7 and m > 1:
            J[1], c[1] = 0.0, 5.0
        y = both(x, c, J, lr, outer)
        least = brute(outer, c, J, x, lr)
        found = model(outer, c, J, x, lr, y)
        # Rounding of c + J (y - x), of size 1.
        assert found <= least + 1e-9 * abs(least) + 1e-11


@pytest.mark.parametrize("outer", ["abs", "hinge", "max"])
def test_many_values(outer):
    rng = np.random.default_rng(1)
    x, c, J = np.zeros(10), rng.standard_normal(40), rng.standard_normal((40, 10))
    y = both(x, c, J, 0.1, outer)
    least = model(outer, c, J, x, 0.1, y)
    for scale in (1.0, 1e-1, 1e-2, 1e-3, 1e-4):
        for _ in range(50):
            near = y + scale * rng.standard_normal(10)
            assert model(outer, c, J, x, 0.1, near) >= least


@pytest.mark.parametrize("lr", [1e-3, 1.0, 1e4])
def test_square_is_damped_gauss_newton(lr):
    rng = np.random.default_rng(2)
    for m in (1, 3, 7):
        x, c, J = rng.standard_normal(4), rng.standard_normal(m), rng.standard_normal((m, 4))
        y = both(x, c, J, lr, "square", "proximal_point")
        expected = x - np.linalg.solve(J.T @ J + np.eye(4) / lr, J.T @ c)
        np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("lr", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("margin", [-30.0, -1.0, 0.0, 2.0, 40.0])
@pytest.mark.parametrize("kind", ["logistic", "callable"])
def test_smooth_proximal_points_are_stationary(lr, margin, kind):
    a, x = np.array([1.0, -2.0, 0.5]), np.array([0.1, 0.2, 0.3])
    slope = lambda z: -1 / (1 + math.exp(min(z, 700)))  # noqa: E731
    outer = "logistic" if kind == "logistic" else slope
    y = both(x, np.array([margin]), a[None], lr, outer, "proximal_point")
    s = -((y - x) @ a) / (a @ a) / lr
    np.testing.assert_allclose(y, x - lr * s * a, rtol=1e-12)
    assert s == pytest.approx(slope(margin + a @ (y - x)), rel=1e-9, abs=1e-14)


def test_closed_forms_of_the_paper():
    x, g = np.array([3.0, 1.0]), np.array([1.0, -2.0])

    def step(lr, value, model, outer=None):
        array = [x.copy()]
        steps.ModelBased(lr, model, outer).step(array, value, [g])
        return array[0]

    for lr in (0.01, 0.5, 100.0):
        np.testing.assert_allclose(step(lr, 2.0, "subgradient"), x - lr * g)
        np.testing.assert_allclose(step(lr, 2.0, "truncated"), x - min(lr, 2 / 5) * g)
        for c in (2.0, -2.0):
            expected = x - np.clip(c / 5, -lr, lr) * g
            np.testing.assert_allclose(step(lr, c, "prox_linear"), expected)
            expected = x - np.clip(c / 5, 0, lr) * g
            np.testing.assert_allclose(step(lr, c, "prox_linear", "hinge"), expected, atol=1e-15)
            expected = x - lr * c / (1 + lr * 5) * g
            np.testing.assert_allclose(step(lr, c, "proximal_point"), expected)


@pytest.mark.parametrize("kind", ["truncated", "abs", "hinge", "square", "logistic"])
@pytest.mark.parametrize("lr", [0.05, 1.0, 30.0])
def test_with_a_regulariser_by_zooming_grids(kind, lr):
    x, a, c, lam = np.array([0.7, -0.4]), np.array([1.0, 0.6]), 0.9, 0.2
    outer = None if kind == "truncated" else kind
    which = "truncated" if kind == "truncated" else "prox_linear"

    def soft(v, step):
        return project.prox.l1(v, lam * step)

    y = both(x, np.array([c]), a[None], lr, outer, which, prox=soft)
    p = Parameter(torch.tensor(x))
    optim.ModelBased([p], lr, which, outer, prox=soft).step(
        lambda: c + torch.tensor(a) @ (p - torch.tensor(x))
    )
    np.testing.assert_allclose(p.detach(), y, rtol=1e-9, atol=1e-12)

    h = HOW["hinge" if kind == "truncated" else kind]

    def value(u, v):
        d, e = u - x[0], v - x[1]
        inner = c + a[0] * d + a[1] * e
        smooth = np.vectorize(lambda z: h(np.array([z])))(inner)
        return smooth + lam * (abs(u) + abs(v)) + (d**2 + e**2) / (2 * lr)

    centre, width = np.zeros(2), 8.0
    while width > 1e-7:
        line = np.linspace(-width, width, 17)
        u, v = np.meshgrid(centre[0] + line, centre[1] + line, indexing="ij")
        values = value(u, v)
        best = np.unravel_index(values.argmin(), values.shape)
        centre, width = np.array([u[best], v[best]]), width * 0.4
    assert value(*y) <= value(*centre) + 1e-12
    np.testing.assert_allclose(y, centre, atol=1e-4)


def test_subgradient_with_a_regulariser():
    x, g = np.array([0.5, -2.0]), np.array([1.0, 1.0])
    y = both(x, np.ones(1), g[None], 0.4, None, "subgradient", prox=project.prox.l1)
    np.testing.assert_allclose(y, [0.0, -2.0])


def test_rates_of_groups_weigh_the_proximal_term():
    x, a = torch.tensor([1.0, 2.0], dtype=torch.float64), [3.0, -1.0]
    p, q = Parameter(x[:1].clone()), Parameter(x[1:].clone())
    optimizer = optim.ModelBased(
        [{"params": [p], "lr": 0.5}, {"params": [q], "lr": 2.0}], model="prox_linear"
    )
    optimizer.step(lambda: a[0] * p[0] + a[1] * q[0] + 1)
    # c = 2 and sum lr a^2 = 6.5, so s = 2 / 6.5.
    s = 2 / 6.5
    np.testing.assert_allclose(
        torch.cat([p, q]).detach(), [1 - 0.5 * s * 3, 2 + 2.0 * s], rtol=1e-12
    )


def test_power_lowers_the_rate():
    x = [np.zeros(1)]
    method = steps.ModelBased(0.5, "subgradient", power=0.5)
    for _ in range(3):
        method.step(x, 1.0, [np.ones(1)])
    assert x[0][0] == pytest.approx(-0.5 * (1 + 2**-0.5 + 3**-0.5))


# What the paper claims


def phase_retrieval(kind, factor, count=4000):
    """Distance to the signal, relative, after some passes; the good rate is 1 / d."""
    d, m = 20, 160
    rng = np.random.default_rng(0)
    A, truth = rng.standard_normal((m, d)), rng.standard_normal(d)
    b = (A @ truth) ** 2
    x = [truth + 0.4 * rng.standard_normal(d)]
    method = steps.ModelBased(factor * 0.02 / d, kind)
    for i in rng.integers(0, m, count):
        z = A[i] @ x[0]
        c, slope = z * z - b[i], 2 * z * A[i]
        if kind != "prox_linear":
            c, slope = abs(c), np.sign(c) * slope
        if not np.isfinite(x[0]).all() or abs(x[0]).max() > 1e60:
            return math.inf
        method.step(x, c, [slope])
    return min(np.linalg.norm(x[0] - truth), np.linalg.norm(x[0] + truth)) / np.linalg.norm(truth)


def test_models_stand_steps_a_thousand_times_too_long():
    good = phase_retrieval("subgradient", 1.0)
    assert good <= 0.1
    for kind in ("truncated", "prox_linear"):
        assert phase_retrieval(kind, 1.0) <= 0.1
        assert phase_retrieval(kind, 1e3) <= 0.01
    assert phase_retrieval("subgradient", 1e3) >= 10


# Closures, checkpoints, copies


def truncated(params):
    return optim.ModelBased(params, 0.3, power=0.5)


def linear(params):
    return optim.ModelBased(params, 0.3, "prox_linear", prox=shrink)


def shrink(v, step):
    return v / (1 + 0.3 * step)


def subgradient(params):
    return optim.ModelBased(params, 0.3, "subgradient", power=0.5)


def advance(optimizer, first, _second):
    optimizer.step(first)


makers = pytest.mark.parametrize("make", [truncated, linear, subgradient])


@makers
@pytest.mark.parametrize("kind", rounds.FAILURES)
def test_a_failing_closure_changes_nothing(make, kind):
    rounds.assert_fails_whole(make, advance, 0, 1, kind)


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


def values_of(params):
    return lambda: torch.stack([params[0].sum(), params[1].prod() - 1, params[1][0] * 2])


@pytest.mark.parametrize("outer", ["abs", "max", "square"])
def test_vectors_resume_and_skip(outer):
    def make(params):
        return optim.ModelBased(params, 0.1, "prox_linear", outer)

    def vector(optimizer, *_):
        optimizer.step(values_of([p for g in optimizer.param_groups for p in g["params"]]))

    rounds.assert_resumes(make, vector)
    rounds.assert_skips_what_has_no_gradient(make, vector)


def test_a_vector_with_a_nan_changes_nothing():
    params = rounds.leaves()
    optimizer = optim.ModelBased(params, 0.1, "prox_linear")
    optimizer.step(values_of(params))
    before = rounds.everything(optimizer, params)
    bad = torch.tensor([1.0, float("nan"), 1.0])
    with pytest.raises(ValueError, match="finite"):
        optimizer.step(lambda: values_of(params)() * bad)
    with pytest.raises(ValueError, match="depend on the parameters"):
        optimizer.step(lambda: torch.ones(3))
    with pytest.raises(ValueError, match="one element"):
        optimizer.step(lambda: values_of(params)().reshape(3, 1))
    assert rounds.everything(optimizer, params) == before


def test_returns_what_the_closure_returned():
    params = rounds.leaves()
    optimizer = optim.ModelBased(params, 0.1, "prox_linear")
    expected = values_of(params)().detach()
    found = optimizer.step(values_of(params))
    assert torch.equal(found, expected)
    assert not found.requires_grad


def test_a_closure_may_call_backward():
    finals = []
    for inside in (True, False):
        params = rounds.leaves()
        optimizer = truncated(params)

        def closure(params=params, inside=inside):
            loss = rounds.closures(params)[0]()
            if inside:
                loss.backward()
            return loss

        optimizer.step(closure)
        finals.append(rounds.bits(params))
    assert finals[0] == finals[1]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"lr": -1.0}, "lr must be finite and >= 0"),
        ({"power": -0.5}, "power must be finite and >= 0"),
        ({"lower": float("nan")}, "lower must be finite"),
        ({"model": "newton"}, "model must be one of 'subgradient', 'truncated'"),
        ({"model": "prox_linear", "outer": "l2"}, "outer must be one of 'abs', 'hinge', 'max'"),
        ({"outer": "abs"}, "outer must be None with model='truncated'"),
    ],
)
def test_refuses_hyperparameters(options, match):
    params = rounds.leaves()
    with pytest.raises(ValueError, match=match):
        optim.ModelBased(params, **options)
    with pytest.raises(ValueError, match=match):
        steps.ModelBased(**options)
    optimizer = optim.ModelBased(params)
    optimizer.param_groups[0].update(options)
    with pytest.raises(ValueError, match=match):
        optimizer.step(rounds.closures(params)[0])


def test_refuses_what_has_no_answer():
    params = rounds.leaves()
    before = rounds.bits(params)
    with pytest.raises(ValueError, match="loss must be >= lower"):
        optim.ModelBased(params, lower=1e6).step(rounds.closures(params)[0])
    with pytest.raises(NotImplementedError, match="prox takes models of one value, got 3"):
        optim.ModelBased(params, 0.1, "prox_linear", prox=shrink).step(values_of(params))
    with pytest.raises(NotImplementedError, match="outer='logistic' takes one value, got 3"):
        optim.ModelBased(params, 0.1, "prox_linear", "logistic").step(values_of(params))
    with pytest.raises(ValueError, match="one element"):
        optim.ModelBased(params).step(values_of(params))
    slope = optim.ModelBased(params, 0.1, "prox_linear", math.tanh)
    other = optim.ModelBased(params, 0.1, "prox_linear")
    other.load_state_dict(slope.state_dict())
    with pytest.raises(ValueError, match="outer must be given anew"):
        other.step(lambda: params[0].sum())
    assert rounds.bits(params) == before


def test_a_gradient_of_zero_moves_nothing():
    for kind in ("truncated", "prox_linear", "subgradient", "proximal_point"):
        x = [np.ones(3)]
        steps.ModelBased(10.0, kind).step(x, 2.0, [np.zeros(3)])
        assert (x[0] == 1).all()


# numpy


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numpy_resumes_copies_and_fails_whole(dtype):
    method = steps.ModelBased(0.2, power=0.5)
    x = [np.linspace(-1, 1, 5).astype(dtype), np.ones(2, dtype)]

    def run(method, x, count):
        for _ in range(count):
            method.step(x, float((x[0] ** 2).sum()), [2 * x[0], None])

    run(method, x, 3)
    loaded = steps.ModelBased(0.7)
    loaded.load_state_dict(pickle.loads(pickle.dumps(method.state_dict())))
    others = [
        (loaded, copy.deepcopy(x)),
        (copy.deepcopy(method), copy.deepcopy(x)),
        (pickle.loads(pickle.dumps(method)), copy.deepcopy(x)),
    ]
    before = [a.tobytes() for a in x]
    for value, slope, match in [
        (math.nan, x[0], "value must be finite"),
        (1.0, x[0] * np.nan, "jacobian must return finite"),
        (1.0, x[0][:2], "jacobian must return an array of shape"),
        ([1.0, 2.0], np.ones((2, 5), dtype), "value must be one value"),
        (-1.0, x[0], "loss must be >= lower"),
    ]:
        with pytest.raises(ValueError, match=match):
            method.step(x, value, [slope, None])
    assert [a.tobytes() for a in x] == before
    run(method, x, 4)
    for other, y in others:
        run(other, y, 4)
        assert [a.tobytes() for a in y] == [a.tobytes() for a in x]
    assert x[0].dtype == dtype
    assert (x[1] == 1).all()
