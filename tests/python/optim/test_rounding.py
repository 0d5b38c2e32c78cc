"""Quantised numbers: error bounds, long runs without bias, parameters that follow float32."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from thalweg import _core, optim
from thalweg.optim import precision

HALVES = (torch.bfloat16, torch.float16)
every_half = pytest.mark.parametrize("dtype", HALVES, ids=str)
numbers = hnp.arrays(
    np.float32,
    st.integers(0, 700),
    elements=st.floats(-(2.0**80), 2.0**80, width=32, allow_subnormal=True),
)


def core(values):
    codes = np.empty(values.size, np.uint8)
    scales = np.empty(-(-values.size // 256), np.float32)
    _core.optim_encode(values, codes, scales)
    out = np.empty_like(values)
    _core.optim_decode(codes, scales, out)
    return codes, scales, out


@given(numbers, st.booleans())
@settings(max_examples=100, deadline=None)
def test_torch_and_core_have_one_quantiser(values, squares):
    values = np.abs(values) if squares else values
    codes, scales, out = core(values)
    theirs, scale = precision.quantize(torch.from_numpy(values))
    assert (theirs.numpy() == codes).all()
    assert (scale.numpy() == scales).all()
    back = precision.dequantize(theirs, scale).numpy()
    assert back.tobytes() == out.tobytes()


@given(numbers, st.booleans())
@settings(max_examples=100, deadline=None)
def test_error_of_the_quantiser(values, squares):
    values = np.abs(values) if squares else values
    out = core(values)[2]
    for x, y in zip(np.split(values, range(256, values.size, 256)),
                    np.split(out, range(256, values.size, 256)), strict=True):  # fmt: skip
        top = np.abs(x).max(initial=0.0)
        # Half of the smallest level, for a scale of at most twice the largest number.
        least = top * (3.5e-5 if (x < 0).any() else 1.1e-9)
        assert (np.abs(y - x) <= np.maximum(np.abs(x) / 16, least + 1e-44)).all()
        assert (np.sign(x) * y >= 0).all()
        if not (x < 0).any():
            assert ((y > 0) == (x > 0)).all() or top < 1e-37
    assert (core(out)[2] == out).all()


def test_small_second_moments_survive():
    # Gradients of one block over four orders of magnitude: squares over eight.
    p = torch.nn.Parameter(torch.zeros(256))
    q = torch.nn.Parameter(torch.zeros(256))
    sizes = torch.logspace(-4, 0, 256)
    low = optim.AdamW([p], lr=1e-3, eps=1e-12, weight_decay=0.0, state_dtype="int8")
    full = optim.AdamW([q], lr=1e-3, eps=1e-12, weight_decay=0.0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(300):
        g = sizes * torch.randn(256, generator=generator)
        before = p.detach().clone(), q.detach().clone()
        for r, optimizer in ((p, low), (q, full)):
            r.grad = g
            optimizer.step()
        step, expected = (r.detach() - b for r, b in zip((p, q), before, strict=True))
        # No coordinate explodes: steps keep the size they have in full precision.
        assert step.abs().max() <= 2 * expected.abs().max()
    v = precision.dequantize(low.state[p]["exp_avg_sq"], low.state[p]["exp_avg_sq_scale"])
    assert bool((v > 0).all())
    ratio = v / full.state[q]["exp_avg_sq"]
    assert 0.9 < float(ratio.mean()) < 1.1
    assert float(ratio.min()) > 0.3


@pytest.mark.parametrize("state_dtype", ["bfloat16", "int8"])
def test_slow_averages_have_no_bias(state_dtype):
    # beta = 0.9999 moves an average by less than half a level a step: nearest would stand still.
    n, steps = 4096, 2000
    p = torch.nn.Parameter(torch.zeros(n))
    optimizer = optim.AdEMAMix([p], lr=0.0, betas=(0.9, 0.999, 0.9999), state_dtype=state_dtype)
    p.grad = torch.ones(n)
    for _ in range(steps):
        optimizer.step()
    entry = optimizer.state[p]
    for name, beta in (("exp_avg_fast", 0.9), ("exp_avg_sq", 0.999), ("exp_avg_slow", 0.9999)):
        value = precision.dequantize(entry[name], entry.get(f"{name}_scale"))
        mean, expected = float(value.mean()), 1 - beta**steps
        assert abs(mean / expected - 1) <= 4 * float(value.std()) / math.sqrt(n) / expected + 1e-3


@every_half
def test_stochastic_parameters_move_by_the_mean_of_small_steps(dtype):
    # A step is a fortieth of the distance to the next number.
    n, steps, lr = 4096, 100, 2e-4 if dtype == torch.bfloat16 else 2.5e-5
    p = torch.nn.Parameter(torch.full((n,), 1.5, dtype=dtype))
    q = torch.nn.Parameter(torch.full((n,), 1.5, dtype=dtype))
    stochastic = optim.SGD([p], lr=lr, rounding="stochastic")
    nearest = optim.SGD([q], lr=lr)
    for r, optimizer in ((p, stochastic), (q, nearest)):
        for _ in range(steps):
            r.grad = torch.ones_like(r)
            optimizer.step()
    assert bool((q == 1.5).all())
    moved = (p.detach().double() - 1.5).mean()
    assert abs(float(moved) / (-lr * steps) - 1) < 0.02
    assert p.detach().unique().numel() > 3


@pytest.mark.parametrize("rule", ["AdamW", "SGD", "Lion", "AdEMAMix", "DiffGrad"])
def test_compensated_parameters_track_float32(rule):
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(2000, generator=generator).bfloat16()
    runs = {}
    for name, dtype, options in (
        ("full", torch.float32, {}),
        ("kahan", torch.bfloat16, {"rounding": "kahan"}),
        ("nearest", torch.bfloat16, {}),
    ):
        p = torch.nn.Parameter(start.clone().to(dtype))
        optimizer = getattr(optim, rule)([p], lr=1e-4, **options)
        draws = torch.Generator().manual_seed(1)
        for _ in range(300):
            # Gradients do not depend on the parameter: errors of rounding alone add up.
            p.grad = (1.0 + 0.5 * torch.randn(2000, generator=draws)).to(dtype).to(p.dtype)
            optimizer.step()
        runs[name] = p.detach().float()
        if name == "kahan":
            low = optimizer.state[p]["compensation"]
            assert low.dtype == torch.bfloat16
            whole = p.detach().float() + low.float()
    size = runs["full"].abs().clamp(min=0.01)
    # Sixteen bits of mantissa, rounded 300 times; what is shown has eight.
    assert float(((whole - runs["full"]).abs() / size).max()) < 2e-3
    assert float(((runs["kahan"] - runs["full"]).abs() / size).max()) < 2**-8 + 2e-3
    assert float((runs["nearest"] - runs["full"]).abs().mean()) > 5 * float(
        (runs["kahan"] - runs["full"]).abs().mean()
    )


@every_half
def test_wide_parameters_are_stored_exactly_whatever_the_rounding(dtype):
    for rounding in ("stochastic", "kahan"):
        p = torch.nn.Parameter(torch.randn(100, generator=torch.Generator().manual_seed(0)))
        q = torch.nn.Parameter(p.detach().clone())
        low = torch.nn.Parameter(p.detach().to(dtype))
        optimizer = optim.AdamW([p, low], rounding=rounding)
        other = optim.AdamW([q])
        for r in (p, q, low):
            r.grad = torch.ones_like(r)
        optimizer.step()
        other.step()
        assert torch.equal(p, q)
        assert "compensation" not in optimizer.state[p]
        assert ("compensation" in optimizer.state[low]) == (rounding == "kahan")


def test_scales_must_be_there():
    p = torch.nn.Parameter(torch.randn(1000))
    optimizer = optim.AdamW([p], state_dtype="int8")
    p.grad = torch.ones(1000)
    optimizer.step()
    before = p.detach().clone(), optimizer.state[p]["exp_avg"].clone()
    scale = optimizer.state[p].pop("exp_avg_scale")
    message = r'the scale of a state must be float32 of shape \(4,\) with state_dtype="int8", got'
    for wrong in (None, scale[:2], scale.double()):
        if wrong is not None:
            optimizer.state[p]["exp_avg_scale"] = wrong
        with pytest.raises(TypeError, match=message):
            optimizer.step()
    assert torch.equal(p, before[0])
    assert torch.equal(optimizer.state[p]["exp_avg"], before[1])
    with pytest.raises(ValueError, match=r"scale must be a tensor of 4 numbers, got None; pass"):
        optim.dequantize(optimizer.state[p]["exp_avg"])


def test_codes_and_scales_must_fit_the_values():
    values, codes, scales = np.zeros(300, np.float32), np.zeros(300, np.uint8), np.zeros(2, "f4")
    with pytest.raises(ValueError, match=r"codes of shape \(299,\) does not match the values"):
        _core.optim_encode(values, codes[1:].copy(), scales)
    with pytest.raises(ValueError, match=r"scales of shape \(1,\) does not match the values"):
        _core.optim_decode(codes, scales[1:].copy(), values)
    with pytest.raises(ValueError, match=r"slot must be at most 10, got 11"):
        _core.optim_dither(0, 11, 1)


def test_sharded_parameters_are_refused(monkeypatch):
    class Sharded(torch.Tensor):
        def to_local(self):
            return self

    p = torch.nn.Parameter(torch.zeros(3).as_subclass(Sharded))
    p.grad = torch.ones(3)
    optimizer = optim.AdamW([p], state_dtype="int8")
    with pytest.raises(NotImplementedError, match=r"state_dtype='int8' and rounding='nearest' is"):
        optimizer.step()
    assert bool((p == 0).all())
    assert not optimizer.state
