"""ExponentiatedGradient: steps relative to the size of a weight, which keep its sign."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class ExponentiatedGradient(Optimizer):
    """Steps relative to the size of a weight, which keep its sign.

    Use it for weights that must keep their sign (Dale's law) or stay positive.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1e-2
        Learning rate, relative: a step multiplies by about `1 - lr * sign(x) * d`; >= 0.
    base : {"sgd", "adamw"}, default "sgd"
        What the direction `d` is.
    momentum : float, default 0.0
        Of SGD, >= 0.
    dampening : float, default 0.0
        Of SGD, >= 0.
    nesterov : bool, default False
        Of SGD.
    betas : tuple of float, default (0.9, 0.999)
        Of AdamW, each in [0, 1).
    eps : float, default 1e-8
        Of AdamW, >= 0.
    weight_decay : float, default 0.0
        Strength of the decay, >= 0; its form is coupled, `g + weight_decay * sign(x)`, unless
        `decay` says otherwise.
    geometry : {"multiplicative", "frozen"}, default "multiplicative"
        "frozen" subtracts as ever, but a weight that would change its sign stops at 1e-18.
    max_log_step : float, default 80.0
        Largest absolute value of the exponent, > 0.
    strict : bool, default False
        Whether weights that are 0 at first, and would stay so, are an error.
    **engine
        Options of the engine, see `thalweg.optim`.

    Raises
    ------
    ValueError
        If a hyperparameter is outside its range.
    TypeError
        For unknown arguments.

    Notes
    -----
    `x *= exp(-lr * sign(x) * d)`. A weight of 0 stays 0. All forms of decay shrink by a share. To
    let a quantity cross zero, split it in two parameters of opposite sign. Memory: none to two
    buffers.

    References
    ----------
    Kivinen, Warmuth 1997, "Exponentiated gradient versus gradient descent for linear predictors",
    Information and Computation 132.
    Cornford, Pogodin et al. 2024, "Brain-like learning with exponentiated gradients".

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = ExponentiatedGradient([w], lr=0.1)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "exponentiatedgradient"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        base: Literal["sgd", "adamw"] = "sgd",
        momentum: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        geometry: Literal["multiplicative", "frozen"] = "multiplicative",
        max_log_step: float = 80.0,
        strict: bool = False,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "base": base,
                "momentum": momentum,
                "dampening": dampening,
                "nesterov": nesterov,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "geometry": geometry,
                "max_log_step": max_log_step,
                "strict": strict,
            },
            engine,
        )

    @staticmethod
    def retract(
        x: Tensor, decayed: Tensor, u: Tensor, *, geometry: str, max_log_step: float, **_: Any
    ) -> Tensor:
        """Return the new parameter, in plain torch."""
        sign = x.sign()
        if geometry == "multiplicative":
            return decayed * (-sign * u).clamp(-max_log_step, max_log_step).exp()
        moved = decayed - u
        return torch.where((moved * sign <= 0) & (sign != 0), 1e-18 * sign, moved)

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        *states: Tensor,
        lr: float,
        base: str,
        momentum: float,
        dampening: float,
        nesterov: bool,
        betas: tuple[float, float],
        eps: float,
        strict: bool,
        t: int,
        own_decay: dict[str, float],
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        if strict and t == 1 and bool((x == 0).any()):
            count = int((x == 0).sum())
            raise ValueError(
                f"weights must be different from 0 with strict=True, got {count} that are; start "
                "them at +-1e-3, or pass strict=False"
            )
        g = g + own_decay.get("coupled", 0.0) * x.sign()
        if base == "adamw":
            m, v = states
            beta1, beta2 = betas
            m = m + (1 - beta1) * (g - m)
            v = beta2 * v + (1 - beta2) * g * g
            root = v.sqrt() / math.sqrt(1 - beta2**t) + eps
            return lr / (1 - beta1**t) * m / root, m, v
        if momentum == 0:
            return (lr * g,)
        b = momentum * states[0] + (1.0 if t == 1 else 1.0 - dampening) * g
        return lr * (g + momentum * b if nesterov else b), b
