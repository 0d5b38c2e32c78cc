"""Grams: the size of Adam's step with the sign of the gradient."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class Grams(Optimizer):
    """The size of Adam's step with the sign of the gradient.

    Use it like a cautious Adam without zeroed coordinates.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1e-3
        Learning rate, >= 0.
    betas : tuple of float, default (0.9, 0.999)
        Rates of the first and second moment, each in [0, 1).
    eps : float, default 1e-6
        Added to the root of the second moment, >= 0.
    weight_decay : float, default 0.0
        Strength of the decay, >= 0; its form is decoupled unless `decay` says otherwise.
    correct_bias : bool, default True
        Divide moments by `1 - beta**t`.
    eps_mode : {"torch", "early"}, default "torch"
        Add eps to `sqrt(v) / sqrt(bc2)`, or to `sqrt(v)` as the authors' code does.
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
    `m`, `v` as `Adam`; `x -= lr * sign(g) * |m / bc1 / (sqrt(v) / sqrt(bc2) + eps)|`. A
    coordinate with gradient 0 does not move. Memory: two buffers.

    References
    ----------
    Cao, Li, Song 2024, "Grams: gradient descent with adaptive momentum scaling",
    arXiv:2412.17107.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = Grams([w], lr=1e-2)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "grams"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        correct_bias: bool = True,
        eps_mode: Literal["torch", "early"] = "torch",
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "correct_bias": correct_bias,
                "eps_mode": eps_mode,
            },
            engine,
        )

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
        correct_bias: bool,
        eps_mode: str,
        t: int,
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        beta1, beta2 = betas
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        bc1, bc2 = (1 - beta1**t, 1 - beta2**t) if correct_bias else (1.0, 1.0)
        if eps_mode == "early":
            u = lr * bc2**0.5 / bc1 * m / (v.sqrt() + eps)
        else:
            u = lr / bc1 * m / (v.sqrt() / bc2**0.5 + eps)
        return g.sign() * u.abs(), m, v
