"""AdaMomentum: Adam whose second moment is that of the momentum."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class AdaMomentum(Optimizer):
    """Adam whose second moment is that of the momentum.

    Use it for Adam's speed with generalization closer to SGD's; warm up.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1e-3
        Learning rate, >= 0.
    betas : tuple of float, default (0.9, 0.999)
        Rates of the first and second moment, each in [0, 1).
    eps : float, default 1e-8
        Added into the second moment at every step, > 0.
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
    `m = beta1 * m + (1 - beta1) * g`, `v = beta2 * v + (1 - beta2) * m**2 + eps`,
    `x -= lr / bc1 * m / (sqrt(v) / sqrt(bc2))`. The first step is `1 / (1 - beta1)` times that of
    Adam. Memory: two buffers.

    References
    ----------
    Wang et al. 2021, "Rethinking Adam: a twofold exponential moving average approach",
    arXiv:2106.11514.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = AdaMomentum([w], lr=1e-2)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "adamomentum"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}, engine
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
        t: int,
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        beta1, beta2 = betas
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * m * m + eps
        return lr / (1 - beta1**t) * m / (v.sqrt() / (1 - beta2**t) ** 0.5), m, v
