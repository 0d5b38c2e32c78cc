"""Adam: the gradient's running mean over the root of its running square."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class Adam(Optimizer):
    """The gradient's running mean over the root of its running square.

    Use it where coordinates need rates of their own and little tuning.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1e-3
        Learning rate, >= 0.
    betas : tuple of float, default (0.9, 0.999)
        Rates of the first and second moment, each in [0, 1).
    eps : float, default 1e-8
        Added to the root of the second moment, >= 0.
    weight_decay : float, default 0.0
        Strength of the decay, >= 0; its form is coupled unless `decay` says otherwise.
    amsgrad : bool, default False
        Divide by the largest second moment so far.
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
    `m = beta1 * m + (1 - beta1) * g`, `v = beta2 * v + (1 - beta2) * g**2`,
    `x -= lr / bc1 * m / (sqrt(v) / sqrt(bc2) + eps)` with `bc = 1 - beta**t`. As
    `torch.optim.Adam`. Memory: two buffers, three with `amsgrad`.

    References
    ----------
    Kingma, Ba 2015, "Adam: a method for stochastic optimization", arXiv:1412.6980.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = Adam([w], lr=1e-2)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "adam"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
            },
            engine,
        )

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        *state: Tensor,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        amsgrad: bool,
        t: int,
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        m, v, *largest = state
        beta1, beta2 = betas
        m = m + (1 - beta1) * (g - m)
        v = beta2 * v + (1 - beta2) * g * g
        largest = [torch.maximum(largest[0], v)] if amsgrad else []
        root = (largest[0] if amsgrad else v).sqrt() / (1 - beta2**t) ** 0.5
        return lr / (1 - beta1**t) * m / (root + eps), m, v, *largest
