"""Gravity: a velocity fed by gradients that are damped where they are large."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class Gravity(Optimizer):
    """A velocity fed by gradients that are damped where they are large.

    Use it where a bounded step per coordinate matters; mostly of historical interest.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 0.1
        Learning rate, > 0.
    alpha : float, default 0.01
        The first velocity has standard deviation alpha / lr, >= 0.
    beta : float, default 0.9
        Rate that the running mean approaches, in [0, 1).
    weight_decay : float, default 0.0
        Strength of the decay, >= 0; its form is decoupled unless `decay` says otherwise.
    v0 : {"normal", "zeros"}, default "normal"
        How the velocity starts, at construction.
    seed : int, default 0
        Seed of the first velocity; it depends on seed and place alone.
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
    `z = g / (1 + (g * max|g|)**2)` with the maximum over the tensor;
    `b = (beta * t + 1) / (t + 2)`; `v = b * v + (1 - b) * z`; `x -= lr * v`. Huge gradients hardly
    move. Memory: one buffer (`velocity`), and a pass over the gradient.

    References
    ----------
    Bahrami, Pouriyan Zadeh 2021, "Gravity optimizer: a kinematic approach on optimization in
    deep learning", arXiv:2101.09192.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = Gravity([w], v0="zeros")
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "gravity"
    eager_state = True

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 0.1,
        alpha: float = 0.01,
        beta: float = 0.9,
        weight_decay: float = 0.0,
        v0: Literal["normal", "zeros"] = "normal",
        seed: int = 0,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "alpha": alpha,
                "beta": beta,
                "weight_decay": weight_decay,
                "v0": v0,
                "seed": seed,
            },
            engine,
        )

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        v: Tensor,
        *,
        lr: float,
        beta: float,
        t: int,
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        largest = g.abs().max() if g.numel() else 0.0
        z = g / (1 + (g * largest) ** 2)
        b = (beta * t + 1) / (t + 2)
        v = b * v + (1 - b) * z
        return lr * v, v
