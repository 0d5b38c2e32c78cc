"""The plain torch forms that other devices take, held against the core on the CPU."""

import re
import warnings

import numpy as np
import pytest
from project.cases import BY_ID
from project.test_battery import degenerate

import thalweg.project as pr

torch = pytest.importorskip("torch")

from thalweg.project import _engine, _entropic, _transport  # noqa: E402

ITERATED = ["isotonic", "isotonic_weights", "tv1d", "tv1d_edges", "birkhoff", "transport"]


def plain(call, x):
    """`call` on the tensor `x` through the plain form; what that leaves to the core goes there."""
    original = _engine._function

    def once(x, what, axes):
        _engine._function = original
        return _engine.reference(what, x, axes)

    _engine._function = lambda: type("", (), {"apply": staticmethod(once)})
    try:
        return call(x)
    finally:
        _engine._function = original


@pytest.mark.parametrize("name", [*ITERATED, "correlation"])
def test_degenerate_points(name):
    case = BY_ID[name]
    for x in degenerate(case):
        want = case.call(x)
        got = plain(case.call, torch.tensor(x)).numpy()
        assert np.abs(got - want).max() <= 1e-9 * max(1.0, np.abs(x).max())


def test_long_signals():
    rng = np.random.default_rng(0)
    x = np.stack([rng.standard_normal(3000), np.cumsum(rng.standard_normal(3000))])
    for call in (pr.isotonic, lambda x: pr.prox.tv1d(x, 2.0), lambda x: pr.prox.tv1d(x, np.inf)):
        got = plain(call, torch.tensor(x)).numpy()
        assert np.abs(got - call(x)).max() <= 1e-10 * np.abs(x).max()


def test_couplings_at_size():
    x = np.random.default_rng(1).standard_normal((3, 30, 30))
    got = plain(pr.birkhoff, torch.tensor(x)).numpy()
    assert np.abs(got - pr.birkhoff(x)).max() <= 1e-10
    x = np.random.default_rng(2).standard_normal((2, 12, 12))
    got = plain(pr.correlation, torch.tensor(x)).numpy()
    assert np.abs(got - pr.correlation(x)).max() <= 1e-10


@pytest.mark.parametrize("seed", range(6))
def test_polyhedra(seed):
    rng = np.random.default_rng(seed)
    n, k = 6, 3 * seed
    inside = rng.standard_normal(n)
    A, E = rng.standard_normal((k, n)), rng.standard_normal((seed % 3, n))
    b, f = A @ inside + rng.uniform(0, 1, k), E @ inside
    if k > 4:
        A[3], b[3], b[4] = 2 * A[0], 2 * b[0], np.inf
    call = lambda x: pr.polyhedron(x, A, b, E, f)  # noqa: E731
    x = torch.tensor(inside + 3 * rng.standard_normal((4, n)), requires_grad=True)
    want, got = call(x), plain(call, x)
    assert float((got - want).detach().abs().max()) <= 1e-9
    v = torch.tensor(rng.standard_normal((4, n)))
    (theirs,), (ours) = torch.autograd.grad(want, x, v), torch.autograd.grad(got, x, v)[0]
    assert float((ours - theirs).abs().max()) <= 1e-7


@pytest.mark.parametrize("method", ["active_set", "admm"])
def test_empty_polyhedra_are_refused(method):
    x = torch.zeros(2, dtype=torch.float64)
    with pytest.raises(ValueError, match="contradict"):
        plain(lambda x: pr.polyhedron(x, [[1.0, 0], [-1.0, 0]], [-1.0, -1], method=method), x)


def options(**given):
    base = {
        "eps": 0.05,
        "newton": False,
        "tol": 1e-12,
        "max_iter": 20000,
        "rho": (np.inf, np.inf),
        "anneal": False,
        "warm_up": 30,
        "start": None,
    }
    return _transport.Options(**{**base, **given})


def masses(shape, seed=0):
    rng = np.random.default_rng(seed)
    C = rng.uniform(0, 1, shape)
    a, b = rng.uniform(0.2, 1, shape[:-1]), rng.uniform(0.2, 1, (*shape[:-2], shape[-1]))
    a.flat[0] = b.flat[-1] = 0
    sides = (a / a.sum(-1, keepdims=True), b / b.sum(-1, keepdims=True))
    return [torch.tensor(t) for t in (C, *sides)]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"anneal": True},
        {"newton": True, "max_iter": 100, "eps": 0.01, "anneal": True},
        {"rho": (0.5, np.inf)},
        {"rho": (0.3, 2.0), "eps": 0.2},
    ],
    ids=["sweeps", "annealed", "newton", "half", "unbalanced"],
)
def test_entropic_transport(given):
    wish = options(**given)
    results, gradients = [], []
    for solve in (_transport.plan_of_tensors, _entropic.plan_on_device):
        tensors = [t.requires_grad_() for t in masses((2, 3, 7, 5))]
        plan, (f, g, residual, _) = solve(*tensors, wish)
        assert residual <= 1e-12
        v = torch.tensor(np.random.default_rng(5).standard_normal(plan.shape))
        gradients.append(torch.autograd.grad(plan, tensors, v, create_graph=True))
        results.append((plan.detach(), f, g))
        with pytest.raises(NotImplementedError, match="second derivatives of thalweg"):
            gradients[-1][0].sum().backward()
    (plan, f, g), (again, f2, g2) = results
    assert float((plan - again).abs().max()) <= 1e-10
    total, other = (np.add.outer(f[0, 1], g[0, 1]) for f, g in ((f, g), (f2, g2)))
    seen = np.isfinite(total)
    assert np.array_equal(seen, np.isfinite(other))
    assert np.abs(total[seen] - other[seen]).max() <= 1e-9
    for mine, theirs in zip(*gradients):
        size = 1 + float(mine.detach().abs().max())
        assert float((mine - theirs).detach().abs().max()) <= 1e-7 * size


def test_start_and_single_precision_on_a_device():
    C, a, b = masses((6, 6), 3)
    _, (_, g, _, cold) = _entropic.plan_on_device(C, a, b, options(tol=1e-9))
    _, (_, _, _, warm) = _entropic.plan_on_device(C, a, b, options(tol=1e-8, start=g))
    assert warm <= 3 < cold
    low = [t.float() for t in (C, a, b)]
    plan, _ = _entropic.plan_on_device(*low, options(tol=1e-6))
    assert plan.dtype == torch.float32


C2 = torch.zeros(2, 2, dtype=torch.float64)
ONE = torch.tensor([0.5, 0.5], dtype=torch.float64)
BAD = [
    (C2, ONE * torch.tensor([1.0, -1.0]), ONE, {}),
    (C2, ONE, 2 * ONE, {}),
    (C2, ONE, ONE, {"eps": 0.0}),
    (C2, ONE, ONE, {"rho": (-1.0, 1.0)}),
    (C2 + np.nan, ONE, ONE, {}),
]


@pytest.mark.parametrize(("C", "a", "b", "given"), BAD, ids=range(len(BAD)))
def test_both_paths_refuse_in_the_same_words(C, a, b, given):
    with pytest.raises(ValueError, match=r"must be|holds") as core:
        _transport.plan_of_tensors(C, a, b, options(**given))
    with pytest.raises(ValueError, match=re.escape(str(core.value))):
        _entropic.plan_on_device(C, a, b, options(**given))


def test_small_eps_is_marked_or_reached():
    C, a, b = masses((25, 25), 4)
    wish = options(eps=2e-3, newton=True, max_iter=100, anneal=True, tol=1e-10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, (_, _, residual, steps) = _entropic.plan_on_device(C, a, b, wish)
    assert residual <= 1e-10
    assert steps <= 100
