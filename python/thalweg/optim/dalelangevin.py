"""DaleLangevin: exponentiated gradients with noise: samples that keep their sign."""

from __future__ import annotations

import math
from typing import Any, Literal

from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class DaleLangevin(Optimizer):
    """Exponentiated gradients with noise: samples that keep their sign.

    Use it to sample positive data from a score, as the reverse process of a diffusion.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1e-3
        Length of a step in time, delta, >= 0.
    sigma : float, default 1.0
        Of the geometric Brownian motion, >= 0.
    mu : float, optional
        Its drift; sigma**2 / 2 if not given.
    kappa : float, default 1.0
        Anneals the noise, >= 0; 0 denoises.
    weight_decay : float, default 0.0
        Strength of the decay, >= 0; its form is decoupled unless `decay` says otherwise.
    sampler : {"dale", "linear"}, default "dale"
        "linear" takes the first terms of the exponential, and may change signs.
    max_log_step : float, default 80.0
        Largest absolute value of the exponent, > 0.
    seed : int, default 0
        Seed of the noise, which depends on it, step, parameter and element alone.
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
    The gradient is minus the score. With `e = lr * (sigma**2 * x * g + mu - 1.5 * sigma**2) - kappa
    * sqrt(lr) * sigma * z` for standard normal `z`: `x *= exp(-e)`. The schedule is the caller's:
    set `lr`, `mu` and `kappa` of the group before each step. Memory: none.

    References
    ----------
    "Dale meets Langevin", multiplicative denoising by exponentiated gradients.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = DaleLangevin([w], lr=0.1, kappa=0.0)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "dalelangevin"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        sigma: float = 1.0,
        mu: float | None = None,
        kappa: float = 1.0,
        weight_decay: float = 0.0,
        sampler: Literal["dale", "linear"] = "dale",
        max_log_step: float = 80.0,
        seed: int = 0,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "sigma": sigma,
                "mu": mu,
                "kappa": kappa,
                "weight_decay": weight_decay,
                "sampler": sampler,
                "max_log_step": max_log_step,
                "seed": seed,
            },
            engine,
        )

    @staticmethod
    def retract(
        x: Tensor, decayed: Tensor, u: Tensor, *, sampler: str, max_log_step: float, **_: Any
    ) -> Tensor:
        """Return the new parameter, in plain torch."""
        if sampler == "linear":
            return decayed - u
        return decayed * (-x.sign() * u).clamp(-max_log_step, max_log_step).exp()

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        *,
        lr: float,
        sigma: float,
        mu: float | None,
        kappa: float,
        sampler: str,
        noise: Tensor,
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        square = sigma * sigma
        drift = 0.5 * square if mu is None else mu
        e = lr * (square * x * g + drift - (1.5 if sampler == "dale" else 2.0) * square)
        e = e - kappa * math.sqrt(lr) * sigma * noise
        return (x.sign() * e if sampler == "dale" else x * e,)
