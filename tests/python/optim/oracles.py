"""A step with every modifier, in plain float64 numpy, around the formulas of `rules`."""

from __future__ import annotations

import math

import numpy as np
from optim.rules import ORACLES, orthogonal


def step(rule, params, grads, states, t, h, rounded=lambda x: x):
    """Step a list of arrays and their states; `rounded` is what storing a parameter does."""
    total = math.sqrt(sum(float((g * g).sum()) for g in grads))
    for index, (x, g) in enumerate(zip(params, grads, strict=True)):
        s = states[index]
        if h["clip_norm"] is not None:
            g = g * min(1.0, h["clip_norm"] / (total + 1e-6))
        if h["clip_value"] is not None:
            g = np.clip(g, -h["clip_value"], h["clip_value"])
        if h["maximize"]:
            g = -g
        if h["decay"] == "coupled":
            g = g + h["weight_decay"] * x
        u = _masked(ORACLES[rule](x, g, s, t, h), g, h)
        if rule == "muon":
            u = orthogonal(u, h)
        params[index] = rounded(_decayed(x, u, h) - u)


def _masked(u, g, h):
    if h["mask"] == "grams":
        return np.sign(g) * np.abs(u)
    if h["mask"] == "cautious":
        agree = np.sign(u) * np.sign(g) > 0
        if h["mask_scale"] == "count_plus_one":
            return u * agree * (agree.size / (agree.sum() + 1))
        return u * agree / max(agree.mean(), 1e-3)
    return u


def _decayed(x, u, h):
    strength = h["lr"] * h["weight_decay"]
    if h["decay"] == "decoupled":
        return x * (1 - strength)
    if h["decay"] == "cautious":
        return x - strength * np.where(np.sign(u) * np.sign(x) >= 0, x, 0.0)
    return x
