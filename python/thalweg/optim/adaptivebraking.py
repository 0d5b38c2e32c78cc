"""AdaptiveBraking: momentum that weighs a gradient down the more it agrees with the velocity."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class AdaptiveBraking(Optimizer):
    """Momentum that weighs a gradient down the more it agrees with the velocity.

    Use it for momentum SGD with stale gradients, as in pipelines and asynchronous training.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1e-2
        Learning rate, >= 0.
    momentum : float, default 0.9
        How much of the velocity is kept, in [0, 1).
    rho : float, default 1.0
        Strength of the brake, in [0, 2]; 0 is SGD with momentum.
    eps : float, default 1e-12
        Least product of the norms, > 0.
    granularity : {"tensor", "filter"}, default "tensor"
        What the angle is between: tensors, or filters, slices along the first axis; a tensor of
        fewer than two axes is one filter.
    weight_decay : float, default 0.0
        Strength of the decay, >= 0; its form is coupled unless `decay` says otherwise.
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
    `cos = <g, v> / max(|g| * |v|, eps)` over each tensor or filter, `v = momentum * v + (1 - rho *
    cos) * g`, `x -= lr * v`. Memory: one buffer, and a pass for three sums.

    References
    ----------
    Venigalla, Kosson, Chiley, Koester 2020, "Adaptive braking for mitigating gradient delay",
    arXiv:2007.01397.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = AdaptiveBraking([w])
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "adaptivebraking"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        momentum: float = 0.9,
        rho: float = 1.0,
        eps: float = 1e-12,
        granularity: Literal["tensor", "filter"] = "tensor",
        weight_decay: float = 0.0,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "rho": rho,
                "eps": eps,
                "granularity": granularity,
                "weight_decay": weight_decay,
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
        momentum: float,
        rho: float,
        eps: float,
        granularity: str,
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        first = 1 if granularity == "filter" and g.dim() > 1 else 0
        over = tuple(range(first, g.dim()))

        def total(values: Tensor) -> Tensor:
            return values.double().sum(over, keepdim=True)

        norms = total(g.double() ** 2).sqrt() * total(v.double() ** 2).sqrt()
        cos = total(g * v) / norms.clamp(min=eps)
        v = momentum * v + (1 - rho * cos).to(g.dtype) * g
        return lr * v, v
