"""One row a rule, and more where an option changes the formula."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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
        return 1e-9 if self.rule == "muon" else 1e-12

    def __str__(self) -> str:
        return "-".join([self.rule, *(f"{k}={v}" for k, v in self.options.items())])


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
    Case("muon", lr=1e-2, shapes=MATRICES),
    Case("adamax", lr=1e-2),
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
]

ROWS = {case.rule: case for case in CASES}
