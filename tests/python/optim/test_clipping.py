"""Clipping outside the step: with the numbers of torch, and pixel by pixel."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import Parameter

from thalweg import optim, set_num_threads

SHAPES = ((33, 17), (7,), (1,), (3, 4, 5, 5))
NORMS = (2.0, 1.0, math.inf, "inf", 3.0, 0.5)


def parameters(dtype=torch.float32, scale=1.0, shapes=SHAPES):
    generator = torch.Generator().manual_seed(0)
    params = [Parameter(torch.ones(shape, dtype=dtype)) for shape in shapes]
    for p in params:
        p.grad = (torch.randn(p.shape, generator=generator) * scale).to(dtype)
    return params


def both(norm_type=2.0, max_norm=1.0, dtype=torch.float32, **options):
    """Norm and gradients by us and by torch."""
    out = []
    for clip in (optim.clip_grad_norm_, torch.nn.utils.clip_grad_norm_):
        params = parameters(dtype)
        total = clip(params, max_norm, norm_type, **options)
        out.append((total, [p.grad for p in params]))
    return out


TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 1e-2, torch.float16: 2e-3}


@pytest.mark.parametrize("max_norm", [0.1, 1.0, 1e4])
@pytest.mark.parametrize("norm_type", NORMS, ids=str)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_numbers_are_torchs(dtype, norm_type, max_norm):
    # Norms of order 0.5 leave the range of half precision, in torch too.
    if dtype == torch.float16 and norm_type == 0.5:
        pytest.skip("overflows")
    (ours, grads), (theirs, expected) = both(norm_type, max_norm, dtype)
    assert ours.dtype == theirs.dtype
    assert ours.shape == ()
    tolerance = TOLERANCE[dtype]
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=0)
    for g, e in zip(grads, expected, strict=True):
        torch.testing.assert_close(g, e, rtol=2 * tolerance, atol=0)


@pytest.mark.parametrize("foreach", [None, False, True])
def test_the_foreach_flag_changes_nothing(foreach):
    (ours, grads), (theirs, expected) = both(foreach=foreach)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    torch.testing.assert_close(grads, expected, rtol=1e-6, atol=0)


def test_gradients_of_several_types():
    out = []
    for clip in (optim.clip_grad_norm_, torch.nn.utils.clip_grad_norm_):
        params = parameters() + parameters(torch.float64) + parameters(torch.bfloat16)
        out.append((clip(params, 1.0), [p.grad for p in params]))
    assert out[0][0].dtype == out[1][0].dtype == torch.float64
    torch.testing.assert_close(out[0][0], out[1][0], rtol=1e-3, atol=0)
    torch.testing.assert_close(out[0][1], out[1][1], rtol=1e-2, atol=0)


def test_a_norm_below_the_limit_leaves_gradients_alone():
    params = parameters()
    before = [p.grad.clone() for p in params]
    versions = [p.grad._version for p in params]
    optim.clip_grad_norm_(params, 1e6)
    assert all(torch.equal(p.grad, b) for p, b in zip(params, before, strict=True))
    assert versions == [p.grad._version for p in params]


def test_the_version_of_a_clipped_gradient_rises():
    params = parameters()
    versions = [p.grad._version for p in params]
    optim.clip_grad_norm_(params, 0.1)
    assert all(p.grad._version > v for p, v in zip(params, versions, strict=True))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("norm_type", [1.0, 2.0, math.inf])
def test_nan_and_infinity_spread_as_in_torch(bad, norm_type):
    out = []
    for clip in (optim.clip_grad_norm_, torch.nn.utils.clip_grad_norm_):
        params = parameters()
        params[1].grad[3] = bad
        total = clip(params, 1.0, norm_type)
        out.append([total, *(p.grad for p in params)])
    torch.testing.assert_close(out[0], out[1], equal_nan=True, rtol=1e-6, atol=0)


def test_a_norm_that_is_not_finite_is_an_error_when_asked():
    params = parameters()
    params[0].grad[0, 0] = math.nan
    before = [p.grad.clone() for p in params]
    with pytest.raises(RuntimeError, match="must be finite, got nan"):
        optim.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    for p, b in zip(params, before, strict=True):
        assert torch.equal(p.grad.nan_to_num(7.0), b.nan_to_num(7.0))


def test_no_gradient_one_tensor_and_a_generator():
    assert float(optim.clip_grad_norm_([Parameter(torch.ones(2))], 1.0)) == 0.0
    (p, *_) = parameters()
    expected = p.grad.norm()
    torch.testing.assert_close(optim.clip_grad_norm_(p, 1.0), expected)
    params = parameters()
    params[1].grad = None
    total = optim.clip_grad_norm_((q for q in params), 1.0)
    norms = torch.stack([q.grad.norm() for q in params if q.grad is not None])
    assert float(total) > 1.0
    torch.testing.assert_close(norms.norm(), torch.tensor(1.0), rtol=1e-5, atol=0)


@pytest.mark.parametrize("kind", ["strided", "expanded", "complex", "shared", "empty", "meta"])
def test_what_is_out_of_reach_goes_to_torch(kind):
    def make():
        p, q = parameters(shapes=((6, 4), (6, 4)))
        if kind == "strided":
            p.grad = torch.randn(6, 8, generator=torch.manual_seed(1))[:, ::2]
        elif kind == "expanded":
            p.grad = torch.ones(6, 1).expand(6, 4)
        elif kind == "complex":
            p = Parameter(torch.ones(3, dtype=torch.complex64))
            p.grad = torch.full((3,), 3 + 4j)
        elif kind == "shared":
            q.grad = p.grad
        elif kind == "empty":
            p = Parameter(torch.ones(0, 3))
            p.grad = torch.ones(0, 3)
        else:
            return [Parameter(torch.empty(3, device="meta"))]
        return [p, q]

    if kind == "meta":
        (p,) = make()
        p.grad = torch.empty_like(p)
        assert optim.clip_grad_norm_([p], 1.0).device.type == "meta"
        return
    if kind == "expanded":
        # torch refuses to write it; so do we, with its words.
        with pytest.raises(RuntimeError):
            torch.nn.utils.clip_grad_norm_(make(), 1.0)
        with pytest.raises(RuntimeError):
            optim.clip_grad_norm_(make(), 1.0)
        return
    out = []
    for clip in (optim.clip_grad_norm_, torch.nn.utils.clip_grad_norm_):
        params = make()
        out.append([clip(params, 0.5), *(p.grad for p in params)])
    torch.testing.assert_close(out[0], out[1], rtol=1e-6, atol=0)


def test_the_same_bits_on_any_number_of_threads():
    finals = []
    for threads in (1, 2, 7):
        set_num_threads(threads)
        params = parameters(shapes=((700, 500), (123_457,), (3,)))
        total = optim.clip_grad_norm_(params, 1.0)
        finals.append([total, *(p.grad for p in params)])
    set_num_threads(0)
    for other in finals[1:]:
        assert all(torch.equal(a, b) for a, b in zip(finals[0], other, strict=True))


def test_clipping_before_the_step_is_clipping_inside_it():
    finals = []
    for inside in (False, True):
        params = parameters()
        optimizer = optim.AdamW(params, clip_norm=0.5 if inside else None)
        if not inside:
            optim.clip_grad_norm_(params, 0.5)
        optimizer.step()
        finals.append([p.detach() for p in params])
    torch.testing.assert_close(finals[0], finals[1], rtol=1e-6, atol=1e-7)


# Pixel-wise


def pixelwise_oracle(gradient, max_norm, norm):
    """Pixel after pixel, as the paper says it."""
    out = gradient.clone().double()
    for n in range(out.shape[0]):
        for h in range(out.shape[2]):
            for w in range(out.shape[3]):
                pixel = out[n, :, h, w]
                size = pixel.abs().max() if norm == "inf" else pixel.square().sum().sqrt()
                if size > max_norm:
                    out[n, :, h, w] = pixel * (max_norm / size)
    return out


@pytest.mark.parametrize("norm", ["inf", "2"])
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31), scale=st.sampled_from([1e-3, 1e-1, 1.0, 1e3]))
def test_pixelwise_is_the_oracle(norm, seed, scale):
    gradient = torch.randn(2, 3, 4, 5, generator=torch.manual_seed(seed), dtype=torch.float64)
    gradient[0, :, 0, 0] = 0.0
    gradient *= scale
    expected = pixelwise_oracle(gradient, 0.1, norm)
    assert optim.clip_grad_pixelwise_(gradient, 0.1, norm=norm) is gradient
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-15)


def test_channels_may_lie_anywhere():
    gradient = torch.randn(2, 3, 4, 5, generator=torch.manual_seed(0))
    expected = optim.clip_grad_pixelwise_(gradient.clone())
    last = optim.clip_grad_pixelwise_(gradient.movedim(1, -1).contiguous(), dim=-1)
    torch.testing.assert_close(last.movedim(-1, 1), expected)


def test_the_limit_follows_the_scale_of_the_loss():
    gradient = torch.randn(1, 3, 2, 2, generator=torch.manual_seed(0))
    expected = optim.clip_grad_pixelwise_(gradient.clone()) * 128
    scaled = optim.clip_grad_pixelwise_(gradient * 128, grad_scale=torch.tensor(128.0))
    torch.testing.assert_close(scaled, expected)


def test_a_pixel_with_nan_keeps_it_to_itself():
    gradient = torch.ones(1, 3, 1, 2)
    gradient[0, 1, 0, 0] = math.nan
    optim.clip_grad_pixelwise_(gradient)
    assert gradient[..., 0].isnan().all()
    torch.testing.assert_close(gradient[..., 1], torch.full((1, 3, 1), 0.1))


@pytest.mark.parametrize("norm", ["inf", "2"])
def test_a_picture_is_clipped_on_the_way_back(norm):
    image = torch.randn(1, 3, 4, 4, generator=torch.manual_seed(0), requires_grad=True)
    weights = torch.randn(1, 3, 4, 4, generator=torch.manual_seed(1))
    clipped = optim.clip_pixels(image, norm=norm)
    assert torch.equal(clipped, image)
    (clipped * weights).sum().backward()
    torch.testing.assert_close(
        image.grad, optim.clip_grad_pixelwise_(weights.clone(), norm=norm), rtol=1e-6, atol=0
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_norm": 0.0}, "max_norm must be a positive finite number, got 0.0"),
        ({"max_norm": math.nan}, "max_norm must be a positive finite number, got nan"),
        ({"norm": "1"}, 'norm must be "inf" or "2", got \'1\''),
        ({"dim": 4}, "dim must be an axis of a tensor with 4 axes, got 4"),
    ],
)
@pytest.mark.parametrize("function", [optim.clip_grad_pixelwise_, optim.clip_pixels])
def test_pixelwise_says_what_is_wrong(function, options, message):
    gradient = torch.ones(1, 3, 2, 2)
    with pytest.raises(ValueError, match=message):
        function(gradient, **options)
    assert torch.equal(gradient, torch.ones(1, 3, 2, 2))
