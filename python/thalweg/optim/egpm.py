"""EGPM: exponentiated gradients of pairs of weights, whose differences are the parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class EGPM(Optimizer):
    """Exponentiated gradients of pairs of positive weights, whose differences are the parameters.

    Use it (EG+-) for sparse solutions of linear problems with many inputs, where weights must be
    able to change their sign, unlike with `ExponentiatedGradient`.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 4e-2
        Learning rate, relative to the weights of a pair; >= 0. With `total` about `4 / total`.
    total : float, optional
        What the positive weights of a neuron sum to, > 0: after each step all pairs of a neuron are
        multiplied by one factor. A neuron is a slice along the first axis; a tensor of fewer than
        two axes is one.
    scale : float, default 1e-1
        The root of the product of each pair at first, > 0: small weights change as under gradient
        descent of rate `2 * lr * scale`, weights far above it multiplicatively.
    max_log_step : float, default 80.0
        Largest absolute value of the exponent, > 0.
    weight_decay : float, default 0.0
        Strength of the decay, >= 0; its form is coupled unless `decay` says otherwise.
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
    `x = p - q` with `p, q > 0`; `p *= exp(-lr * g)`, `q *= exp(lr * g)`, then with `total` both
    times `total / sum(p + q)`. A step leaves `p * q` as it is, so that the root of it, `b`, and `x`
    stand for the pair: `p, q = (sqrt(x**2 + 4 * b**2) +- x) / 2`. Decay and masks act on `x`.
    Memory: none, or with `total` one buffer, `b`, and a pass for a sum.

    References
    ----------
    Kivinen, Warmuth 1997, "Exponentiated gradient versus gradient descent for linear predictors",
    Information and Computation 132.
    Ghai, Hazan, Singer 2020, "Exponentiated gradient meets gradient descent", ALT,
    arXiv:1902.01903.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = EGPM([w])
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "egpm"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 4e-2,
        total: float | None = None,
        scale: float = 1e-1,
        max_log_step: float = 80.0,
        weight_decay: float = 0.0,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "total": total,
                "scale": scale,
                "max_log_step": max_log_step,
                "weight_decay": weight_decay,
            },
            engine,
        )

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        *states: Tensor,
        lr: float,
        total: float | None,
        scale: float,
        max_log_step: float,
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        b = states[0] if states else torch.full_like(x, scale)
        y = 0.5 * x.abs()
        large = y + (y * y + b * b).sqrt()
        small = torch.where(large == 0, large, b * b / large)
        p, q = torch.where(x < 0, small, large), torch.where(x < 0, large, small)
        up = (-lr * g).clamp(-max_log_step, max_log_step).exp()
        step = p * (1 - up) - q * (1 - 1 / up)
        if total is None:
            return (step,)
        over = tuple(range(1 if x.dim() > 1 else 0, x.dim()))
        sums = (p * up + q / up).double().sum(over, keepdim=True)
        f = torch.where(sums == 0, torch.ones_like(sums), total / sums)
        return step + (1 - f).to(x.dtype) * (x - step), f.to(x.dtype) * b
