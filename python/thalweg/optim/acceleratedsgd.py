"""AcceleratedSGD: nesterov's acceleration for models that can fit every example."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class AcceleratedSGD(Optimizer):
    """Nesterov's acceleration for models that can fit every example.

    Use it for SGD on overparametrized problems.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1e-2
        Learning rate, 1 / (rho L) under strong growth, >= 0.
    mu : float, default 0.0
        Strong convexity, >= 0.
    alpha : float, optional
        First momentum parameter, in [0, 1]; sqrt(lr * mu) if not given, which keeps the momentum
        constant, and 1 for mu = 0.
    weight_decay : float, default 0.0
        Strength of the decay, >= 0; its form is decoupled unless `decay` says otherwise.
    train_mode : bool, default True
        Whether the parameters hold the point where gradients are taken, as they do until `eval()`.
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
    Parameters hold `y`. `w_new = y - lr * g`; `a_new` is the positive root of `a_new**2 = (1 -
    a_new) * a**2 + a_new * lr * mu`; `y = w_new + a * (1 - a) / (a**2 + a_new) * (w_new - w)`.
    State keeps `lead = y - w`; `eval()` puts `w` in, `train()` goes back. Memory: one buffer.

    References
    ----------
    Mishkin, Pilanci, Schmidt 2024, "Faster convergence of stochastic accelerated gradient descent
    under interpolation", arXiv:2404.02378.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = AcceleratedSGD([w])
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "acceleratedsgd"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        mu: float = 0.0,
        alpha: float | None = None,
        weight_decay: float = 0.0,
        train_mode: bool = True,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "mu": mu,
                "alpha": alpha,
                "weight_decay": weight_decay,
                "train_mode": train_mode,
            },
            engine,
        )

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        lead: Tensor,
        *,
        lr: float,
        mu: float,
        scalars: dict[str, Tensor],
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        a = scalars["alpha"].item()
        p = a * a - lr * mu
        ahead = (math.sqrt(p * p + 4 * a * a) - p) / 2
        scalars["alpha"].fill_(ahead)
        momentum = a * (1 - a) / (a * a + ahead) if a > 0 else 1.0
        new = momentum * (lead - lr * g)
        return lr * g - new, new
