"""One row a rule: how to test it, and its formula in plain float64 numpy, as the paper writes it.

Nothing here is imported from the product. A formula is a function `(x, g, s, t, h)`: parameter,
gradient as the rule sees it, dict of states (changed in place), step number from 1, dict of
hyperparameters; it returns the step to subtract.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from optim.formulas import FORMULAS

# A vector of odd length, a matrix that fills no whole SIMD vector, a kernel of a convolution.
SHAPES = ((7,), (33, 17), (3, 4, 5, 5))
MATRICES = ((9, 9), (33, 8), (8, 33))


@dataclass(frozen=True)
class Case:
    """A rule with hyperparameters, and what to ask of it."""

    rule: str
    lr: float
    options: dict[str, Any] = field(default_factory=dict)
    shapes: tuple[tuple[int, ...], ...] = SHAPES

    @property
    def hyper(self) -> dict[str, Any]:
        return {"lr": self.lr, **self.options}

    @property
    def exact(self) -> float:
        """Relative tolerance in float64: wider where sums over the tensor enter."""
        return 1e-9 if self.sums else 1e-12

    @property
    def sums(self) -> bool:
        """Whether sums over elements enter, whose order a layout changes."""
        return self.rule in SUMS or self.options.get("preconditioner") in ENERGIES

    @property
    def alone(self) -> bool:
        """Whether a parameter's step depends on nothing but that parameter."""
        return self.rule not in (JOINT, "curlsgd") and not self.noisy

    @property
    def noisy(self) -> bool:
        """Whether noise enters."""
        hot = self.options.get("temperature", 1.0), self.options.get("kappa", 1.0)
        return self.rule in ("sgld", "dalelangevin") and 0.0 not in hot

    @property
    def keeps(self) -> bool:
        """Whether there are buffers as large as the parameter."""
        return self.rule not in STATELESS

    @property
    def glides(self) -> bool:
        """Whether parameters still move at a rate of 0."""
        return self.rule in GLIDES

    @property
    def additive(self) -> bool:
        """Whether a step takes a parameter anywhere, through 0 too."""
        return self.rule not in ("exponentiatedgradient", "dalelangevin")

    def __str__(self) -> str:
        return "-".join([self.rule, *(f"{k}={v}" for k, v in self.options.items())])


SUMS = ("muon", "adaptivebraking", "optimisticamsgrad", "normalizedgd", "egpm")
ENERGIES = ("identity", "entropy", "log_barrier")
STATELESS = ("sgd", "exponentiatedgradient", "dalelangevin", "normalizedgd", "sgld", "egpm")
JOINT = "normalizedgd"
GLIDES = ("triplemomentum", "acceleratedsgd", "optimisticamsgrad", "schedulefreeadamw")

CASES = [
    Case("sgd", lr=1e-2),
    Case("adam", lr=1e-2),
    Case("adamw", lr=1e-2),
    Case("lion", lr=1e-2),
    Case("diffgrad", lr=1e-2),
    Case("ademamix", lr=1e-2),
    Case("grams", lr=1e-2),
    Case("gravity", lr=1e-1, options={"v0": "zeros"}),
    Case("adamomentum", lr=1e-3),
    Case("adabelief", lr=1e-2),
    Case("muon", lr=1e-2, shapes=MATRICES),
    Case("adamax", lr=1e-2),
    Case("nadam", lr=1e-2),
    Case("radam", lr=1e-2),
    Case("adagrad", lr=1e-1),
    Case("adadelta", lr=1.0),
    Case("rmsprop", lr=1e-2),
    Case("schedulefreeadamw", lr=1e-2),
    Case("classp", lr=0.2, options={"threshold": 1e-4}),
    Case("aegd", lr=1e-1),
    Case("exponentiatedgradient", lr=1e-1),
    Case("dalelangevin", lr=1e-2, options={"kappa": 0.0, "mu": 1.5}),
    Case("optimisticamsgrad", lr=1e-2),
    Case("adaptivebraking", lr=1e-2),
    Case("randomscalingsgd", lr=1e-2, options={"seed": 5}),
    Case("triplemomentum", lr=0.5, options={"L": 10.0, "mu": 1.0}),
    Case("acceleratedsgd", lr=1e-2),
    Case("normalizedgd", lr=1e-2),
    Case("curlsgd", lr=1e-2, options={"fraction": 0.3}),
    Case("sgld", lr=1e-2, options={"temperature": 0.0}),
    Case("egpm", lr=1e-1),
]

VARIANTS = [
    Case("sgd", lr=1e-2, options={"momentum": 0.9}),
    Case("sgd", lr=1e-2, options={"momentum": 0.9, "dampening": 0.3}),
    Case("sgd", lr=1e-2, options={"momentum": 0.9, "nesterov": True}),
    Case("adam", lr=1e-2, options={"amsgrad": True}),
    Case("adamw", lr=1e-2, options={"amsgrad": True, "betas": (0.5, 0.9)}),
    Case("adam", lr=1e-2, options={"betas": (0.0, 0.0), "eps": 1e-3}),
    Case("diffgrad", lr=1e-2, options={"amsgrad": True}),
    Case("ademamix", lr=1e-2, options={"beta3_warmup": 20, "alpha_warmup": 30}),
    Case("ademamix", lr=1e-2, options={"betas": (0.0, 0.99, 0.999), "beta3_warmup": 20}),
    Case("grams", lr=1e-2, options={"eps_mode": "early", "eps": 1e-3}),
    Case("grams", lr=1e-2, options={"correct_bias": False}),
    Case("gravity", lr=1e-1, options={"seed": 3, "beta": 0.5}),
    Case("muon", lr=1e-2, options={"nesterov": False}, shapes=MATRICES),
    Case("muon", lr=1e-2, options={"adjust_lr_fn": "match_rms_adamw"}, shapes=MATRICES),
    Case(
        "muon",
        lr=1e-2,
        options={"ns_steps": 3, "ns_coefficients": (3.0, -3.2, 1.2)},
        shapes=MATRICES,
    ),
    Case("nadam", lr=1e-2, options={"betas": (0.5, 0.9), "momentum_decay": 0.1, "eps": 1e-3}),
    Case("radam", lr=1e-2, options={"betas": (0.5, 0.9), "eps": 1e-3}),
    Case("adagrad", lr=1e-1, options={"lr_decay": 0.1, "initial_accumulator_value": 0.5}),
    Case("adadelta", lr=0.5, options={"rho": 0.5, "eps": 1e-3}),
    Case("rmsprop", lr=1e-2, options={"momentum": 0.9, "eps": 1e-3}),
    Case("rmsprop", lr=1e-2, options={"centered": True, "alpha": 0.9, "eps": 1e-2}),
    Case("rmsprop", lr=1e-2, options={"centered": True, "momentum": 0.5, "eps": 1e-2}),
    Case("schedulefreeadamw", lr=1e-2, options={"warmup_steps": 20, "r": 0.5, "eps": 1e-3}),
    Case("classp", lr=1e-1, options={"power": 2.0}),
    Case("classp", lr=1e-1, options={"power": 1.5, "threshold": 0.0}),
    Case("classp", lr=1e-2, options={"apply_scaling": False}),
    Case("classp", lr=1e-1, options={"gate": "tensor"}),
    Case("aegd", lr=1e-2, options={"preconditioner": "identity", "c": 2.0}),
    Case("aegd", lr=1e-2, options={"preconditioner": "log_barrier", "conserve_sum": True}),
    Case("aegd", lr=1e-2, options={"momentum": 0.9}),
    Case("exponentiatedgradient", lr=1e-2, options={"momentum": 0.9, "nesterov": True}),
    Case("exponentiatedgradient", lr=1e-2, options={"momentum": 0.9, "dampening": 0.3}),
    Case("exponentiatedgradient", lr=1e-2, options={"base": "adamw"}),
    Case("exponentiatedgradient", lr=1e-1, options={"geometry": "frozen"}),
    Case("exponentiatedgradient", lr=1.0, options={"max_log_step": 0.01, "strict": True}),
    Case("dalelangevin", lr=1e-3, options={"seed": 3, "kappa": 0.5}),
    Case("dalelangevin", lr=1e-3, options={"sampler": "linear", "sigma": 0.5}),
    Case("optimisticamsgrad", lr=1e-2, options={"guess": "last", "fresh_momentum": True}),
    Case("optimisticamsgrad", lr=1e-2, options={"guess": "none"}),
    Case("optimisticamsgrad", lr=1e-2, options={"history": 2, "lam": 1e-3}),
    Case("adaptivebraking", lr=1e-2, options={"rho": 2.0, "momentum": 0.5}),
    Case("adaptivebraking", lr=1e-2, options={"rho": 0.0}),
    Case("adaptivebraking", lr=1e-2, options={"granularity": "filter"}),
    Case("randomscalingsgd", lr=1e-2, options={"average": True, "momentum": 0.5}),
    Case("triplemomentum", lr=0.5, options={"L": 10.0, "method": "heavy_ball"}),
    Case("triplemomentum", lr=0.5, options={"L": 10.0, "method": "nesterov"}),
    Case("triplemomentum", lr=0.5, options={"L": 10.0, "mu": 0.0, "method": "nesterov"}),
    Case("acceleratedsgd", lr=1e-2, options={"mu": 1.0}),
    Case("acceleratedsgd", lr=1e-2, options={"mu": 0.1, "alpha": 0.5}),
    Case("normalizedgd", lr=1e-2, options={"beta": 0.5}),
    Case("curlsgd", lr=1e-2, options={"momentum": 0.9, "seed": 4}),
    Case("sgld", lr=1e-3, options={"seed": 2}),
    Case("sgld", lr=1e-3, options={"preconditioner": "rmsprop", "eps": 0.1}),
    Case("sgld", lr=1e-3, options={"average": True, "burn_in": 10, "thinning": 3}),
    Case(
        "sgld",
        lr=1e-2,
        options={"average": True, "preconditioner": "rmsprop", "temperature": 0.0},
    ),
]

VARIANTS += [
    Case("egpm", lr=1e-1, options={"total": 30.0, "scale": 1.0}),
    Case("egpm", lr=1.0, options={"max_log_step": 0.1}),
]

ROWS = {case.rule: case for case in CASES}


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


def adabelief(x, g, s, t, h):
    b1, b2 = h["betas"]
    bc1, bc2 = _corrections(h, t)
    m = s["exp_avg"] = b1 * _state(s, "exp_avg", x) + (1 - b1) * g
    v = s["exp_avg_var"] = b2 * _state(s, "exp_avg_var", x) + (1 - b2) * (g - m) ** 2 + h["eps"]
    return h["lr"] * (m / bc1) / (np.sqrt(v / bc2) + h["eps"])


def muon(x, g, s, t, h):
    """The direction; `orthogonal` finishes it, after the mask."""
    buf = _state(s, "momentum_buffer", x)
    s["momentum_buffer"] = buf = buf + (1 - h["momentum"]) * (g - buf)
    return g + h["momentum"] * (buf - g) if h["nesterov"] else buf


def orthogonal(u, h):
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
    "adabelief": adabelief,
    "muon": muon,
    "adamax": adamax,
    **FORMULAS,
}
