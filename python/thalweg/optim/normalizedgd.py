"""NormalizedGD: the gradient over a power of its norm."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class NormalizedGD(Optimizer):
    """The gradient over a power of its norm.

    Use it where curvature grows with the gradient, and plain descent would blow up.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1e-2
        Learning rate, >= 0.
    beta : float, default 1.0
        Power of the norm, in [0, 1]: 1 makes every step `lr` long, 0 is gradient descent.
    weight_decay : float, default 0.0
        Strength of the decay, >= 0; its form is decoupled unless `decay` says otherwise.
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
    `x -= lr * g / norm**beta` with the norm over all parameters that are stepped together; nothing
    moves where it is 0. Memory: none, and a pass over the gradients.

    References
    ----------
    Chen, Zhou, Liang, Lu 2023, "Generalized-smooth nonconvex optimization is as efficient as smooth
    nonconvex optimization", ICML, arXiv:2303.02854.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = NormalizedGD([w])
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "normalizedgd"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        beta: float = 1.0,
        weight_decay: float = 0.0,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(params, {"lr": lr, "beta": beta, "weight_decay": weight_decay}, engine)

    @staticmethod
    def shared(gradients: list[Tensor]) -> dict[str, Any]:
        """Return the norm of all gradients."""
        squares = [g.double().square().sum().to(gradients[0].device) for g in gradients]
        return {"norm": torch.stack(squares).sum().sqrt()}

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        *,
        lr: float,
        beta: float,
        norm: Tensor,
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        return (torch.where(norm == 0, 0.0, lr * norm**-beta).to(g) * g,)
