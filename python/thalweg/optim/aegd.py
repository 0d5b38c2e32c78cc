"""AEGD: gradient descent on the root of the loss, with an energy that only sinks."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class AEGD(Optimizer):
    """Gradient descent on the root of the loss, with an energy that only sinks.

    Use it where a step must be stable at any rate, or where a metric keeps parameters positive.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 0.1
        Learning rate, >= 0.
    c : float, default 1.0
        The loss plus `c` must be above 0 in every step.
    weight_decay : float, default 0.0
        Strength of the decay, >= 0; its form is coupled (added to the transformed gradient, as the
        authors do) unless `decay` says otherwise.
    preconditioner : {None, "identity", "entropy", "log_barrier"}, default None
        One energy for each tensor, and the inverse metric 1, x (x > 0) or x**2.
    conserve_sum : bool, default False
        Keep the sum of each tensor, with a preconditioner.
    momentum : float, default 0.0
        How much of the last transformed gradient is kept, in [0, 1); without preconditioner.
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
    With `s = sqrt(loss + c)`, where the energy `r` starts, and `d = g / (2 * s)`: `r /= 1 + 2 * lr
    * d * d`, `x -= 2 * lr * r * d`. With momentum (AEGDM) `v = momentum * v + d` takes the place of
    `d` in both. With a preconditioner T the energy is one number: `v = T * d`,
    `r /= 1 + 2 * lr * sum(v * v / T)`, `x -= 2 * lr * r * v`. A step needs a closure that returns
    the loss. The rate can only shrink; `reset_energy()` starts anew. Memory: one buffer, two with
    momentum, or none and a pass for sums.

    References
    ----------
    Liu, Tian 2020, "AEGD: adaptive gradient descent with energy", arXiv:2010.05109.
    Liu, Nurbekyan, Tian, Yang 2023, "Adaptive preconditioned gradient descent with energy",
    arXiv:2310.06733.
    Liu, Tian 2022, "An adaptive gradient method with energy and momentum", arXiv:2203.12191.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = AEGD([w])
    >>> loss = w.square().sum()
    >>> loss.backward()
    >>> _ = optimizer.step(lambda: loss)
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "aegd"
    # Distributed checkpoints make missing state by a step without a loss.
    eager_state = True
    needs_loss = True

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 0.1,
        c: float = 1.0,
        weight_decay: float = 0.0,
        preconditioner: Literal["identity", "entropy", "log_barrier"] | None = None,
        conserve_sum: bool = False,
        momentum: float = 0.0,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "c": c,
                "weight_decay": weight_decay,
                "preconditioner": preconditioner,
                "conserve_sum": conserve_sum,
                "momentum": momentum,
            },
            engine,
        )

    def reset_energy(self) -> None:
        """Let the energy start from the loss of the next step."""
        for state in self.state.values():
            state["energy"].fill_(-1.0)

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        *states: Tensor,
        lr: float,
        c: float,
        preconditioner: str | None,
        conserve_sum: bool,
        momentum: float,
        loss: float | None,
        scalars: dict[str, Tensor],
        own_decay: dict[str, float],
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        assert loss is not None
        s = math.sqrt(loss + c)
        if preconditioner is None:
            d = g / (2 * s) + own_decay.get("coupled", 0.0) * x
            r, *rest = states
            if rest:
                d = momentum * rest[0] + d
                rest = [d]
            r = torch.where(r < 0, s, r) / (1 + 2 * lr * d * d)
            return (2 * lr * r * d, r, *rest)
        scale = {"identity": torch.ones_like(x), "entropy": x, "log_barrier": x * x}
        weight = scale[preconditioner]
        total = weight.double().sum()
        if conserve_sum and total != 0:
            g = g - ((weight * g).double().sum() / total).to(g.dtype)
        energy = scalars["energy"]
        start = s if energy < 0 else energy.item()
        energy.fill_(start / (1 + 2 * lr * float((weight * g * g).double().sum()) / (4 * s * s)))
        return (lr * energy.item() / s * weight * g,)
