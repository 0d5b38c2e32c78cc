"""OptimisticAMSGrad: aMSGrad that steps ahead along a prediction of the next gradient."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class OptimisticAMSGrad(Optimizer):
    """AMSGrad that steps ahead along a prediction of the next gradient.

    Use it where successive gradients resemble each other, as with large batches or in games.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1e-3
        Learning rate, >= 0.
    betas : tuple of float, default (0.9, 0.99)
        Rates of the running mean and of the running square, each in [0, 1).
    eps : float, default 1e-8
        Added to the root, >= 0.
    weight_decay : float, default 0.0
        Strength of the decay, >= 0; its form is coupled unless `decay` says otherwise.
    guess : {"extrapolate", "last", "none"}, default "extrapolate"
        How the next gradient is predicted: by regularized nonlinear acceleration of the last ones,
        as the last one, or not at all, which is AMSGrad without bias correction.
    history : int, default 5
        How many gradients are extrapolated from, 2 to 5.
    lam : float, default 1e-6
        Regularization of the extrapolation, relative, > 0.
    fresh_momentum : bool, default False
        Step ahead from the new first moment instead of the old one.
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
    With `p` the prediction of `g`: `m = beta1 * m_old + (1 - beta1) * g`, `v = beta2 * v + (1 -
    beta2) * (g - p)**2`, `u = max(u, v)`, `w -= lr * m / (sqrt(u) + eps)`; then `x = w - lr * h /
    (sqrt(u) + eps)` with `h = beta1 * m_old + (1 - beta1) * q` for the prediction `q` of the next
    gradient. State keeps `lead = x - w`. Each tensor has a predictor of its own. Memory: four
    buffers and `history` gradients.

    References
    ----------
    Wang, Li, Karimi, Li 2021, "An optimistic acceleration of AMSGrad for nonconvex optimization",
    ACML, arXiv:1903.01435.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = OptimisticAMSGrad([w], lr=1e-2)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "optimisticamsgrad"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        guess: Literal["extrapolate", "last", "none"] = "extrapolate",
        history: int = 5,
        lam: float = 1e-6,
        fresh_momentum: bool = False,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "guess": guess,
                "history": history,
                "lam": lam,
                "fresh_momentum": fresh_momentum,
            },
            engine,
        )

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        *states: Tensor,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        guess: str,
        history: int,
        lam: float,
        fresh_momentum: bool,
        t: int,
        scalars: dict[str, Tensor],
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        beta1, beta2 = betas
        kept = {"extrapolate": int(history), "last": 1, "none": 0}[guess]
        gradients, (m, v, largest, lead) = list(states[:kept]), states[kept:]
        predicted = torch.zeros_like(g)
        ahead = torch.zeros_like(g)
        if kept:
            weights = scalars["guess"].reshape(-1)
            for k, old in enumerate(gradients):
                predicted = predicted + float(weights[k]) * old
            newest = (t - 1) % kept
            gradients[newest] = g
            products = torch.zeros(kept, kept, dtype=torch.float64)
            if guess == "extrapolate":
                # Only those with the new gradient change: the others are of what was seen then.
                products = scalars["products"].reshape(kept, kept)
                row = torch.stack([(q.double() * g.double()).sum() for q in gradients])
                products[newest] = products[:, newest] = row.to(products)
            weights.copy_(_weights(products, t, lam))
            for k, old in enumerate(gradients):
                ahead = ahead + float(weights[k]) * old
        new = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * (g - predicted) ** 2
        largest = torch.maximum(largest, v)
        rate = lr / (largest.sqrt() + eps)
        then = -rate * (beta1 * (new if fresh_momentum else m) + (1 - beta1) * ahead)
        then = then if kept else torch.zeros_like(then)
        return rate * new + lead - then, *gradients, new, v, largest, then


def _weights(products: Tensor, t: int, lam: float) -> Tensor:
    """Return the weights of the last gradients in the prediction of the next."""
    n = len(products)
    newest = (t - 1) % n
    last = torch.zeros(n, dtype=torch.float64)
    last[newest] = 1.0
    if t < n or n == 1:
        return last
    order = [(newest + 1 + k) % n for k in range(n)]
    square = products[order][:, order].diff(dim=0).diff(dim=1)
    square = square / square.norm() + lam * torch.eye(n - 1, dtype=torch.float64)
    z, info = torch.linalg.solve_ex(square, torch.ones(n - 1, dtype=torch.float64))
    total = z.sum()
    if bool(info != 0) or not bool(total.isfinite()) or abs(total) <= 1e-12 * z.abs().sum():
        return last
    weights = torch.zeros(n, dtype=torch.float64)
    weights[order[1:]] = z / total
    return weights
