"""CLASSP: weights that learned much move little; small gradients move nothing."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class CLASSP(Optimizer):
    """Weights that learned much move little; small gradients move nothing.

    Use it to learn tasks one after the other without keeping their data.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 0.2
        Learning rate, >= 0.
    threshold : float, default 0.5
        Weights move where the squared gradient is above it, >= 0.
    power : float, default 1.0
        Power of the gradients that are summed up, > 0.
    eps : float, default 1e-5
        Added to the sum, > 0.
    weight_decay : float, default 0.0
        Strength of the decay, >= 0; its form is coupled unless `decay` says otherwise.
    apply_scaling : bool, default True
        Divide by the sum; without, as for a first task, the sum only grows. May change between
        steps.
    gate : {"element", "tensor"}, default "element"
        What the threshold decides on; "tensor" opens for all of a tensor that has any gradient
        while the threshold is below 1, as the authors' code does.
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
    Where `g**2 > threshold`: `s += |g|**power`, `x -= lr * g / (eps + s)**(1 / power)`. The sum
    `grad_sum` is the memory of earlier tasks: keep the optimizer. Memory: one buffer.

    References
    ----------
    Ludwig 2024, "CLASSP: a biologically-inspired approach to continual learning through adjustment
    suppression and sparsity promotion".

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = CLASSP([w])
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "classp"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 0.2,
        threshold: float = 0.5,
        power: float = 1.0,
        eps: float = 1e-5,
        weight_decay: float = 0.0,
        apply_scaling: bool = True,
        gate: Literal["element", "tensor"] = "element",
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "threshold": threshold,
                "power": power,
                "eps": eps,
                "weight_decay": weight_decay,
                "apply_scaling": apply_scaling,
                "gate": gate,
            },
            engine,
        )

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        s: Tensor,
        *,
        lr: float,
        threshold: float,
        power: float,
        eps: float,
        apply_scaling: bool,
        gate: str,
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        if gate == "tensor":
            opened = torch.full_like(g, bool(g.count_nonzero()) and threshold < 1).bool()
        else:
            opened = ~(g * g <= threshold)
        s = torch.where(opened, s + g.abs() ** power, s)
        scale = lr / (eps + s) ** (1 / power) if apply_scaling else lr
        return torch.where(opened, scale * g, torch.zeros_like(g)), s
