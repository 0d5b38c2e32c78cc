"""diffGrad: Adam with a brake on coordinates whose gradient hardly changes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class DiffGrad(Optimizer):
    """Adam with a brake on coordinates whose gradient hardly changes.

    Use it for convolutional networks where Adam overshoots.

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
    `m`, `v` as `Adam`; `xi = sigmoid(|previous_grad - g|)`;
    `x -= lr * sqrt(bc2) / bc1 * m * xi / (sqrt(v) + eps)`. The brake depends on the scale of the
    gradient. Follows the authors' second release, which copies the previous gradient. Memory: three
    buffers, four with `amsgrad`.

    References
    ----------
    Dubey et al. 2020, "diffGrad: an optimization method for convolutional neural networks",
    IEEE TNNLS 31, arXiv:1909.11015.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = DiffGrad([w], lr=1e-2)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "diffgrad"

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
        m, v, previous, *largest = state
        beta1, beta2 = betas
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        largest = [torch.maximum(largest[0], v)] if amsgrad else []
        xi = torch.sigmoid((previous - g).abs())
        rate = lr * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
        root = (largest[0] if amsgrad else v).sqrt()
        return rate * m * xi / (root + eps), m, v, g.clone(), *largest
