"""Adadelta: steps as large as recent steps were."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class Adadelta(Optimizer):
    """Steps as large as recent steps were.

    Use it where no rate is known: its steps have the units of the parameter.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1.0
        Learning rate, >= 0.
    rho : float, default 0.9
        Rate of the running squares, in [0, 1].
    eps : float, default 1e-6
        Added to the running squares, >= 0.
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
    `s = rho * s + (1 - rho) * g * g`, `d = sqrt(a + eps) / sqrt(s + eps) * g`, `a = rho * a + (1 -
    rho) * d * d`, `x -= lr * d`. As `torch.optim.Adadelta`. Memory: two buffers.

    References
    ----------
    Zeiler 2012, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701, Alg. 1.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = Adadelta([w])
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "adadelta"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay}, engine
        )

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        s: Tensor,
        a: Tensor,
        *,
        lr: float,
        rho: float,
        eps: float,
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        s = rho * s + (1 - rho) * g * g
        d = (a + eps).sqrt() / (s + eps).sqrt() * g
        a = rho * a + (1 - rho) * d * d
        return lr * d, s, a
