"""What every method must bear that calls closures at points of its own: failures, resumes, copies.

A maker gets parameters and returns an optimizer; an advance gets the optimizer and two closures.
"""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch.nn import Parameter


def leaves(dtype=torch.float32):
    """A matrix, a vector and a parameter that no loss depends on."""
    generator = torch.Generator().manual_seed(3)
    shapes = ((4, 3), (5,), (2,))
    return [Parameter(torch.randn(s, generator=generator).to(dtype)) for s in shapes]


def closures(params):
    """A smooth loss of both parameters, and another, rougher one."""
    w, b, _ = params

    def first():
        return ((w - 1).square().sum() + (b + w.sum()).square().sum()) / 10

    def second():
        return (w.abs().sum() + (b - 2).abs().sum()) / 10 + w.square().sum() / 20

    return first, second


def bits(value):
    """A nested structure with tensors as bytes, to compare exactly."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.detach().numpy().tobytes()
    if isinstance(value, dict):
        return {key: bits(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [bits(entry) for entry in value]
    return value


def everything(optimizer, params):
    return bits([list(params), optimizer.state_dict()])


class Failing:
    """A closure that goes wrong at its n-th call."""

    def __init__(self, closure, kind, call):
        self.closure, self.kind, self.call, self.count = closure, kind, call, 0

    def __call__(self):
        self.count += 1
        loss = self.closure()
        if self.count != self.call:
            return loss
        if self.kind == "raises":
            raise KeyError("mine")
        if self.kind == "gradient":
            loss = loss * 1.0
            loss.register_hook(lambda g: g * float("nan"))
            return loss
        return {
            "nan": loss * float("nan"),
            "infinite": loss + float("inf"),
            "nothing": None,
            "matrix": loss * torch.ones(2, 2),
            "text": "loss",
        }[self.kind]


FAILURES = {
    "raises": (KeyError, "mine"),
    "nan": (ValueError, "finite"),
    "infinite": (ValueError, "finite"),
    "gradient": (ValueError, "gradients of .* must be finite"),
    "nothing": (TypeError, "must return the loss"),
    "matrix": (ValueError, "one element"),
    "text": (TypeError, "must return the loss"),
}


def assert_fails_whole(make, advance, which, call, kind, dtype=torch.float32):
    """A closure that fails leaves parameters and state as they were, bit for bit."""
    params = leaves(dtype)
    optimizer = make(params)
    pair = closures(params)
    for _ in range(2):
        advance(optimizer, *pair)
    before = everything(optimizer, params)
    addresses = [p.data_ptr() for p in params]
    failing = list(pair)
    failing[which] = Failing(pair[which], kind, call)
    error, match = FAILURES[kind]
    with pytest.raises(error, match=match):
        advance(optimizer, *failing)
    assert failing[which].count == call
    assert everything(optimizer, params) == before
    assert [p.data_ptr() for p in params] == addresses
    twin = leaves(dtype)
    other = make(twin)
    pair_of_twin = closures(twin)
    for _ in range(3):
        advance(other, *pair_of_twin)
    advance(optimizer, *pair)
    assert everything(optimizer, params) == everything(other, twin)


def assert_resumes(make, advance, dtype=torch.float32, before=3, after=4):
    """A run that is saved in the middle goes on as if it had not been."""
    params = leaves(dtype)
    optimizer = make(params)
    for _ in range(before):
        advance(optimizer, *closures(params))
    file = io.BytesIO()
    torch.save({"optimizer": optimizer.state_dict(), "params": params}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed = [Parameter(p.detach().clone()) for p in saved["params"]]
    again = make(resumed)
    again.load_state_dict(saved["optimizer"])
    for _ in range(after):
        advance(optimizer, *closures(params))
        advance(again, *closures(resumed))
    assert everything(again, resumed) == everything(optimizer, params)


def assert_copies(make, advance):
    """Copies and pickles give independent twins."""
    params = leaves()
    optimizer = make(params)
    advance(optimizer, *closures(params))
    twins = [
        copy.deepcopy((optimizer, params)),
        pickle.loads(pickle.dumps((optimizer, params))),
    ]
    before = everything(optimizer, params)
    for other, others in twins:
        advance(other, *closures(others))
    assert everything(optimizer, params) == before
    advance(optimizer, *closures(params))
    for other, others in twins:
        assert everything(other, others) == everything(optimizer, params)


def assert_skips_what_has_no_gradient(make, advance):
    params = leaves()
    kept = params[2].detach().clone()
    moved = params[0].detach().clone()
    optimizer = make(params)
    for _ in range(3):
        advance(optimizer, *closures(params))
    assert torch.equal(params[2], kept)
    assert not torch.equal(params[0], moved)


def assert_works_with_a_scheduler(make, advance):
    """A rate that a scheduler has set is the rate of the step."""
    finals = []
    for scheduled in (True, False):
        params = leaves()
        optimizer = make(params)
        if scheduled:
            scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
        for _ in range(3):
            advance(optimizer, *closures(params))
            if scheduled:
                scheduler.step()
            else:
                for group in optimizer.param_groups:
                    group["lr"] *= 0.5
        finals.append(bits(params))
    assert finals[0] == finals[1]
