"""What holds for every set: oracle, axes, batches, types, out, threads, bad input, gradients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from project.cases import CASES

import thalweg
import thalweg.project as pr
from thalweg import _core

ALL = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
VECTORS = pytest.mark.parametrize(
    "case", [case for case in CASES if not case.matrix], ids=lambda case: case.id
)


def points(case, seed=0, batch=(), scale=1.0):
    return scale * np.random.default_rng(seed).standard_normal((*batch, *case.shape))


def degenerate(case):
    """Zeros, equal entries, ties, large and small scales, one large entry."""
    rng = np.random.default_rng(3)
    n = int(np.prod(case.shape))
    spike = np.zeros(n)
    spike[n // 2] = min(1e3, 10 * case.large)
    rows = [
        np.zeros(n),
        np.full(n, 0.7),
        np.full(n, -0.7),
        rng.integers(-1, 2, n).astype(float),
        np.linspace(1, -1, n),
        spike,
        case.large * rng.standard_normal(n),
        1e-6 * rng.standard_normal(n),
    ]
    return [row.reshape(case.shape) for row in rows]


def agree(got, want, x, tol):
    scale = max(1.0, np.abs(x).max(initial=0.0))
    assert got.shape == want.shape
    assert np.abs(got - want).max(initial=0.0) <= tol * scale


def test_every_set_of_the_core_has_a_row():
    assert set(_core.project_sets()) - {"polyhedron"} == {case.name for case in CASES}


@ALL
def test_equals_the_oracle_on_random_points(case):
    for seed in range(20):
        x = points(case, seed, scale=10.0 ** (seed % 3 - 1))
        agree(case.call(x), case.oracle(x), x, case.tol)


UNIQUE = [case for case in CASES if case.id not in ("stiefel", "rotation", "rank")]


@pytest.mark.parametrize("case", UNIQUE, ids=lambda case: case.id)
def test_equals_the_oracle_on_degenerate_points(case):
    for x in degenerate(case):
        agree(case.call(x), case.oracle(x), x, case.tol)


@ALL
def test_input_is_left_alone_and_out_takes_the_result(case):
    x = points(case, 1, (5,))
    copy = x.copy()
    want = case.call(x)
    assert np.array_equal(x, copy)
    out = np.empty_like(x)
    assert case.call(x, out=out) is out
    assert np.array_equal(out, want)
    strided = np.empty((*x.shape, 2))[..., 0]
    case.call(x, out=strided)
    assert np.array_equal(strided, want)
    case.call(copy, out=copy)
    assert np.array_equal(copy, want)


@ALL
def test_axes_and_batches(case):
    x = points(case, 2, (2, 3))
    want = np.array([[case.call(x[i, j]) for j in range(3)] for i in range(2)])
    assert np.array_equal(case.call(x), want)
    if case.matrix:
        moved = np.moveaxis(x, (-2, -1), (2, 0))
        back = np.moveaxis(case.call(moved, axes=(2, 0)), (2, 0), (-2, -1))
    else:
        back = np.moveaxis(case.call(np.moveaxis(x, -1, 0), axis=0), 0, -1)
    assert np.array_equal(back, want)
    assert case.call(x[::-1, ::2]).tolist() == want[::-1, ::2].tolist()
    read_only = x.copy()
    read_only.flags.writeable = False
    assert np.array_equal(case.call(read_only), want)
    assert case.call(x[:0]).shape == x[:0].shape


@ALL
def test_float32_is_float64_rounded_once(case):
    x = points(case, 3, (4,)).astype(np.float32)
    got = case.call(x)
    assert got.dtype == np.float32
    assert np.array_equal(got, case.call(x.astype(np.float64)).astype(np.float32))


@ALL
def test_threads_do_not_change_bits(case):
    x = points(case, 4, (3000 if not case.matrix else 60,))
    results = []
    for threads in (1, 2, 7):
        thalweg.set_num_threads(threads)
        results.append(case.call(x))
    thalweg.set_num_threads(0)
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


@ALL
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_refuses_what_is_not_finite_and_writes_nothing(case, bad):
    x = points(case, 5, (3,))
    x[1].flat[0] = bad
    out = np.full_like(x, 7.0)
    with pytest.raises(ValueError, match="x holds NaN or infinity; replace"):
        case.call(x, out=out)
    assert (out == 7.0).all()


@ALL
def test_refuses_other_types(case):
    x = np.ones(case.shape, dtype=np.int64)
    with pytest.raises(TypeError, match="x must be float32 or float64, got int64; convert"):
        case.call(x)


CONVEX = [case for case in CASES if case.convex or case.proximal]


@pytest.mark.parametrize("case", CONVEX, ids=lambda case: case.id)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1e-3, 1.0, 1e3]))
def test_is_firmly_non_expansive(case, seed, scale):
    x, y = points(case, seed, scale=scale), points(case, seed + 1, scale=scale)
    px, py = case.call(x), case.call(y)
    step = (px - py).ravel()
    assert step @ step <= step @ (x - y).ravel() + 1e-9 * scale * scale


SETS = [case for case in CASES if case.convex and not case.proximal]


@pytest.mark.parametrize("case", SETS, ids=lambda case: case.id)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1e-3, 1.0, 1e3]))
def test_is_idempotent_and_satisfies_its_variational_inequality(case, seed, scale):
    x = points(case, seed, scale=scale)
    y = case.call(x)
    size = max(1.0, np.abs(x).max())
    assert np.abs(case.call(y) - y).max() <= 1e-10 * size
    # <x - y, z - y> <= 0 for every z of the set.
    z = case.call(points(case, seed + 1))
    assert ((x - y) * (z - y)).sum() <= 1e-8 * size * size


@VECTORS
def test_lengths_zero_and_one(case):
    if case.fixed:
        return
    for n in (0, 1):
        if n < case.least:
            with pytest.raises(ValueError, match="length at least 1 along the axis"):
                case.call(np.zeros((2, n)))
        else:
            x = np.array([[0.9], [-0.4]])[:, :n]
            for row, want in zip(case.call(x), x):
                agree(row, case.oracle(want) if n else want, want, case.tol)


torch = pytest.importorskip("torch")


def tensor(case, seed, batch=(), **kind):
    return torch.tensor(points(case, seed, batch), **kind)


@ALL
def test_torch_equals_numpy(case):
    x = tensor(case, 6, (2,))
    before = x.clone()
    want = case.call(x.numpy())
    got = case.call(x)
    assert isinstance(got, torch.Tensor)
    assert torch.equal(x, before)
    assert np.array_equal(got.numpy(), want)
    out = torch.empty_like(x)
    version = out._version
    assert case.call(x, out=out) is out
    assert np.array_equal(out.numpy(), want)
    assert out._version > version


@ALL
def test_gradients(case):
    for seed in range(3):
        x = tensor(case, 10 + seed, (2,), requires_grad=True)
        if case.id == "rotation":  # well away from a change of the determinant's sign
            x = (x.detach() * 0.2 + torch.eye(3)).requires_grad_()
        assert torch.autograd.gradcheck(case.call, (x,), eps=1e-7, atol=1e-5)


@ALL
def test_second_derivatives_are_refused(case):
    x = tensor(case, 12, requires_grad=True)
    (first,) = torch.autograd.grad(case.call(x).sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives of thalweg"):
        first.sum().backward()


@ALL
def test_single_precision_gradients(case):
    x = tensor(case, 13, requires_grad=True)
    y = x.detach().float().requires_grad_()
    v = tensor(case, 14)
    case.call(x).backward(v)
    case.call(y).backward(v.float())
    assert y.grad.dtype == torch.float32
    scale = max(1.0, float(x.grad.abs().max()))
    assert float((x.grad - y.grad).abs().max()) <= 2e-4 * scale


@ALL
def test_the_plain_form_agrees_with_the_core(case):
    """Half precision takes the plain torch form, as other devices do."""
    from thalweg.project import _engine

    found = {}
    original = _engine._native
    x = tensor(case, 15, (3,), requires_grad=True)

    def spy(what, *rest):
        found["what"] = what
        return original(what, *rest)

    _engine._native = spy
    try:
        want = case.call(x)
    finally:
        _engine._native = original
    axes = tuple(range(x.ndim - len(case.shape), x.ndim))
    got = _engine.reference(found["what"], x, axes)
    assert float((got - want).detach().abs().max()) <= 1e-9
    v = tensor(case, 16, (3,))
    (theirs,) = torch.autograd.grad(want, x, v)
    (plain,) = torch.autograd.grad(got, x, v)
    assert float((plain - theirs).abs().max()) <= 1e-6
    low = x.detach().bfloat16()
    half = case.call(low)
    assert half.dtype == torch.bfloat16
    assert float((half.double() - case.call(low.double())).abs().max()) <= 0.02 * float(
        low.abs().max()
    )


@ALL
def test_plain_form_refuses_what_is_not_finite(case):
    x = tensor(case, 17).bfloat16()
    x.view(-1)[0] = float("nan")
    with pytest.raises(ValueError, match="x holds NaN or infinity; replace"):
        case.call(x)


def test_out_is_checked():
    x = np.zeros(3)
    with pytest.raises(TypeError, match="out must be of the kind of x, got list; pass an array"):
        pr.simplex(x, out=[0.0] * 3)
    with pytest.raises(TypeError, match="out must be of the dtype of x, float64, got float32"):
        pr.simplex(x, out=np.zeros(3, np.float32))
    with pytest.raises(ValueError, match=r"out of shape \(4,\) does not match x of shape \(3,\)"):
        pr.simplex(x, out=np.zeros(4))
    locked = np.zeros(3)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="out must be writeable, got a read-only array; pass"):
        pr.simplex(x, out=locked)
    t = torch.zeros(3, requires_grad=True)
    with pytest.raises(ValueError, match="out must be None where a gradient is recorded"):
        pr.simplex(t, out=torch.zeros(3))
    with torch.no_grad():
        assert pr.simplex(t, out=torch.zeros(3)).sum() == 1


def test_axes_are_checked():
    with pytest.raises(ValueError, match="axis must be an axis of an array of 1 dimensions, got 1"):
        pr.simplex(np.zeros(3), axis=1)
    with pytest.raises(ValueError, match="axes must be two axes of an array of 1 dimensions"):
        pr.psd(np.zeros(3))
    with pytest.raises(ValueError, match=r"axes must be two different axes, got \(0, 0\)"):
        pr.psd(np.zeros((3, 3)), axes=(0, 0))


def test_integer_tensors_are_refused():
    with pytest.raises(TypeError, match=r"x must be floating point, got torch.int64; call .float"):
        pr.simplex(torch.ones(3, dtype=torch.int64))


def test_parameters_take_no_gradient():
    r = torch.tensor(1.0, requires_grad=True)
    with pytest.raises(TypeError, match="radius must be a constant, got a tensor that requires"):
        pr.simplex(torch.zeros(3), r)
    with pytest.raises(TypeError, match="weights must be a constant"):
        pr.l1_ball(torch.zeros(3), 1.0, torch.ones(3, requires_grad=True))
