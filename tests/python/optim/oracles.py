"""Every rule and every modifier in plain float64 numpy, as the papers write them.

Nothing here is imported from the product. A rule is a function `(x, g, s, t, h)`: parameter,
gradient as the rule sees it, dict of states (changed in place), step number from 1, dict of
hyperparameters; it returns the step to subtract. `step` adds the modifiers.
"""

from __future__ import annotations

import math

import numpy as np


def _state(s, name, x):
    return s.setdefault(name, np.zeros_like(x))


def _moments(x, g, s, h, second=None):
    """Adam's running averages; `second` replaces the gradient in the squared one."""
    b1, b2 = h["betas"][:2]
    s["exp_avg"] = b1 * _state(s, "exp_avg", x) + (1 - b1) * g
    square = (g if second is None else second()) ** 2
    s["exp_avg_sq"] = b2 * _state(s, "exp_avg_sq", x) + (1 - b2) * square
    return s["exp_avg"], s["exp_avg_sq"]


def _corrections(h, t):
    return 1 - h["betas"][0] ** t, 1 - h["betas"][1] ** t


def _largest(x, v, s, h):
    if not h["amsgrad"]:
        return v
    s["max_exp_avg_sq"] = np.maximum(_state(s, "max_exp_avg_sq", x), v)
    return s["max_exp_avg_sq"]


def sgd(x, g, s, t, h):
    if h["momentum"] == 0:
        return h["lr"] * g
    if "momentum_buffer" in s:
        s["momentum_buffer"] = h["momentum"] * s["momentum_buffer"] + (1 - h["dampening"]) * g
    else:
        s["momentum_buffer"] = g.copy()
    buf = s["momentum_buffer"]
    return h["lr"] * (g + h["momentum"] * buf if h["nesterov"] else buf)


def adam(x, g, s, t, h):
    m, v = _moments(x, g, s, h)
    bc1, bc2 = _corrections(h, t)
    v = _largest(x, v, s, h)
    return (h["lr"] / bc1) * m / (np.sqrt(v) / math.sqrt(bc2) + h["eps"])


def lion(x, g, s, t, h):
    b1, b2 = h["betas"]
    m = _state(s, "exp_avg", x)
    s["exp_avg"] = b2 * m + (1 - b2) * g
    return h["lr"] * np.sign(b1 * m + (1 - b1) * g)


def diffgrad(x, g, s, t, h):
    m, v = _moments(x, g, s, h)
    bc1, bc2 = _corrections(h, t)
    xi = 1 / (1 + np.exp(-np.abs(_state(s, "previous_grad", x) - g)))
    s["previous_grad"] = g.copy()
    v = _largest(x, v, s, h)
    return h["lr"] * math.sqrt(bc2) / bc1 * (m * xi) / (np.sqrt(v) + h["eps"])


def ademamix(x, g, s, t, h):
    b1, b2, b3 = h["betas"]
    bc1, bc2 = _corrections(h, t)
    alpha = h["alpha"]
    if h["alpha_warmup"] and t < h["alpha_warmup"]:
        alpha *= t / h["alpha_warmup"]
    if h["beta3_warmup"] and t < h["beta3_warmup"]:
        share = t / h["beta3_warmup"]

        def f(b):
            return math.log(0.5) / math.log(b + 1e-8) - 1

        b3 = 0.5 ** (1 / ((1 - share) * f(b1) + share * f(b3) + 1))
    m1 = g
    if b1 != 0:
        m1 = s["exp_avg_fast"] = b1 * _state(s, "exp_avg_fast", x) + (1 - b1) * g
    m2 = s["exp_avg_slow"] = b3 * _state(s, "exp_avg_slow", x) + (1 - b3) * g
    v = s["exp_avg_sq"] = b2 * _state(s, "exp_avg_sq", x) + (1 - b2) * g * g
    return h["lr"] * (m1 / bc1 + alpha * m2) / (np.sqrt(v) / math.sqrt(bc2) + h["eps"])


def grams(x, g, s, t, h):
    m, v = _moments(x, g, s, h)
    bc1, bc2 = _corrections(h, t) if h["correct_bias"] else (1.0, 1.0)
    if h["eps_mode"] == "early":
        u = math.sqrt(bc2) / bc1 * m / (np.sqrt(v) + h["eps"])
    else:
        u = (m / bc1) / (np.sqrt(v) / math.sqrt(bc2) + h["eps"])
    return h["lr"] * np.sign(g) * np.abs(u)


def gravity(x, g, s, t, h):
    v = s["velocity"]
    b = (h["beta"] * t + 1) / (t + 2)
    largest = np.abs(g).max(initial=0.0)
    s["velocity"] = b * v + (1 - b) * g / (1 + (g * largest) ** 2)
    return h["lr"] * s["velocity"]


def adamomentum(x, g, s, t, h):
    b1, b2 = h["betas"]
    bc1, bc2 = _corrections(h, t)
    m = s["exp_avg"] = b1 * _state(s, "exp_avg", x) + (1 - b1) * g
    v = s["exp_avg_sq"] = b2 * _state(s, "exp_avg_sq", x) + (1 - b2) * m * m + h["eps"]
    return (h["lr"] / bc1) * m / (np.sqrt(v) / math.sqrt(bc2))


def muon(x, g, s, t, h):
    """The direction; `_orthogonal` finishes it, after the mask."""
    buf = _state(s, "momentum_buffer", x)
    s["momentum_buffer"] = buf = buf + (1 - h["momentum"]) * (g - buf)
    return g + h["momentum"] * (buf - g) if h["nesterov"] else buf


def _orthogonal(u, h):
    rows, columns = u.shape
    a, b, c = h["ns_coefficients"]
    o = u.T if rows > columns else u
    o = o / max(np.linalg.norm(o), h["eps"])
    for _ in range(int(h["ns_steps"])):
        square = o @ o.T
        o = a * o + (b * square + c * square @ square) @ o
    o = o.T if rows > columns else o
    if h["adjust_lr_fn"] == "match_rms_adamw":
        scale = 0.2 * math.sqrt(max(rows, columns))
    else:
        scale = math.sqrt(max(1.0, rows / columns))
    return h["lr"] * scale * o


def adamax(x, g, s, t, h):
    b1, b2 = h["betas"]
    m = s["exp_avg"] = b1 * _state(s, "exp_avg", x) + (1 - b1) * g
    u = s["exp_inf"] = np.maximum(b2 * _state(s, "exp_inf", x), np.abs(g) + h["eps"])
    return h["lr"] / (1 - b1**t) * m / u


ORACLES = {
    "sgd": sgd,
    "adam": adam,
    "adamw": adam,
    "lion": lion,
    "diffgrad": diffgrad,
    "ademamix": ademamix,
    "grams": grams,
    "gravity": gravity,
    "adamomentum": adamomentum,
    "muon": muon,
    "adamax": adamax,
}


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
            u = _orthogonal(u, h)
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
