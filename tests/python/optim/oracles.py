"""A step with every modifier, in plain float64 numpy, around the formulas of `rules`."""

from __future__ import annotations

import math

import numpy as np
from optim.formulas import OWN_DECAY, move, rate
from optim.rules import ORACLES, orthogonal


def step(rule, params, grads, states, t, h, rounded=lambda x: x):
    """Step a list of arrays and their states; `rounded` is what storing a parameter does."""
    total = math.sqrt(sum(float((g * g).sum()) for g in grads))
    own = h["decay"] in OWN_DECAY.get(rule, lambda h: ())(h)
    seen = []
    for x, g in zip(params, grads, strict=True):
        if h["clip_norm"] is not None:
            g = g * min(1.0, h["clip_norm"] / (total + 1e-6))
        if h["clip_value"] is not None:
            g = np.clip(g, -h["clip_value"], h["clip_value"])
        if h["maximize"]:
            g = -g
        if h["decay"] == "coupled" and not own:
            g = g + h["weight_decay"] * x
        seen.append(g)
    norm = math.sqrt(sum(float((g * g).sum()) for g in seen))
    strength = 0.0 if own else rate(rule, h) * h["weight_decay"]
    h = {**h, "norm": norm, "own": {h["decay"]: h["weight_decay"]} if own else {}}
    for index, (x, g) in enumerate(zip(params, seen, strict=True)):
        u = _masked(ORACLES[rule](x, g, states[index], t, {**h, "number": index}), g, h)
        if rule == "muon":
            u = orthogonal(u, h)
        if h.get("update_sign") is not None:
            u = u * states[index]["update_sign"]
        params[index] = rounded(_moved(rule, x, u, strength, h))


def _masked(u, g, h):
    if h["mask"] == "grams":
        return np.sign(g) * np.abs(u)
    if h["mask"] == "cautious":
        agree = np.sign(u) * np.sign(g) > 0
        if h["mask_scale"] == "count_plus_one":
            return u * agree * (agree.size / (agree.sum() + 1))
        return u * agree / max(agree.mean(), 1e-3)
    return u


def _moved(rule, x, u, strength, h):
    decayed = x
    if h["decay"] == "decoupled":
        decayed = x * (1 - strength)
    elif h["decay"] == "cautious":
        decayed = x - strength * np.where(np.sign(u) * np.sign(x) >= 0, x, 0.0)
    factor = move(rule, x, u, h)
    if factor is not None:
        return decayed * factor
    moved = decayed - u
    if h.get("geometry") == "frozen":
        return np.where((np.sign(moved) * np.sign(x) <= 0) & (x != 0), 1e-18 * np.sign(x), moved)
    return moved
