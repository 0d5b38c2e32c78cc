"""What single rules promise beyond their formula."""

from __future__ import annotations

import copy
import itertools
import math
import re

import numpy as np
import pytest
import torch
from optim.harness import feed, gradients, parameters, wide
from torch.nn import Parameter

from thalweg import optim, steps

F64 = torch.float64


def quadratic(optimizer, p, scale, goal, count):
    """Step down 0.5 * sum(scale * (p - goal)**2); return its values."""
    losses = []
    for _ in range(count):

        def closure():
            optimizer.zero_grad()
            loss = 0.5 * (scale * (p - goal) ** 2).sum()
            loss.backward()
            losses.append(loss.item())
            return loss

        optimizer.step(closure)
    return losses


# Schedule-Free AdamW, and whatever else has two points


TWO_POINTS = [
]
two_points = pytest.mark.parametrize(("name", "options"), TWO_POINTS, ids=str)


def run(name, options, count=5, shapes=((4, 3), (5,))):
    params = parameters(shapes)
    optimizer = getattr(optim, name)(params, **options)
    feed(optimizer, params, gradients(shapes, F64, count))
    return optimizer, params


def test_one_point_has_no_modes():
    optimizer, params = run("Adam", {})
    before = [p.detach().clone() for p in params]
    optimizer.eval()
    feed(optimizer, params, gradients(((4, 3), (5,)), F64, 1))
    assert not torch.equal(params[0], before[0])


# Adaptive Braking


# Tuned momentum


def zigzag(p):
    """Gradient of a 25-smooth, 1-strongly convex function on which the heavy ball cycles."""
    x = p.detach()
    return torch.where(x < 1, 25 * x, torch.where(x < 2, x + 24, 25 * x - 24))


        # A step at w = 1 is not ahead: the first momentum is (1 - 1) / 1.618 = 0.


# Energies


# Signs


# Noise


# Norms, signs of whole neurons, predictions, gates


# Shared with torch


@pytest.mark.parametrize("force_plain", [False, True], ids=["core", "plain"])
def test_adagrad_takes_sparse_gradients_as_torch_does(force_plain, monkeypatch):
    if force_plain:
        monkeypatch.setattr("thalweg._core.optim_step", lambda *_: None)
    finals = []
    for module in (optim, torch.optim):
        (p,) = parameters(((6, 3),))
        optimizer = module.Adagrad([p], lr=0.1)
        for rows in ([0, 2, 2], [5, 2, 1]):
            values = torch.arange(9, dtype=F64).reshape(3, 3)
            p.grad = torch.sparse_coo_tensor([rows], values, (6, 3), check_invariants=True)
            optimizer.step()
        finals.append(wide(p))
    np.testing.assert_allclose(*finals, rtol=1e-12)
    optimizer = optim.Adagrad([p], weight_decay=0.1)
    with pytest.raises(
        RuntimeError, match="weight_decay must be 0 for a sparse gradient in Adagrad"
    ):
        optimizer.step()


def test_adagrad_has_its_state_from_the_start():
    ours, theirs = (
        module.Adagrad(parameters(((2, 3),)), initial_accumulator_value=0.5)
        for module in (optim, torch.optim)
    )
    a, b = (next(iter(o.state_dict()["state"].values())) for o in (ours, theirs))
    assert sorted(a) == sorted(b)
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("name", ["NAdam", "RAdam"])
def test_the_switch_of_torch_and_the_form_of_decay_agree(name):
    make = getattr(optim, name)
    (p,) = parameters(((2,),))
    assert make([p], decoupled_weight_decay=True).defaults["decay"] == "decoupled"
    assert make([p], decay="decoupled").defaults["decoupled_weight_decay"] is True
    assert make([p]).defaults["decay"] == "coupled"
    with pytest.raises(
        ValueError, match="decoupled_weight_decay must be False with decay='cautious'"
    ):
        make([p], decoupled_weight_decay=True, decay="cautious")


def test_a_centered_variance_below_zero_is_zero():
    # In float32 the variance of equal gradients comes out negative, and torch makes NaN of it.
    p = Parameter(torch.zeros(1000))
    optimizer = optim.RMSprop([p], centered=True)
    value = torch.linspace(0.1, 10, 1000)
    for _ in range(2000):
        p.grad = value
        optimizer.step()
    assert torch.isfinite(p).all()
