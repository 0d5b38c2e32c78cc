"""EG+-: pairs of positive weights, with and without a fixed sum."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optim.harness import feed, gradients, parameters, wide
from torch.nn import Parameter

from thalweg import optim

F64 = torch.float64
numbers = st.floats(-50, 50, allow_subnormal=False)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20), st.floats(1e-3, 10.0))
@settings(deadline=None, max_examples=50)
def test_without_a_total_it_is_the_hyperbolic_map(pairs, scale):
    x, g = np.array(pairs).T
    p = Parameter(torch.from_numpy(x.copy()))
    p.grad = torch.from_numpy(g.copy())
    optim.EGPM([p], lr=0.1, scale=scale).step()
    expected = 2 * scale * np.sinh(np.arcsinh(x / (2 * scale)) - 0.1 * g)
    bound = np.sqrt(x**2 + 4 * scale**2) * np.exp(0.1 * np.abs(g))
    assert (np.abs(wide(p) - expected) <= 1e-12 * bound).all()


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_the_weights_of_each_neuron_keep_their_sum(dtype):
    shapes = ((5, 40), (9,))
    params = parameters(shapes, dtype)
    optimizer = optim.EGPM(params, lr=0.3, total=7.0)
    for row in gradients(shapes, dtype, 10):
        feed(optimizer, params, [row])
        for p in params:
            b = optimizer.state[p]["root"].double()
            both = (p.detach().double() ** 2 + 4 * b**2).sqrt()
            sums = both.sum(1) if p.dim() == 2 else both.sum(0)
            torch.testing.assert_close(sums, torch.full_like(sums, 7.0), rtol=1e-5, atol=0.0)


def test_sparse_targets_take_few_steps_where_gradient_descent_takes_many():
    # The bound of Kivinen and Warmuth grows with the logarithm of the number of inputs.
    rng = np.random.default_rng(0)
    n, d = 60, 400
    a = torch.from_numpy(rng.choice([-1.0, 1.0], (n, d)))
    w = torch.zeros(d, dtype=F64)
    w[[3, 100]] = torch.tensor([1.0, -1.0], dtype=F64)
    ends = []
    for make in (
        lambda p: optim.EGPM([p], lr=1.0, total=2.0),
        lambda p: optim.SGD([p], lr=1.0 / d),
    ):
        p = Parameter(torch.zeros(d, dtype=F64))
        optimizer = make(p)
        for _ in range(200):
            p.grad = a.T @ (a @ (p.detach() - w)) / n
            optimizer.step()
        ends.append(float((p.detach() - w).abs().sum()))
    assert ends[0] < 0.1
    assert ends[1] > 1.0


def test_weights_cross_zero():
    p = Parameter(torch.tensor([1.0, -1.0], dtype=F64))
    optimizer = optim.EGPM([p], lr=0.2)
    for _ in range(300):
        p.grad = p.detach() + torch.tensor([1.0, -1.0], dtype=F64)
        optimizer.step()
    torch.testing.assert_close(p.detach(), torch.tensor([-1.0, 1.0], dtype=F64), rtol=0, atol=1e-6)


def test_the_exponent_is_clipped_and_nan_shows():
    p = Parameter(torch.tensor([1.0, 1.0, 1.0]))
    p.grad = torch.tensor([1e30, -1e30, torch.nan])
    optim.EGPM([p], lr=1.0, max_log_step=2.0, scale=1e-6).step()
    assert p.tolist()[:2] == pytest.approx([np.exp(-2), np.exp(2)], rel=1e-5)
    assert p[2].isnan()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"total": 0.0}, "total must be None or a finite number > 0, got 0.0"),
        ({"scale": 0.0}, "scale must be a finite number > 0, got 0.0"),
        ({"lr": -1.0}, "lr must be a finite number >= 0, got -1.0"),
        ({"max_log_step": 0.0}, "max_log_step must be a finite number > 0, got 0.0"),
    ],
    ids=str,
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        optim.EGPM([Parameter(torch.ones(2))], **options)
