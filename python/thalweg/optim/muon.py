"""Muon: momentum, orthogonalized."""

from __future__ import annotations

import math
from typing import Any, Literal

from torch import Tensor

from thalweg.optim.host import newton_schulz
from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class Muon(Optimizer):
    """Momentum, orthogonalized.

    Use it for hidden matrices of networks, and AdamW for the rest.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1e-3
        Learning rate, >= 0.
    weight_decay : float, default 0.1
        Strength of the decay, >= 0; its form is decoupled unless `decay` says otherwise.
    momentum : float, default 0.95
        Rate of the running mean, in [0, 1).
    nesterov : bool, default True
        Look ahead.
    ns_coefficients : tuple of float
        Polynomial of the Newton-Schulz iteration, each in [-1000, 1000].
    eps : float, default 1e-7
        Least norm the direction is divided by, > 0.
    ns_steps : int, default 5
        Iterations, >= 1.
    adjust_lr_fn : {None, "original", "match_rms_adamw"}
        Factor on the rate: `sqrt(max(1, rows / columns))` (also for None), or
        `0.2 * sqrt(max(rows, columns))`.
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
    `b = momentum * b + (1 - momentum) * g`; `u = (1 - momentum) * g + momentum * b` with
    `nesterov`, else `b`; `x -= lr * s * NewtonSchulz(u)`. As `torch.optim.Muon`, but the iteration
    runs in float32 (float64 for float64 parameters) where torch's runs in bfloat16. A parameter
    with more than two axes, such as the kernel of a convolution, is the matrix of its `shape[0]`
    rows; one with fewer is refused, see `thalweg.optim.Routed`. Memory: one buffer, and the
    direction during a step.

    References
    ----------
    Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks".

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.eye(3))
    >>> optimizer = Muon([w], lr=0.1)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "muon"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: Literal["original", "match_rms_adamw"] | None = None,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "nesterov": nesterov,
                "ns_coefficients": ns_coefficients,
                "eps": eps,
                "ns_steps": ns_steps,
                "adjust_lr_fn": adjust_lr_fn,
            },
            engine,
        )

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        b: Tensor,
        *,
        momentum: float,
        nesterov: bool,
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        b = b + (1 - momentum) * (g - b)
        return (g + momentum * (b - g) if nesterov else b), b

    @staticmethod
    def finish(
        u: Tensor,
        *,
        lr: float,
        ns_coefficients: tuple[float, float, float],
        ns_steps: int,
        eps: float,
        adjust_lr_fn: str | None,
        **_: Any,
    ) -> Tensor:
        """Orthogonalize the direction, and scale it by rate and shape."""
        rows, columns = u.shape
        if adjust_lr_fn == "match_rms_adamw":
            scale = 0.2 * math.sqrt(max(rows, columns))
        else:
            scale = math.sqrt(max(1.0, rows / columns))
        return lr * scale * newton_schulz(u, ns_coefficients, ns_steps, eps)
