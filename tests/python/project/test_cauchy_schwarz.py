"""Cauchy-Schwarz regularisers against the formulas of the paper."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.project import cauchy_schwarz as cs

torch = pytest.importorskip("torch")

C = np.random.default_rng(9).standard_normal((6, 6))


def S(x, k):
    return (x**k).sum()


# Name, ours, the formula of the paper, a point of the zero set.
CASES = [
    ("binary", cs.binary, lambda x: len(x) * S(x, 4) - S(x, 2) ** 2, [2, -2, 2, 2, -2, 2]),
    ("one_sided", cs.one_sided, lambda x: S(x, 2) * S(x, 4) - S(x, 3) ** 2, [0, 3, 0, 3, 3, 0]),
    ("sparse", cs.sparse, lambda x: S(x, 2) * S(x, 4) - S(x, 3) ** 2, [0, -3, 0, -3, -3, 0]),
    ("ternary", cs.ternary, lambda x: S(x, 2) * S(x, 6) - S(x, 4) ** 2, [0, 3, 0, -3, 3, 0]),
    (
        "eigenvector",
        lambda x: cs.eigenvector(x, C),
        lambda x: (C @ x) @ (C @ x) * (x @ x) - (x @ C @ x) ** 2,
        None,
    ),
    (
        "orthogonal",
        lambda x: cs.orthogonal(x.reshape(*x.shape[:-1], 3, 2)),
        lambda x: 2 * ((x.reshape(3, 2).T @ x.reshape(3, 2)) ** 2).sum() - (x @ x) ** 2,
        [1, 0, 0, 0, 0, -1],
    ),
    (
        "multi_bit",
        lambda x: cs.multi_bit(x.reshape(*x.shape[:-1], 3, 2)),
        lambda x: 3 * 17 * S(x, 4) - (S(x[::2], 2) + 4 * S(x[1::2], 2)) ** 2,
        [1, 2, -1, 2, 1, -2],
    ),
    ("root", cs.binary_root, lambda x: np.sqrt(len(x) * S(x, 4)) - S(x, 2), [1, -1, 1, 1, 1, 1]),
    (
        "scale_invariant",
        cs.binary_scale_invariant,
        lambda x: np.sqrt(len(x) * S(x, 4)) / S(x, 2) - 1,
        [1, -1, 1, 1, 1, 1],
    ),
    (
        "l2_l1",
        cs.binary_l2_l1,
        lambda x: len(x) * S(x, 2) - np.abs(x).sum() ** 2,
        [1, -1, 1, 1, 1, 1],
    ),
    (
        "bounded",
        cs.binary_bounded,
        lambda x: len(x) * ((1 + x**2) ** -2.0).sum() - ((1 + x**2) ** -1.0).sum() ** 2,
        [1, -1, 1, 1, 1, 1],
    ),
    (
        "exponential",
        cs.binary_exponential,
        lambda x: len(x) * np.exp(-2 * x**2).sum() - np.exp(-(x**2)).sum() ** 2,
        [1, -1, 1, 1, 1, 1],
    ),
    (
        "hoelder",
        lambda x: cs.hoelder(x, 3.0, 1.5, 2.0),
        lambda x: (
            6 ** (2 / 1.5 - 2 / 3) * (np.abs(x) ** 3).sum() ** (2 / 3)
            - (np.abs(x) ** 1.5).sum() ** (2 / 1.5)
        ),
        [1, -1, 1, 1, 1, 1],
    ),
]
ALL = pytest.mark.parametrize(("name", "ours", "formula", "zero"), CASES, ids=lambda v: str(v)[:12])
HOMOGENEOUS = {"binary": 4, "one_sided": 6, "ternary": 8, "root": 2, "l2_l1": 2, "hoelder": 2}


@ALL
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_equals_the_formula(name, ours, formula, zero, seed):
    x = np.random.default_rng(seed).standard_normal(6)
    want = formula(x)
    assert ours(x) >= -1e-13
    assert abs(ours(x) - want) <= 1e-11 * (1 + abs(want))
    h = 1e-6
    t = torch.tensor(x, requires_grad=True)
    ours(t).backward()
    for i in range(6):
        e = h * np.eye(6)[i]
        slope = (formula(x + e) - formula(x - e)) / (2 * h)
        assert abs(float(t.grad[i]) - slope) <= 1e-6 * (1 + abs(slope) + abs(want))


@ALL
def test_is_zero_on_its_set_and_flat_there(name, ours, formula, zero):
    x = np.array(zero, dtype=float) if zero is not None else np.linalg.eigh(C + C.T)[1][:, 0]
    if zero is None:
        value, slope = cs.value_and_gradient("eigenvector", x, matrix=C + C.T)
        assert value <= 1e-25
        assert np.abs(slope).max() <= 1e-12
        return
    assert abs(ours(x)) <= 1e-14
    for scale in (1e-3, 1e3):
        t = torch.tensor(scale * x, requires_grad=True)
        ours(t).backward()
        assert float(t.grad.abs().max()) <= 1e-12 * max(scale, 1.0) ** 7
    near = x + 1e-9 * np.random.default_rng(0).standard_normal(6)
    assert ours(near) >= -1e-14  # the expanded form would lose all digits here


@ALL
def test_gradients_in_batches(name, ours, formula, zero):
    x = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(ours, (x.clone().requires_grad_(),))
    want = torch.stack([ours(row) for row in x])
    assert torch.equal(ours(x), want)
    assert torch.allclose(torch.as_tensor(ours(x.numpy())), want, rtol=0, atol=0)
    low = ours(x.float())
    assert low.dtype == torch.float32
    assert torch.allclose(low.double(), want, rtol=1e-5)


@pytest.mark.parametrize(("name", "degree"), HOMOGENEOUS.items())
def test_scales_by_its_degree_without_overflow(name, degree):
    ours = {case[0]: case[1] for case in CASES}[name]
    x = np.random.default_rng(3).standard_normal(6)
    for scale in (1e-20, 1e20):
        assert abs(ours(scale * x) / scale**degree / ours(x) - 1) <= 1e-12


def test_zeros_and_one_entry():
    for _, ours, _, _ in CASES:
        assert ours(np.zeros(6)) == 0
        t = torch.zeros(6, dtype=torch.float64, requires_grad=True)
        ours(t).backward()
        assert not t.grad.any()
    assert cs.binary(np.array([3.0])) == 0


def test_auxiliary_has_its_minimum_at_binary_over_n():
    x = np.random.default_rng(0).standard_normal((2, 5))
    b = (x**2).mean(-1)
    assert np.allclose(cs.auxiliary(x, b), cs.binary(x) / 5, rtol=1e-12)
    t, s = torch.tensor(x, requires_grad=True), torch.tensor(b, requires_grad=True)
    assert torch.autograd.gradcheck(cs.auxiliary, (t, s))


def test_quantize_is_the_nearest_point():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(7)
    for kind, levels in (("binary", [-1, 1]), ("ternary", [-1, 0, 1])):
        got = cs.quantize(x, kind)
        best = np.inf
        for code in np.ndindex(*[len(levels)] * 7):
            q = np.array([levels[c] for c in code], dtype=float)
            if q.any():
                a = max(q @ x / (q @ q), 0)
                best = min(best, ((x - a * q) ** 2).sum())
        assert abs(((x - got) ** 2).sum() - best) <= 1e-12
        t = torch.tensor(x).float()
        assert np.allclose(cs.quantize(t, kind).numpy(), got, atol=1e-6)
    both = np.stack([x, 2 * x], 1)
    assert np.allclose(cs.quantize(both, axis=0)[:, 1], 2 * cs.quantize(x))


def test_refusals():
    with pytest.raises(ValueError, match="x holds NaN or infinity; replace such entries"):
        cs.binary([np.nan])
    with pytest.raises(ValueError, match="name must be one of binary, one_sided"):
        cs.value_and_gradient("unary", [1.0])
    with pytest.raises(ValueError, match=r"C must be of shape \(2, 2\), got 3 numbers"):
        cs.eigenvector([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="p, q and r must satisfy 1 <= q < p and r > 0"):
        cs.hoelder([1.0], 1.0, 2.0)
    with pytest.raises(ValueError, match="kind must be 'binary' or 'ternary', got 'octal'"):
        cs.quantize([1.0], "octal")
    with pytest.raises(ValueError, match=r"x must be of shape \(..., n\), got a number"):
        cs.binary(1.0)
    with pytest.raises(ValueError, match="the number of dimensions of X must be an integer >= 2"):
        cs.orthogonal([1.0])
    with pytest.raises(ValueError, match="p, q and r must be three numbers, got 1 numbers"):
        cs.value_and_gradient("hoelder", [1.0], (2.0,))
