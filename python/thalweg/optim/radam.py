"""RAdam: adam that waits until its second moment can be trusted."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack, named_decay


class RAdam(Optimizer):
    """Adam that waits until its second moment can be trusted.

    Use it as Adam without a warm-up of the rate.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1e-3
        Learning rate, >= 0.
    betas : tuple of float, default (0.9, 0.999)
        Rates of the running mean and of the running square, each in [0, 1).
    eps : float, default 1e-8
        Added to the root, >= 0.
    weight_decay : float, default 0.0
        Strength of the decay, >= 0; its form is coupled unless `decay` says otherwise.
    decoupled_weight_decay : bool, default False
        torch's name for `decay="decoupled"`.
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
    With `q = 2 / (1 - beta2) - 1` and `rho = q - 2 * t * beta2**t / bc2`: `x -= lr / bc1 * m` while
    `rho <= 5`, then `x -= lr / bc1 * r * sqrt(bc2) * m / (sqrt(v) + eps)` with `r = sqrt((rho - 4)
    * (rho - 2) * q / ((q - 4) * (q - 2) * rho))`. As `torch.optim.RAdam`. Memory: two buffers.

    References
    ----------
    Liu et al. 2020, "On the variance of the adaptive learning rate and beyond", arXiv:1908.03265.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = RAdam([w], lr=1e-2)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "radam"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        **engine: Unpack[EngineOptions],
    ) -> None:
        flag = {"decoupled_weight_decay": named_decay(decoupled_weight_decay, engine)}
        hyper = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, **flag}
        super().__init__(params, hyper, engine)

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        m: Tensor,
        v: Tensor,
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        t: int,
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        beta1, beta2 = betas
        bc1, bc2 = 1 - beta1**t, 1 - beta2**t
        m = m + (1 - beta1) * (g - m)
        v = beta2 * v + (1 - beta2) * g * g
        q = 2 / (1 - beta2) - 1
        rho = q - 2 * t * beta2**t / bc2
        u = lr / bc1 * m
        if rho > 5:
            r = math.sqrt((rho - 4) * (rho - 2) * q / ((q - 4) * (q - 2) * rho))
            u = u * (r * math.sqrt(bc2)) / (v.sqrt() + eps)
        return u, m, v
