"""Formulas of the newer rules in plain float64 numpy, for `rules`; see there for their form.

Besides hyperparameters, `h` holds the `number` of the parameter, the `norm` of all gradients, and
`own`: form and strength of the decay where the rule applies it itself, as `OWN_DECAY` says. Only
random numbers come from the product: those of a seed are part of its contract.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from thalweg import _core

# The loss that every step of the battery is told.
LOSS = 2.0


def _state(s, name, x, start=0.0):
    return s.setdefault(name, np.full_like(x, start))


def _normal(x, h, t):
    draws = np.empty(x.size)
    _core.optim_noise(draws, int(h["seed"]), h["number"] << 40 | t)
    return draws.reshape(x.shape)


def nadam(x, g, s, t, h):
    b1, b2 = h["betas"]
    mu, ahead = (b1 * (1 - 0.5 * 0.96 ** (k * h["momentum_decay"])) for k in (t, t + 1))
    product = s.get("mu_product", 1.0)
    # torch keeps the product in float32, and so do we under torch, which has the key `foreach`.
    kind = np.float32 if "foreach" in h else np.float64
    product = s["mu_product"] = float(kind(product) * kind(mu))
    m = s["exp_avg"] = b1 * _state(s, "exp_avg", x) + (1 - b1) * g
    v = s["exp_avg_sq"] = b2 * _state(s, "exp_avg_sq", x) + (1 - b2) * g**2
    root = np.sqrt(v / (1 - b2**t)) + h["eps"]
    first = h["lr"] * (1 - mu) / (1 - product) * g / root
    return first + h["lr"] * ahead / (1 - product * ahead) * m / root


def radam(x, g, s, t, h):
    b1, b2 = h["betas"]
    m = s["exp_avg"] = b1 * _state(s, "exp_avg", x) + (1 - b1) * g
    v = s["exp_avg_sq"] = b2 * _state(s, "exp_avg_sq", x) + (1 - b2) * g**2
    last = 2 / (1 - b2) - 1
    rho = last - 2 * t * b2**t / (1 - b2**t)
    mean = m / (1 - b1**t)
    if rho <= 5:
        return h["lr"] * mean
    rect = math.sqrt((rho - 4) * (rho - 2) * last / ((last - 4) * (last - 2) * rho))
    return h["lr"] * mean * rect * math.sqrt(1 - b2**t) / (np.sqrt(v) + h["eps"])


def adagrad(x, g, s, t, h):
    total = s["sum"] = _state(s, "sum", x, h["initial_accumulator_value"]) + g**2
    return h["lr"] / (1 + (t - 1) * h["lr_decay"]) * g / (np.sqrt(total) + h["eps"])


def adadelta(x, g, s, t, h):
    rho, eps = h["rho"], h["eps"]
    square = s["square_avg"] = rho * _state(s, "square_avg", x) + (1 - rho) * g**2
    old = _state(s, "acc_delta", x)
    delta = np.sqrt(old + eps) / np.sqrt(square + eps) * g
    s["acc_delta"] = rho * old + (1 - rho) * delta**2
    return h["lr"] * delta


def rmsprop(x, g, s, t, h):
    a = h["alpha"]
    square = s["square_avg"] = a * _state(s, "square_avg", x) + (1 - a) * g**2
    if h["centered"]:
        mean = s["grad_avg"] = a * _state(s, "grad_avg", x) + (1 - a) * g
        square = np.maximum(square - mean**2, 0.0)
    d = g / (np.sqrt(square) + h["eps"])
    if h["momentum"] > 0:
        d = s["momentum_buffer"] = h["momentum"] * _state(s, "momentum_buffer", x) + d
    return h["lr"] * d


def schedulefreeadamw(x, g, s, t, h):
    b1, b2 = h["betas"]
    lr = h["lr"] * (t / h["warmup_steps"] if t < h["warmup_steps"] else 1.0)
    s["lr_max"] = max(s.get("lr_max", 0.0), lr)
    weight = t ** h["r"] * s["lr_max"] ** h["weight_lr_power"]
    s["weight_sum"] = s.get("weight_sum", 0.0) + weight
    c = weight / s["weight_sum"] if s["weight_sum"] > 0 else 0.0
    z = s.get("z", x)
    v = s["exp_avg_sq"] = b2 * _state(s, "exp_avg_sq", x) + (1 - b2) * g**2
    n = g / (np.sqrt(v / (1 - b2**t)) + h["eps"])
    if "decoupled" in h["own"]:
        n = n + h["own"]["decoupled"] * x
    if "cautious" in h["own"]:
        n = n + h["own"]["cautious"] * np.where(np.sign(n) * np.sign(x) >= 0, x, 0.0)
    # As published: y moves to z, then along n.
    y = x + c * (z - x)
    y = y + lr * (b1 * (1 - c) - 1) * n
    s["z"] = z - lr * n
    return x - y


def classp(x, g, s, t, h):
    total = _state(s, "grad_sum", x)
    if h["gate"] == "tensor":
        opened = np.full(x.shape, bool((g != 0).any()) and h["threshold"] < 1)
    else:
        opened = g**2 > h["threshold"]
    total = s["grad_sum"] = total + opened * np.abs(g) ** h["power"]
    scale = (h["eps"] + total) ** (-1 / h["power"]) if h["apply_scaling"] else 1.0
    return h["lr"] * g * scale * opened


def aegd(x, g, s, t, h):
    lr, root = h["lr"], math.sqrt(LOSS + h["c"])
    if h["preconditioner"] is None:
        d = g / (2 * root) + h["own"].get("coupled", 0.0) * x
        if h["momentum"]:
            d = s["momentum_buffer"] = h["momentum"] * _state(s, "momentum_buffer", x) + d
        old = _state(s, "energy", x, -1.0)
        r = s["energy"] = np.where(old < 0, root, old) / (1 + 2 * lr * d**2)
        return 2 * lr * r * d
    metric = {"identity": np.ones_like(x), "entropy": 1 / x, "log_barrier": 1 / x**2}
    inverse = 1 / metric[h["preconditioner"]]
    if h["conserve_sum"]:
        # T = A^-1 (I - B' (B A^-1 B')^-1 B A^-1) for B a row of ones.
        v = inverse * (g - (inverse * g).sum() / inverse.sum()) / (2 * root)
    else:
        v = inverse * g / (2 * root)
    old = root if s.get("energy", -1.0) < 0 else s["energy"]
    s["energy"] = old / (1 + 2 * lr * (v * v / inverse).sum())
    return 2 * lr * s["energy"] * v


def exponentiatedgradient(x, g, s, t, h):
    g = g + h["own"].get("coupled", 0.0) * np.sign(x)
    if h["base"] == "adamw":
        b1, b2 = h["betas"]
        m = s["exp_avg"] = b1 * _state(s, "exp_avg", x) + (1 - b1) * g
        v = s["exp_avg_sq"] = b2 * _state(s, "exp_avg_sq", x) + (1 - b2) * g**2
        return h["lr"] / (1 - b1**t) * m / (np.sqrt(v) / math.sqrt(1 - b2**t) + h["eps"])
    if h["momentum"] == 0:
        return h["lr"] * g
    if "momentum_buffer" in s:
        buf = h["momentum"] * s["momentum_buffer"] + (1 - h["dampening"]) * g
    else:
        buf = g
    s["momentum_buffer"] = buf
    return h["lr"] * (g + h["momentum"] * buf if h["nesterov"] else buf)


def dalelangevin(x, g, s, t, h):
    square = h["sigma"] ** 2
    mu = 0.5 * square if h["mu"] is None else h["mu"]
    score, noise = -g, h["kappa"] * math.sqrt(h["lr"]) * h["sigma"] * _normal(x, h, t)
    if h["sampler"] == "linear":
        factor = 1 + 2 * h["lr"] * square - h["lr"] * mu + h["lr"] * square * x * score + noise
        return x - x * factor
    return -np.sign(x) * (h["lr"] * square * x * score - h["lr"] * (mu - 1.5 * square) + noise)


def optimisticamsgrad(x, g, s, t, h):
    b1, b2 = h["betas"]
    n = {"extrapolate": int(h["history"]), "last": 1, "none": 0}[h["guess"]]
    seen = [s["grad_" + str(k % n)] for k in range(max(0, t - 1 - n), t - 1)] if n else []
    expected = _predict(seen, n, h) if seen else np.zeros_like(x)
    for k in range(n):
        _state(s, f"grad_{k}", x)
    if n:
        s[f"grad_{(t - 1) % n}"] = g.copy()
        seen = [*seen, g][-n:]
    old = _state(s, "exp_avg", x)
    m = s["exp_avg"] = b1 * old + (1 - b1) * g
    v = s["exp_avg_sq"] = b2 * _state(s, "exp_avg_sq", x) + (1 - b2) * (g - expected) ** 2
    top = s["max_exp_avg_sq"] = np.maximum(_state(s, "max_exp_avg_sq", x), v)
    w = x - _state(s, "lead", x)
    w = w - h["lr"] * m / (np.sqrt(top) + h["eps"])
    new = w
    if n:
        ahead = b1 * (m if h["fresh_momentum"] else old) + (1 - b1) * _predict(seen, n, h)
        new = w - h["lr"] * ahead / (np.sqrt(top) + h["eps"])
    s["lead"] = new - w
    return x - new


def _predict(seen, n, h):
    """Regularized nonlinear acceleration over the last gradients, the newest last."""
    if len(seen) < n or n == 1:
        return seen[-1]
    u = np.stack([(b - a).ravel() for a, b in itertools.pairwise(seen)], axis=1)
    square = u.T @ u
    norm = np.linalg.norm(square)
    if norm == 0:
        return seen[-1]
    z = np.linalg.solve(square / norm + h["lam"] * np.eye(n - 1), np.ones(n - 1))
    return sum(c * q for c, q in zip(z / z.sum(), seen[1:], strict=True))


def adaptivebraking(x, g, s, t, h):
    v = _state(s, "momentum_buffer", x)
    s["momentum_buffer"] = np.empty_like(x)
    for at in _filters(x, h["granularity"] == "filter"):
        norms = np.linalg.norm(g[at]) * np.linalg.norm(v[at])
        cos = (g[at] * v[at]).sum() / max(norms, h["eps"])
        s["momentum_buffer"][at] = h["momentum"] * v[at] + (1 - h["rho"] * cos) * g[at]
    return h["lr"] * s["momentum_buffer"]


def _filters(x, each):
    return range(len(x)) if each and x.ndim > 1 else [...]


def egpm(x, g, s, t, h):
    """The pair as published, recovered from the difference and the product."""
    b = _state(s, "root", x, h["scale"]) if h["total"] is not None else h["scale"]
    p = (x + np.sqrt(x**2 + 4 * b**2)) / 2
    q = (-x + np.sqrt(x**2 + 4 * b**2)) / 2
    old = p, q
    exponent = np.clip(h["lr"] * g, -h["max_log_step"], h["max_log_step"])
    p, q = p * np.exp(-exponent), q * np.exp(exponent)
    if h["total"] is not None:
        for at in _filters(x, True):
            factor = h["total"] / (p[at].sum() + q[at].sum())
            p[at], q[at] = factor * p[at], factor * q[at]
        s["root"] = np.sqrt(p * q)
    return (old[0] - p) - (old[1] - q)


def randomscalingsgd(x, g, s, t, h):
    b = h["momentum"]
    m = s["exp_avg"] = b * _state(s, "exp_avg", x) + (1 - b) * g
    if h["average"]:
        old = _state(s, "average", x)
        s["average"] = (b - b**t) / (1 - b**t) * old + (1 - b) / (1 - b**t) * x
    return h["lr"] * -math.log(1 - _core.optim_uniform(int(h["seed"]), t)) * m


def triplemomentum(x, g, s, t, h):
    """The two sequences as published; `momentum_buffer` is the difference of the first."""
    big, mu = h["L"], h["mu"]
    d = _state(s, "momentum_buffer", x)
    if h["method"] == "triple":
        rho = 1 - 1 / math.sqrt(big / mu)
        alpha, beta = (1 + rho) / big, rho**2 / (2 - rho)
        gamma = after = rho**2 / ((1 + rho) * (2 - rho))
    elif h["method"] == "heavy_ball":
        kappa = big / mu
        alpha = 4 / (math.sqrt(big) + math.sqrt(mu)) ** 2
        beta, gamma, after = ((math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1)) ** 2, 0.0, 0.0
    elif mu > 0:
        alpha, kappa = 1 / big, big / mu
        beta = gamma = after = (math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1)
    else:
        alpha, w = 1 / big, s.get("w", 1.0)
        beta = gamma = s.get("gamma", 0.0)
        s["w"] = (1 + math.sqrt(1 + 4 * w**2)) / 2
        after = s["gamma"] = (w - 1) / s["w"]
    point = x - gamma * d
    new = point + beta * d - h["lr"] * alpha * g
    s["momentum_buffer"] = new - point
    return x - (new + after * (new - point))


def acceleratedsgd(x, g, s, t, h):
    lr, mu = h["lr"], h["mu"]
    first = h["alpha"] if h["alpha"] is not None else (math.sqrt(lr * mu) or 1.0)
    a = s.get("alpha", first)
    p = a**2 - lr * mu
    after = s["alpha"] = (-p + math.sqrt(p**2 + 4 * a**2)) / 2
    w = x - _state(s, "lead", x)
    new = x - lr * g
    y = new + a * (1 - a) / (a**2 + after) * (new - w)
    s["lead"] = y - new
    return x - y


def normalizedgd(x, g, s, t, h):
    return h["lr"] * g / h["norm"] ** h["beta"] if h["norm"] > 0 else np.zeros_like(g)


def curlsgd(x, g, s, t, h):
    if "update_sign" not in s:
        s["update_sign"] = np.ones_like(x)
        if x.ndim >= 2:
            draws = np.empty(x.shape[1])
            _core.optim_normal(draws, int(h["seed"]), h["number"])
            flipped = sorted(range(draws.size), key=lambda k: draws[k])
            for column in flipped[: round(h["fraction"] * draws.size)]:
                s["update_sign"][:, column] = -1.0
    if h["momentum"]:
        g = s["momentum_buffer"] = h["momentum"] * _state(s, "momentum_buffer", x) + g
    return h["lr"] * s["update_sign"] * g


def sgld(x, g, s, t, h):
    scale = 1.0
    if h["preconditioner"] == "rmsprop":
        a = h["alpha"]
        square = s["square_avg"] = a * _state(s, "square_avg", x) + (1 - a) * g**2
        scale = 1 / (np.sqrt(square) + h["eps"])
    if h["average"]:
        late = t - h["burn_in"] - 1
        old = _state(s, "average", x)
        if late <= 0:
            s["average"] = x.copy()
        elif late % h["thinning"] == 0:
            n = late // h["thinning"] + 1
            s["average"] = (old * (n - 1) + x) / n
    noise = np.sqrt(2 * h["lr"] * h["temperature"] * scale) * _normal(x, h, t)
    return h["lr"] * scale * g - noise


FORMULAS = {
    f.__name__: f
    for f in (
        nadam,
        radam,
        adagrad,
        adadelta,
        rmsprop,
        schedulefreeadamw,
        classp,
        aegd,
        exponentiatedgradient,
        dalelangevin,
        optimisticamsgrad,
        adaptivebraking,
        randomscalingsgd,
        triplemomentum,
        acceleratedsgd,
        normalizedgd,
        curlsgd,
        sgld,
        egpm,
    )
}


def _multiplies(h):
    return h["geometry"] == "multiplicative"


# Forms of decay that a rule applies itself.
OWN_DECAY = {
    "schedulefreeadamw": lambda h: ("decoupled", "cautious"),
    "aegd": lambda h: ("coupled",) if h["preconditioner"] is None else (),
    "exponentiatedgradient": lambda h: ("coupled",) if _multiplies(h) else (),
}


def rate(rule, h):
    """Return the rate of decoupled decay."""
    if rule == "triplemomentum":
        if h["method"] == "triple":
            return h["lr"] * (2 - math.sqrt(h["mu"] / h["L"])) / h["L"]
        if h["method"] == "heavy_ball":
            return h["lr"] * 4 / (math.sqrt(h["L"]) + math.sqrt(h["mu"])) ** 2
        return h["lr"] / h["L"]
    return h["lr"]


def move(rule, x, u, h):
    """Return the moved parameter, for rules that do not just subtract; x is decayed already."""
    limit = h.get("max_log_step")
    if rule == "dalelangevin" and h["sampler"] == "dale":
        return np.exp(np.clip(-np.sign(x) * u, -limit, limit))
    if rule == "exponentiatedgradient" and _multiplies(h):
        return np.exp(np.clip(-np.sign(x) * u, -limit, limit))
    return None
