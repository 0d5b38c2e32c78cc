"""RandomScalingSGD: momentum whose every step is scaled by an exponential random number."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from thalweg import _core
from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class RandomScalingSGD(Optimizer):
    """Momentum whose every step is scaled by an exponential random number.

    Use it in place of SGD with momentum, for losses that are neither smooth nor convex.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1e-2
        Learning rate, >= 0; the scale is 1 on average.
    momentum : float, default 0.9
        Rate of the running mean, in [0, 1).
    weight_decay : float, default 0.0
        Strength of the decay, >= 0; its form is decoupled unless `decay` says otherwise.
    seed : int, default 0
        Seed of the scales, which depend on it and on the number of the step alone.
    average : bool, default False
        Keep the exponential average of iterates that the guarantee is about; `eval()` exchanges it
        for them.
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
    `m = momentum * m + (1 - momentum) * g`, `x -= lr * s * m` with one `s ~ Exp(1)` for all
    parameters of a step, the same in every process. Memory: one buffer, two with the average.

    References
    ----------
    Zhang, Cutkosky 2024, "Random scaling and momentum for non-smooth non-convex optimization",
    ICML, arXiv:2405.09742.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = RandomScalingSGD([w])
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "randomscalingsgd"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        seed: int = 0,
        average: bool = False,
        train_mode: bool = True,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "weight_decay": weight_decay,
                "seed": seed,
                "average": average,
                "train_mode": train_mode,
            },
            engine,
        )

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        *states: Tensor,
        lr: float,
        momentum: float,
        seed: int,
        average: bool,
        t: int,
        call: int,
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        m = momentum * states[0] + (1 - momentum) * g
        scale = -math.log1p(-_core.optim_uniform(int(seed), call))
        if not average:
            return lr * scale * m, m
        keep = (momentum - momentum**t) / (1 - momentum**t)
        return lr * scale * m, m, keep * states[1] + (1 - keep) * x
