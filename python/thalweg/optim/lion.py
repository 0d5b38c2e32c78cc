"""Lion: the sign of an interpolated momentum."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class Lion(Optimizer):
    """The sign of an interpolated momentum.

    Use it for half the state of AdamW; a rate three to ten times smaller suits it.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1e-4
        Learning rate, >= 0.
    betas : tuple of float, default (0.9, 0.99)
        Weight of the momentum in the step, and its own rate, each in [0, 1).
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
    `c = beta1 * m + (1 - beta1) * g`, `x -= lr * sign(c)`, then
    `m = beta2 * m + (1 - beta2) * g`. Memory: one buffer (`exp_avg`).

    References
    ----------
    Chen et al. 2023, "Symbolic discovery of optimization algorithms", arXiv:2302.06675.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = Lion([w], lr=1e-2)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "lion"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay}, engine)

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        m: Tensor,
        *,
        lr: float,
        betas: tuple[float, float],
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        beta1, beta2 = betas
        c = beta1 * m + (1 - beta1) * g
        return lr * c.sign(), beta2 * m + (1 - beta2) * g
