"""TripleMomentum: triple momentum, heavy ball and Nesterov's method, tuned by L and mu."""

from __future__ import annotations

import math
from typing import Any, Literal

from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class TripleMomentum(Optimizer):
    """Triple momentum, heavy ball and Nesterov's method, tuned by L and mu.

    Use it where smoothness and strong convexity are known, as for regularized linear models.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1.0
        Factor on the tuned step, >= 0.
    L : float, default 1.0
        Smoothness, the largest curvature, > 0.
    mu : float, default 1e-2
        Strong convexity, the smallest curvature, > 0 and at most `L`; Nesterov's method takes 0
        too.
    method : {"triple", "heavy_ball", "nesterov"}, default "triple"
        Which one.
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
    With `q = sqrt(L / mu)` the error of smooth and strongly convex functions shrinks by `1 - 1/q` a
    step (triple), by `sqrt(1 - 1/q)` (Nesterov), on quadratics by `(q - 1) / (q + 1)` (heavy ball,
    which may cycle elsewhere). Gradients are full ones. Triple momentum takes them beside its
    iterate: `eval()` puts the iterate in, `train()` goes back. Memory: one buffer.

    References
    ----------
    Van Scoy, Freeman, Lynch 2018, "The fastest known globally convergent first-order method for
    minimizing strongly convex functions", IEEE Control Systems Letters 2.
    Polyak 1964; Nesterov 2004, "Introductory lectures on convex optimization".

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = TripleMomentum([w], L=4.0, mu=1.0)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "triplemomentum"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1.0,
        L: float = 1.0,
        mu: float = 1e-2,
        method: Literal["triple", "heavy_ball", "nesterov"] = "triple",
        weight_decay: float = 0.0,
        train_mode: bool = True,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "L": L,
                "mu": mu,
                "method": method,
                "weight_decay": weight_decay,
                "train_mode": train_mode,
            },
            engine,
        )

    @staticmethod
    def rate(lr: float, L: float, mu: float, method: str, **_: Any) -> float:
        """Return the rate of decoupled decay."""
        return float(lr) * _tuned(L, mu, method)[0]

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        d: Tensor,
        *,
        lr: float,
        L: float,
        mu: float,
        method: str,
        scalars: dict[str, Tensor],
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        alpha, beta, gamma = _tuned(L, mu, method)
        after = gamma
        if method == "nesterov" and mu == 0:
            w, beta = scalars["w"].item(), scalars["gamma"].item()
            gamma = beta
            scalars["w"].fill_((1 + math.sqrt(1 + 4 * w * w)) / 2)
            after = (w - 1) / scalars["w"].item()
            scalars["gamma"].fill_(after)
        new = beta * d - lr * alpha * g
        return gamma * d - (1 + after) * new, new


def _tuned(L: float, mu: float, method: str) -> tuple[float, float, float]:
    """Return step size, momentum, and how far gradients are taken ahead."""
    q = math.sqrt(L / mu) if mu > 0 else math.inf
    if method == "triple":
        p = 1 - 1 / q
        return (1 + p) / L, p * p / (2 - p), p * p / ((1 + p) * (2 - p))
    if method == "heavy_ball":
        return 4 / (math.sqrt(L) + math.sqrt(mu)) ** 2, ((q - 1) / (q + 1)) ** 2, 0.0
    beta = (q - 1) / (q + 1) if mu > 0 else 0.0
    return 1 / L, beta, beta
