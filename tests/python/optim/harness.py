"""Runs a case through the product and through its oracle, on the same gradients."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from optim import oracles
from optim.formulas import LOSS

from thalweg import _core, optim

CLASSES = {entry["name"]: entry["class"] for entry in _core.optim_rules()}
# What an oracle does not keep: counters, and numbers that follow from the rest of the state.
HIDDEN = ("step", "guess", "products", "average_error")
DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def _told(self, closure=None):
    return super(type(self), self).step(closure or (lambda: LOSS))


# Rules that ask for the loss are told one by tests that give none.
TOLD = {
    name: type(name, (getattr(optim, name),), {"step": _told, "__module__": __name__})
    for name in CLASSES.values()
    if getattr(optim, name).needs_loss
}
globals().update(TOLD)


def build(case, params, **options):
    """Return the optimizer of a case."""
    name = CLASSES[case.rule]
    kind = TOLD.get(name) or getattr(optim, name)
    return kind(params, **{**case.hyper, **options})


def parameters(shapes, dtype=torch.float64, seed=0):
    rng = np.random.default_rng(seed)
    return [
        torch.nn.Parameter(torch.from_numpy(rng.standard_normal(shape)).to(dtype))
        for shape in shapes
    ]


def gradients(shapes, dtype, steps, seed=1):
    """Return one list of gradients a step; some elements are exactly zero."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(steps):
        draws = [rng.standard_normal(shape) * (rng.random(shape) > 0.1) for shape in shapes]
        out.append([torch.from_numpy(draw).to(dtype) for draw in draws])
    return out


def feed(optimizer, params, grads):
    """Step once for every list of gradients."""
    for row in grads:
        for p, g in zip(params, row, strict=True):
            p.grad = g
        optimizer.step()


def wide(tensor):
    return tensor.detach().double().numpy().copy()


def states(optimizer, params):
    """Return states by name in float64, without step counters."""
    return [
        {
            k: wide(v)
            for k, v in optimizer.state.get(p, {}).items()
            if k not in HIDDEN and v is not None
        }
        for p in params
    ]


def oracle(case, optimizer, params, grads):
    """Return what the oracle makes of fresh `params`: parameters and states, in float64."""
    h = dict(optimizer.param_groups[0])
    dtype = params[0].dtype
    xs, ss = [wide(p) for p in params], states(optimizer, params)
    if case.rule == "gravity":
        ss = [s or {"velocity": np.zeros_like(x)} for s, x in zip(ss, xs, strict=True)]

    def rounded(x):
        # Low-precision parameters are rounded once, when they are stored.
        return wide(torch.from_numpy(x).to(dtype)) if dtype.itemsize == 2 else x

    for t, row in enumerate(grads, 1):
        oracles.step(case.rule, xs, [wide(g) for g in row], ss, t, h, rounded)
    return xs, ss


def distance(a, b):
    """Largest difference, relative to the largest element of `b`."""
    a, b = np.asarray(a), np.asarray(b)
    if b.size == 0:
        return 0.0 if a.shape == b.shape else np.inf
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30))


def digest_all(cases, steps=3):
    """Return a hash of what some steps of every case leave, in every type."""
    out = hashlib.sha256()
    for case in cases:
        for dtype in DTYPES.values():
            everything = {"mask": "cautious", "clip_norm": 1.0, "weight_decay": 0.1}
            low = {"state_dtype": "int8", "rounding": "stochastic"}
            for options in ({}, everything, low, {"state_dtype": "bfloat16"}):
                params = parameters(case.shapes, dtype)
                optimizer = build(case, params, **options)
                feed(optimizer, params, gradients(case.shapes, dtype, steps))
                for p in params:
                    kept = optimizer.state.get(p, {}).values()
                    for t in (p.detach(), *kept):
                        if t is not None:
                            out.update(t.double().contiguous().numpy().tobytes())
    return out.hexdigest()
