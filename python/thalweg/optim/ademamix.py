"""AdEMAMix: Adam with a second, much slower average of gradients."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class AdEMAMix(Optimizer):
    """Adam with a second, much slower average of gradients.

    Use it for long pretraining runs; it forgets old data more slowly.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1e-3
        Learning rate, >= 0.
    betas : tuple of float, default (0.9, 0.999, 0.9999)
        Rates of the fast average, the second moment and the slow average, each in [0, 1).
    alpha : float, default 2
        Weight of the slow average, >= 0; 5 to 10 is common for language models.
    beta3_warmup : int, optional
        Steps over which the half-life of the slow average rises from that of beta1.
    alpha_warmup : int, optional
        Steps over which alpha rises linearly from 0.
    eps : float, default 1e-8
        Added to the root of the second moment, >= 0.
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
    `m1`, `v` as `Adam`; `m2 = beta3 * m2 + (1 - beta3) * g` without bias correction;
    `x -= lr * (m1 / bc1 + alpha * m2) / (sqrt(v) / sqrt(bc2) + eps)`. Without warm-ups a large
    beta3 with alpha > 0 can diverge early. Memory: three buffers, two when beta1 = 0.

    References
    ----------
    Pagliardini, Ablin, Grangier 2024, "The AdEMAMix optimizer: better, faster, older",
    arXiv:2409.03137.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = AdEMAMix([w], lr=1e-2)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "ademamix"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, ...] = (0.9, 0.999, 0.9999),
        alpha: float = 2.0,
        beta3_warmup: int | None = None,
        alpha_warmup: int | None = None,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "alpha": alpha,
                "beta3_warmup": beta3_warmup,
                "alpha_warmup": alpha_warmup,
                "eps": eps,
                "weight_decay": weight_decay,
            },
            engine,
        )

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        *state: Tensor,
        lr: float,
        betas: tuple[float, ...],
        alpha: float,
        beta3_warmup: int | None,
        alpha_warmup: int | None,
        eps: float,
        t: int,
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        beta1, beta2, beta3 = betas
        *fast, m2, v = state
        if alpha_warmup is not None and t < alpha_warmup:
            alpha = alpha * t / alpha_warmup
        if beta3_warmup is not None and t < beta3_warmup:
            done = t / beta3_warmup
            lives = [math.log(0.5) / math.log(beta + 1e-8) - 1 for beta in (beta1, beta3)]
            beta3 = 0.5 ** (1 / ((1 - done) * lives[0] + done * lives[1] + 1))
        m1 = beta1 * fast[0] + (1 - beta1) * g if fast else g
        m2 = beta3 * m2 + (1 - beta3) * g
        v = beta2 * v + (1 - beta2) * g * g
        root = v.sqrt() / (1 - beta2**t) ** 0.5
        u = lr * (m1 / (1 - beta1**t) + alpha * m2) / (root + eps)
        return (u, m1, m2, v) if fast else (u, m2, v)
