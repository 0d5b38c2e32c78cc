"""RMSprop: the gradient over the root of its running square."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class RMSprop(Optimizer):
    """The gradient over the root of its running square.

    Use it for recurrent nets and reinforcement learning.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1e-2
        Learning rate, >= 0.
    alpha : float, default 0.99
        Rate of the running square, >= 0.
    eps : float, default 1e-8
        Added to the root, >= 0.
    weight_decay : float, default 0.0
        Strength of the decay, >= 0; its form is coupled unless `decay` says otherwise.
    momentum : float, default 0.0
        How much of the last step is kept, >= 0.
    centered : bool, default False
        Divide by the deviation instead of the root of the square.
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
    `s = alpha * s + (1 - alpha) * g * g`, `d = g / (sqrt(s) + eps)`, with `centered` `d = g /
    (sqrt(s - a * a) + eps)` for the running mean `a`; `x -= lr * d`, with momentum `b = momentum *
    b + d`, `x -= lr * b`. As `torch.optim.RMSprop`, except that `s - a * a` is at least 0, where
    rounding makes torch's NaN. Memory: one to three buffers.

    References
    ----------
    Tieleman, Hinton 2012, lecture 6.5 of "Neural networks for machine learning".
    Graves 2013, "Generating sequences with recurrent neural networks", arXiv:1308.0850.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = RMSprop([w], lr=1e-2)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "rmsprop"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "alpha": alpha,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "centered": centered,
            },
            engine,
        )

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        *states: Tensor,
        lr: float,
        alpha: float,
        eps: float,
        momentum: float,
        centered: bool,
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        s, rest = states[0], list(states[1:])
        s = alpha * s + (1 - alpha) * g * g
        square = s
        if centered:
            rest[-1] = rest[-1] + (1 - alpha) * (g - rest[-1])
            square = (s - rest[-1] * rest[-1]).clamp(min=0.0)
        d = g / (square.sqrt() + eps)
        if momentum > 0:
            d = rest[0] = momentum * rest[0] + d
        return lr * d, s, *rest
