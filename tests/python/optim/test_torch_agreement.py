"""Rules that torch has too, against torch.optim itself."""

from __future__ import annotations

import pytest
import torch
from optim.harness import distance, feed, gradients, parameters, wide

from thalweg import optim

STEPS = 100
SHAPES = ((33, 17), (12, 40), (9, 9))
SHARED = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9, "dampening": 0.3, "maximize": True}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
    ("Adam", {"betas": (0.5, 0.9), "eps": 1e-3, "maximize": True}),
    ("AdamW", {}),
    ("Adamax", {"weight_decay": 0.1}),
    ("Adamax", {"betas": (0.5, 0.9), "eps": 1e-3, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"momentum_decay": 0.1, "betas": (0.5, 0.9), "eps": 1e-3, "maximize": True}),
    ("NAdam", {"weight_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {}),
    ("RAdam", {"betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr_decay": 0.1, "weight_decay": 0.1}),
    ("Adagrad", {"initial_accumulator_value": 0.5, "eps": 1e-3, "maximize": True}),
    ("Adadelta", {}),
    ("Adadelta", {"rho": 0.5, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"alpha": 0.9, "weight_decay": 0.1, "maximize": True}),
    ("RMSprop", {"momentum": 0.9, "eps": 1e-3}),
    ("RMSprop", {"centered": True, "alpha": 0.9}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "weight_decay": 0.1}),
    ("AdamW", {"amsgrad": True, "weight_decay": 0.1, "maximize": True}),
]


def newton_schulz(grad, coefficients, steps, eps):
    """Torch's iteration, without its rounding to bfloat16."""
    a, b, c = coefficients
    u = grad.T if grad.size(0) > grad.size(1) else grad
    u = u / u.norm().clamp(min=eps)
    for _ in range(steps):
        square = u @ u.T
        u = a * u + (b * square + c * square @ square) @ u
    return u.T if grad.size(0) > grad.size(1) else u


def gap(name, options, dtype, lr=1e-3):
    """Return the largest difference after all steps, relative to the largest element."""
    finals = []
    for module in (optim, torch.optim):
        params = parameters(SHAPES, dtype)
        optimizer = getattr(module, name)(params, lr=lr, **options)
        feed(optimizer, params, gradients(SHAPES, dtype, STEPS))
        finals.append([wide(p) for p in params])
    return max(distance(ours, theirs) for ours, theirs in zip(*finals, strict=True))


# 1e-6 in float32 is relative to the largest element: each of 100 steps rounds a parameter of size
# 1 to 4 by up to 1.2e-7 in both libraries, whose roundings part where torch rounds its lerp.
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-6)])
@pytest.mark.parametrize(("name", "options"), SHARED, ids=str)
def test_agrees_with_torch(name, options, dtype, tolerance):
    # torch's NAdam rounds a parameter twice a step.
    tolerance *= 1.5 if name == "NAdam" else 1.0
    assert gap(name, options, dtype) <= tolerance


MUON = [
    {},
    {"nesterov": False, "weight_decay": 0.0},
    {"adjust_lr_fn": "match_rms_adamw", "momentum": 0.8},
]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-6)])
@pytest.mark.parametrize("options", MUON, ids=str)
def test_muon_agrees_with_torch_in_equal_precision(options, dtype, tolerance, monkeypatch):
    module = pytest.importorskip("torch.optim._muon")
    monkeypatch.setattr(module, "_zeropower_via_newtonschulz", newton_schulz)
    assert gap("Muon", options, dtype) <= tolerance


def test_muon_is_close_to_torch_in_bfloat16():
    pytest.importorskip("torch.optim._muon")
    # torch iterates in bfloat16 (2^-9 a rounding), on steps that add up to about 0.1.
    assert gap("Muon", {}, torch.float64) <= 1e-2


def test_the_decoupled_switch_of_torch_is_a_name_for_the_decay():
    finals = []
    for module, options in (
        (optim, {"decay": "decoupled"}),
        (torch.optim, {"decoupled_weight_decay": True}),
    ):
        params = parameters(SHAPES)
        optimizer = module.Adam(params, weight_decay=0.1, **options)
        feed(optimizer, params, gradients(SHAPES, torch.float64, 10))
        finals.append([wide(p) for p in params])
    assert max(distance(a, b) for a, b in zip(*finals, strict=True)) <= 1e-12
