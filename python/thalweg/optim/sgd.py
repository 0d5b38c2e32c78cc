"""SGD: the gradient, or a running sum of it."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class SGD(Optimizer):
    """The gradient, or a running sum of it.

    Use it with momentum 0.9 and a decaying rate where the last bit of generalization counts.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1e-3
        Learning rate, >= 0.
    momentum : float, default 0
        Factor on the running sum, >= 0.
    dampening : float, default 0
        Share of the gradient kept out of the sum after the first step, >= 0.
    weight_decay : float, default 0.0
        Strength of the decay, >= 0; its form is coupled unless `decay` says otherwise.
    nesterov : bool, default False
        Look ahead; needs momentum > 0 and dampening = 0.
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
    `b = momentum * b + (1 - dampening) * g` (first step: `b = g`), then
    `x -= lr * b`, or `lr * (g + momentum * b)` with `nesterov`. As `torch.optim.SGD`. Memory: one
    buffer (`momentum_buffer`) with momentum, else none.

    References
    ----------
    Polyak 1964, "Some methods of speeding up the convergence of iteration methods".
    Nesterov 1983.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = SGD([w], lr=1e-2)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "sgd"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
            },
            engine,
        )

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        *state: Tensor,
        lr: float,
        momentum: float,
        dampening: float,
        nesterov: bool,
        t: int,
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        if momentum == 0:
            return (lr * g,)
        (b,) = state
        b = momentum * b + (g if t == 1 else (1 - dampening) * g)
        return lr * (g + momentum * b if nesterov else b), b
