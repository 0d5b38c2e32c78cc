"""Adamax: Adam with the largest recent gradient in place of the second moment."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class Adamax(Optimizer):
    """Adam with the largest recent gradient in place of the second moment.

    Use it where gradients are sparse or of very different sizes, as for embeddings.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 2e-3
        Learning rate, >= 0.
    betas : tuple of float, default (0.9, 0.999)
        Rates of the running mean and of the decayed maximum, each in [0, 1).
    eps : float, default 1e-8
        Added to the size of the gradient, >= 0.
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
    `m = beta1 * m + (1 - beta1) * g`, `u = max(beta2 * u, |g| + eps)`, `x -= lr / bc1 * m / u`. As
    `torch.optim.Adamax`. Memory: two buffers.

    References
    ----------
    Kingma, Ba 2015, "Adam: a method for stochastic optimization", arXiv:1412.6980, Alg. 2.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = Adamax([w], lr=1e-2)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "adamax"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}, engine
        )

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        m: Tensor,
        u: Tensor,
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        t: int,
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        beta1, beta2 = betas
        m = m + (1 - beta1) * (g - m)
        u = torch.maximum(beta2 * u, g.abs() + eps)
        return lr / (1 - beta1**t) * m / u, m, u
