"""ScheduleFreeAdamW: adamW whose average of iterates takes the place of a schedule."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class ScheduleFreeAdamW(Optimizer):
    """AdamW whose average of iterates takes the place of a schedule.

    Use it instead of AdamW with a decaying rate, when the number of steps is not known beforehand.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 2.5e-3
        Learning rate, >= 0.
    betas : tuple of float, default (0.9, 0.999)
        Share of the average in the point where gradients are taken, in (0, 1), and rate of the
        running square, in [0, 1).
    eps : float, default 1e-8
        Added to the root, >= 0.
    weight_decay : float, default 0.0
        Strength of the decay, >= 0; its form is decoupled unless `decay` says otherwise.
    warmup_steps : int, default 0
        Steps over which the rate rises linearly.
    r : float, default 0.0
        Later iterates weigh more by `t**r`, >= 0.
    weight_lr_power : float, default 2.0
        Iterates of larger rates weigh more by that power, >= 0.
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
    Parameters hold `y`. With `c` the weight of this iterate in the average and `n = g / (sqrt(v /
    bc2) + eps) + weight_decay * y`: `y += c * (z - y) - lr * (1 - beta1 * (1 - c)) * n`, `z -= lr *
    n`. Call `optimizer.eval()` before the model is evaluated or saved for use, and
    `optimizer.train()` before the next step; a step in between is an error. Checkpoints may be
    taken in either mode. Memory: two buffers.

    References
    ----------
    Defazio et al. 2024, "The road less scheduled", arXiv:2405.15682.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = ScheduleFreeAdamW([w], lr=1e-2)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "schedulefreeadamw"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2.5e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        train_mode: bool = True,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "warmup_steps": warmup_steps,
                "r": r,
                "weight_lr_power": weight_lr_power,
                "train_mode": train_mode,
            },
            engine,
        )

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        z: Tensor,
        v: Tensor,
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        warmup_steps: int,
        r: float,
        weight_lr_power: float,
        t: int,
        scalars: dict[str, Tensor],
        own_decay: dict[str, float],
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        beta1, beta2 = betas
        rate = lr * min(1.0, t / warmup_steps) if warmup_steps else lr
        largest = max(float(scalars["lr_max"]), rate)
        weight = t**r * largest**weight_lr_power
        total = float(scalars["weight_sum"]) + weight
        scalars["lr_max"].fill_(largest)
        scalars["weight_sum"].fill_(total)
        c = weight / total if total > 0.0 else 0.0
        z = x if t == 1 else z
        v = beta2 * v + (1 - beta2) * g * g
        n = g / ((v / (1 - beta2**t)).sqrt() + eps)
        towards = ((n.sign() * x.sign()) >= 0).to(x.dtype)
        decay = own_decay.get("decoupled", 0.0) + own_decay.get("cautious", 0.0) * towards
        n = n + decay * x
        u = rate * (1 - beta1 * (1 - c)) * n - c * (z - x)
        return u, z - rate * n, v
