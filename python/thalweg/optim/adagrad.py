"""Adagrad: the gradient over the root of the sum of its squares."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class Adagrad(Optimizer):
    """The gradient over the root of the sum of its squares.

    Use it for sparse features, whose rare coordinates should keep a large rate.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1e-2
        Learning rate, >= 0.
    lr_decay : float, default 0.0
        The rate is divided by `1 + (t - 1) * lr_decay`, >= 0.
    weight_decay : float, default 0.0
        Strength of the decay, >= 0; its form is coupled unless `decay` says otherwise.
    initial_accumulator_value : float, default 0.0
        What the sum starts from, >= 0.
    eps : float, default 1e-10
        Added to the root, >= 0.
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
    `s += g * g`, `x -= lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)`. As
    `torch.optim.Adagrad`; state exists from the construction on. A sparse gradient is taken as the
    dense one of the same values, and not together with decay. Memory: one buffer.

    References
    ----------
    Duchi, Hazan, Singer 2011, "Adaptive subgradient methods for online learning and stochastic
    optimization", JMLR 12.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = Adagrad([w], lr=0.1)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "adagrad"
    eager_state = True
    sparse = True

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "eps": eps,
            },
            engine,
        )

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        s: Tensor,
        *,
        lr: float,
        lr_decay: float,
        eps: float,
        t: int,
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        s = s + g * g
        return lr / (1 + (t - 1) * lr_decay) * g / (s.sqrt() + eps), s
