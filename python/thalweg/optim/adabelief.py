"""AdaBelief: Adam whose second moment is that of gradient less momentum."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class AdaBelief(Optimizer):
    """Adam whose second moment is that of gradient less momentum.

    Steps are long where gradients are as foreseen, and short where they surprise.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1e-3
        Learning rate, >= 0.
    betas : tuple of float, default (0.9, 0.999)
        Rates of the first and second moment, each in [0, 1).
    eps : float, default 1e-16
        Added into the second moment at every step, and to its root, > 0.
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
    `m = beta1 * m + (1 - beta1) * g`, `s = beta2 * s + (1 - beta2) * (g - m)**2 + eps`,
    `x -= lr / bc1 * m / (sqrt(s) / sqrt(bc2) + eps)`. The rectified form of the authors' code is
    left out. Memory: two buffers.

    References
    ----------
    Zhuang et al. 2020, "AdaBelief optimizer: adapting stepsizes by the belief in observed
    gradients", arXiv:2010.07468.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = AdaBelief([w], lr=1e-2)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "adabelief"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-16,
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
        s: Tensor,
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        t: int,
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        beta1, beta2 = betas
        m = m + (1 - beta1) * (g - m)
        s = beta2 * s + (1 - beta2) * (g - m) * (g - m) + eps
        root = s.sqrt() / (1 - beta2**t) ** 0.5
        return lr / (1 - beta1**t) * m / (root + eps), m, s
