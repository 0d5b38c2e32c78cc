"""States in bfloat16 and int8, for every rule: exact but for storage, resumable, in any layout."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from optim.formulas import LOSS
from optim.harness import build, distance, feed, gradients, parameters
from optim.rules import CASES, VARIANTS

from thalweg import _core, optim, steps
from thalweg.optim import precision

STATE_DTYPES = ("bfloat16", "int8")
EVERYTHING = {
    "weight_decay": 0.1,
    "decay": "cautious",
    "mask": "cautious",
    "maximize": True,
    "clip_norm": 5.0,
    "clip_value": 0.1,
}
# Sizes around a block of 256 and a block of the pass, and layouts of several axes.
SHAPES = ((1,), (255,), (257, 3), (3, 4, 5, 5), (1030,), (0,))
every_state = pytest.mark.parametrize("state_dtype", STATE_DTYPES)
every_rule = pytest.mark.parametrize("case", CASES, ids=str)


def shapes_of(case):
    return case.shapes if case.rule == "muon" else SHAPES


def bits(optimizer, params):
    """Return parameters and states as bytes."""
    out = []
    for p in params:
        entry = optimizer.state.get(p, {})
        kept = (p.detach(), *(entry[k] for k in sorted(entry)))
        out += [(t.dtype, t.double().contiguous().numpy().tobytes()) for t in kept]
    return out


def values(optimizer, p):
    """Return the state buffers of a parameter, as numbers."""
    entry = optimizer.state.get(p, {})
    names = [name for name, *_ in _core.optim_states(optimizer.rule, optimizer.param_groups[0])]
    return {k: precision.dequantize(entry[k], entry.get(f"{k}_scale")) for k in names if k in entry}


def twin(case, optimizer, params, **options):
    """Return float32 copies of parameters, and an optimizer that holds the same state exactly."""
    copies = [torch.nn.Parameter(p.detach().clone()) for p in params]
    other = build(case, copies, **options)
    other.load_state_dict(optimizer.state_dict())
    return other, copies


@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=["plain", "everything"])
@every_state
@pytest.mark.parametrize("case", [*CASES, *VARIANTS], ids=str)
def test_a_step_is_that_of_full_precision_and_then_rounds(case, state_dtype, options):
    shapes = shapes_of(case)
    params = parameters(shapes, torch.float32)
    optimizer = build(case, params, state_dtype=state_dtype, **options)
    scope = _core.optim_traits(optimizer.rule, optimizer.param_groups[0])["scope"]
    # Blocks of codes do not end where filters end; plain torch steps such parameters.
    apart = 1e-5 if scope == "filter" and state_dtype == "int8" else 0.0
    for row in gradients(shapes, torch.float32, 5):
        other, copies = twin(case, optimizer, params, **options)
        feed(other, copies, [row])
        feed(optimizer, params, [row])
        for p, q in zip(params, copies, strict=True):
            assert distance(p.detach(), q.detach()) <= apart
            full, stored = values(other, q), values(optimizer, p)
            assert sorted(full) == sorted(stored)
            for name, x in full.items():
                assert optimizer.state[p][name].dtype == precision.FORMATS[state_dtype]
                is_neighbour(x, stored[name], state_dtype)


def is_neighbour(x, y, state_dtype):
    """Assert that `y` is `x` up to one level."""
    assert x.shape == y.shape
    if x.numel() == 0:
        return
    ulp, least = (1 / 128, 0.0) if state_dtype == "bfloat16" else (1 / 8, 3.5e-5)
    # The smallest level of a block with negative numbers, for a scale of twice the largest.
    least = 2 * least * x.abs().max() if bool((x < 0).any()) else 1.1e-9 * x.abs().max()
    assert bool(((y - x).abs() <= torch.maximum(ulp * x.abs(), least)).all())


@every_state
@every_rule
def test_plain_path_rounds_to_the_same_bits(case, state_dtype, monkeypatch):
    # In float64 both paths agree far below a level, so that stored bits are the same.
    results = []
    for force in (False, True):
        params = parameters(shapes_of(case), torch.float64)
        optimizer = build(case, params, state_dtype=state_dtype)
        if force:
            monkeypatch.setattr(_core, "optim_step", lambda *_: None)
        feed(optimizer, params, gradients(shapes_of(case), torch.float64, 4))
        results.append((params, optimizer))
    (first, ours), (second, plain) = results
    for p, q in zip(first, second, strict=True):
        assert distance(p.detach(), q.detach()) < case.exact
        assert list(ours.state.get(p, {})) == list(plain.state.get(q, {}))
        stored = {key for name in values(ours, p) for key in (name, f"{name}_scale")}
        for name, value in ours.state.get(p, {}).items():
            other = plain.state[q][name]
            same = torch.equal if name in stored else lambda a, b: distance(a, b) < 1e-9
            assert same(value, other), name


@pytest.mark.parametrize("rounding", ["stochastic", "kahan"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@every_rule
def test_plain_path_rounds_parameters_alike(case, dtype, rounding, monkeypatch):
    results = []
    for force in (False, True):
        params = parameters(shapes_of(case), dtype)
        optimizer = build(case, params, rounding=rounding)
        if force:
            monkeypatch.setattr(_core, "optim_step", lambda *_: None)
        feed(optimizer, params, gradients(shapes_of(case), dtype, 4))
        results.append([p.detach() for p in params])
    differing = sum(int((a != b).sum()) for a, b in zip(*results, strict=True))
    # Formulas round differently in the last place of float32, which rarely reaches 16 bits.
    assert differing <= 0.01 * sum(p.numel() for p in params)
    for a, b in zip(*results, strict=True):
        assert distance(a.float(), b.float()) <= 1e-2


def save_and_load(optimizer):
    buffer = io.BytesIO()
    torch.save(optimizer.state_dict(), buffer)
    buffer.seek(0)
    return torch.load(buffer)


OPTIONS = [
    {"state_dtype": "bfloat16"},
    {"state_dtype": "int8"},
    {"state_dtype": "int8", "rounding": "stochastic"},
    {"state_dtype": "bfloat16", "rounding": "kahan"},
    {"rounding": "stochastic"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o.values()))
@every_rule
def test_a_resumed_run_has_the_same_bits(case, options):
    shapes = shapes_of(case)
    grads = gradients(shapes, torch.bfloat16, 6)
    whole = parameters(shapes, torch.bfloat16)
    optimizer = build(case, whole, **options)
    feed(optimizer, whole, grads)

    params = parameters(shapes, torch.bfloat16)
    first = build(case, params, **options)
    feed(first, params, grads[:3])
    second = build(case, params, **options)
    second.load_state_dict(save_and_load(first))
    copied = copy.deepcopy((params, first))
    pickled = pickle.loads(pickle.dumps((params, first)))
    feed(second, params, grads[3:])
    assert bits(second, params) == bits(optimizer, whole)
    for others, other in (copied, pickled):
        others = [p for group in other.param_groups for p in group["params"]]
        feed(other, others, grads[3:])
        assert bits(other, others) == bits(optimizer, whole)


@every_state
@every_rule
def test_precisions_convert_without_loss_where_there_is_none(case, state_dtype):
    shapes = shapes_of(case)
    params = parameters(shapes, torch.float32)
    low = build(case, params, state_dtype=state_dtype)
    feed(low, params, gradients(shapes, torch.float32, 3))
    full, copies = twin(case, low, params)
    back = build(case, copies, state_dtype=state_dtype)
    back.load_state_dict(save_and_load(full))
    assert all(group["state_dtype"] == state_dtype for group in back.param_groups)
    for p, q in zip(params, copies, strict=True):
        for name, value in values(low, p).items():
            assert torch.equal(full.state[q][name], value), name
            assert torch.equal(values(back, q)[name], value), name
        assert [k for k in full.state.get(q, {}) if k.endswith("_scale")] == []


@every_state
def test_a_checkpoint_of_torch_fits(state_dtype):
    params = parameters([(33, 17)], torch.float32)
    theirs = torch.optim.AdamW(params, lr=1e-2)
    feed(theirs, params, gradients([(33, 17)], torch.float32, 3))
    ours = optim.AdamW(params, lr=1e-2, state_dtype=state_dtype)
    ours.load_state_dict(theirs.state_dict())
    full = theirs.state[params[0]]
    for name, value in values(ours, params[0]).items():
        assert distance(value, full[name]) < 0.07
    assert int(ours.state[params[0]]["step"]) == 3
    feed(ours, params, gradients([(33, 17)], torch.float32, 1, seed=5))


def channels_last(t):
    return t.to(memory_format=torch.channels_last)


def strided(t):
    return torch.stack([t, t], dim=-1)[..., 0]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o.values()))
@pytest.mark.parametrize("layout", [channels_last, strided], ids=lambda f: f.__name__)
def test_layouts(layout, options):
    value = torch.randn(6, 5, 8, 9, generator=torch.Generator().manual_seed(0)).bfloat16()
    grads = [g[0].reshape(6, 5, 8, 9) for g in gradients([(2160,)], torch.bfloat16, 3)]
    finals = []
    # Codes follow the order of memory: channels-last data compare with their own order.
    for of in (layout, lambda t: t):
        order = layout if layout is channels_last else torch.Tensor.contiguous
        flat = of is not layout

        def place(t, flat=flat, order=order):
            return precision.flat(order(t)).clone() if flat else layout(t)

        p = torch.nn.Parameter(place(value.clone()))
        optimizer = optim.AdamW([p], lr=1e-2, **options)
        for g in grads:
            p.grad = place(g)
            optimizer.step()
        entry = optimizer.state[p]
        finals.append([
            precision.flat(order(t)) if t.dim() == 4 else t
            for t in (p.detach(), *(entry[k] for k in sorted(entry)))
        ])  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(*finals, strict=True))


def test_codes_follow_a_parameter_that_changes_its_layout():
    p = torch.nn.Parameter(torch.randn(6, 5, 8, 9))
    optimizer = optim.AdamW([p], lr=1e-2, state_dtype="int8")
    p.grad = torch.randn_like(p)
    optimizer.step()
    before = values(optimizer, p)
    p.data = channels_last(p.data)
    p.grad = torch.zeros_like(p)
    optimizer.step()
    for name, beta in (("exp_avg", 0.9), ("exp_avg_sq", 0.999)):
        is_neighbour(beta * before[name], values(optimizer, p)[name], "int8")
        assert optimizer.state[p][name].stride() == p.stride()


@pytest.mark.parametrize("options", OPTIONS[:2], ids=lambda o: "-".join(o.values()))
def test_complex_parameters(options):
    value = torch.randn(33, 9, dtype=torch.complex64)
    grads = [torch.randn(33, 9, dtype=torch.complex64) for _ in range(3)]
    p = torch.nn.Parameter(value.clone())
    q = torch.nn.Parameter(torch.view_as_real(value).clone())
    optimizers = [optim.AdamW([r], lr=1e-2, **options) for r in (p, q)]
    for g in grads:
        p.grad, q.grad = g, torch.view_as_real(g)
        for optimizer in optimizers:
            optimizer.step()
    assert torch.equal(torch.view_as_real(p.detach()), q.detach())
    full = optim.AdamW([p], lr=1e-2)
    full.load_state_dict(optimizers[0].state_dict())
    assert full.state[p]["exp_avg"].dtype == torch.complex64
    loaded = torch.view_as_real(full.state[p]["exp_avg"])
    assert torch.equal(loaded, values(optimizers[1], q)["exp_avg"])


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o.values()))
def test_an_error_or_a_skipped_step_changes_nothing(options):
    params = parameters([(33, 17), (300,)], torch.bfloat16)
    grads = gradients([(33, 17), (300,)], torch.bfloat16, 2)
    optimizer = optim.AdamW(params, on_nonfinite="raise", **options)
    feed(optimizer, params, grads[:1])
    before = bits(optimizer, params)
    grads[1][1][7] = torch.inf
    with pytest.raises(ValueError, match="grad of parameter 1 holds NaN or infinity"):
        feed(optimizer, params, grads[1:])
    optimizer.on_nonfinite = "skip"
    feed(optimizer, params, grads[1:])
    assert bits(optimizer, params) == before


def test_a_nan_gradient_reaches_its_block_only():
    p = torch.nn.Parameter(torch.zeros(1000))
    optimizer = optim.AdamW([p], state_dtype="int8")
    p.grad = torch.ones(1000)
    p.grad[300] = torch.nan
    optimizer.step()
    lost = values(optimizer, p)["exp_avg"].isnan()
    assert bool(lost[256:512].all())
    assert int(lost.sum()) == 256


@pytest.mark.parametrize(
    ("options", "limit"),
    [({"state_dtype": "int8"}, 2.1), ({"state_dtype": "bfloat16"}, 4.01), ({}, 8.01)],
)
def test_bytes_of_state(options, limit):
    p = torch.nn.Parameter(torch.randn(1000, 100))
    p.grad = torch.randn_like(p)
    optimizer = optim.AdamW([p], **options)
    optimizer.step()
    held = sum(t.numel() * t.element_size() for t in optimizer.state[p].values())
    assert held / p.numel() <= limit


@every_state
@every_rule
def test_numpy_has_the_bits_of_torch(case, state_dtype):
    shapes = shapes_of(case)
    if case.rule == "muon":
        pytest.skip("products are torch's here and the core's there")
    if case.rule == "nadam":
        pytest.skip("mu_product is float32 here, as in torch, and float64 there")
    grads = gradients(shapes, torch.float32, 3)
    params = parameters(shapes, torch.float32)
    arrays = [p.detach().clone().numpy() for p in params]
    ours = build(case, params, state_dtype=state_dtype)
    rule = getattr(steps, type(ours).__name__)(**case.hyper, state_dtype=state_dtype)
    loss = {"loss": LOSS} if ours.needs_loss else {}
    feed(ours, params, grads)
    for row in grads:
        rule.step(arrays, [g.numpy() for g in row], **loss)
    for number, (p, array) in enumerate(zip(params, arrays, strict=True)):
        assert (p.detach().numpy() == array).all()
        entry = rule.state.get(number, {})
        for name, value in values(ours, p).items():
            got = steps.dequantize(entry[name], entry.get(f"{name}_scale"))
            assert got.shape == value.shape
            assert (got == value.numpy()).all(), name


@pytest.mark.parametrize("order", ["C", "F", "gaps"])
@every_state
def test_numpy_state_converts_and_resumes(state_dtype, order):
    rng = np.random.default_rng(0)

    def array():
        x = rng.standard_normal((40, 30)).astype(np.float32, order="C" if order == "C" else "F")
        return np.repeat(x, 2, axis=0)[::2] if order == "gaps" else x

    x, grads = array(), [array() for _ in range(4)]
    y = x.copy(order="K")
    rule, other = (steps.AdamW(lr=1e-2, state_dtype=state_dtype) for _ in range(2))
    for g in grads:
        rule.step([x], [g])
    for g in grads[:2]:
        other.step([y], [g])
    full = steps.AdamW(lr=1e-2)
    full.load_state_dict(other.state_dict())
    assert full.hyper["state_dtype"] == "float32"
    again = steps.AdamW(lr=1e-2, state_dtype=state_dtype)
    again.load_state_dict(pickle.loads(pickle.dumps(full.state_dict())))
    for name in ("exp_avg", "exp_avg_sq"):
        states = [r.state[0] for r in (other, full, again)]
        a, b, c = (steps.dequantize(s[name], s.get(f"{name}_scale")) for s in states)
        assert (a == b).all()
        assert (b == c).all()
    for g in grads[2:]:
        again.step([y], [g])
    assert (x == y).all()
