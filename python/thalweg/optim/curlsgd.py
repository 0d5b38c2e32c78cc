"""CurlSGD: sGD in which some neurons learn with the opposite sign."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class CurlSGD(Optimizer):
    """SGD in which some neurons learn with the opposite sign.

    Use it to study learning that does not follow a gradient.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1e-2
        Learning rate, >= 0.
    momentum : float, default 0.0
        How much of the last step is kept, >= 0.
    fraction : float, default 0.1
        Share of the columns of each matrix (presynaptic neurons) that ascend, in [0, 1].
    weight_decay : float, default 0.0
        Strength of the decay, >= 0; its form is decoupled unless `decay` says otherwise.
    seed : int, default 0
        Seed of the choice of columns.
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
    `x -= lr * d * b` with `b = momentum * b + g` and `d = -1` in the chosen columns (the second
    axis), else 1; vectors keep 1. Fixed points are those of gradient descent, their stability is
    not. `update_sign` in the state holds `d`. Memory: one or two buffers.

    References
    ----------
    Ninou, Kadmon, Cayco-Gajic 2025, "Curl descent: non-gradient learning dynamics with sign-diverse
    plasticity", NeurIPS, arXiv:2510.02765.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = CurlSGD([w])
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "curlsgd"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        momentum: float = 0.0,
        fraction: float = 0.1,
        weight_decay: float = 0.0,
        seed: int = 0,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "fraction": fraction,
                "weight_decay": weight_decay,
                "seed": seed,
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
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        d = states[0]
        if momentum == 0:
            return lr * d * g, d
        b = momentum * states[1] + g
        return lr * d * b, d, b
