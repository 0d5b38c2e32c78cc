"""SGLD: gradient descent with noise, whose iterates are samples; and their average."""

from __future__ import annotations

import math
from typing import Any, Literal

from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class SGLD(Optimizer):
    """Gradient descent with noise, whose iterates are samples; and their average.

    Use it to sample a posterior, or to average over one.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1e-3
        Step size, >= 0; half of what Welling and Teh call it.
    temperature : float, default 1.0
        Of the distribution `exp(-loss / temperature)`, >= 0.
    preconditioner : {None, "rmsprop"}, default None
        Divide by the root of the running square.
    alpha : float, default 0.99
        Rate of that square, in [0, 1].
    eps : float, default 1e-5
        Added to that root, > 0.
    weight_decay : float, default 0.0
        Strength of the decay, >= 0; its form is decoupled unless `decay` says otherwise.
    average : bool, default False
        Keep the mean of iterates; `eval()` exchanges it for them.
    burn_in : int, default 0
        Steps before the mean begins.
    thinning : int, default 1
        Every how many steps an iterate counts.
    seed : int, default 0
        Seed of the noise, which depends on it, step, parameter and element alone.
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
    `x -= lr * g - sqrt(2 * lr * temperature) * z` with standard normal `z`, preconditioned `x -= lr
    * G * g - sqrt(2 * lr * temperature * G) * z` with `G = 1 / (sqrt(s) + eps)`. The gradient is
    that of the whole negative log posterior: scale the one of a minibatch by n / batch. The mean is
    summed with compensation. Memory: none; one buffer with the preconditioner, two with the
    average.

    References
    ----------
    Welling, Teh 2011, "Bayesian learning via stochastic gradient Langevin dynamics", ICML.
    Li, Chen, Carlson, Carin 2016, "Preconditioned stochastic gradient Langevin dynamics for deep
    neural networks", AAAI, arXiv:1512.07666.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = SGLD([w], lr=0.1, temperature=0.0)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "sgld"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        temperature: float = 1.0,
        preconditioner: Literal["rmsprop"] | None = None,
        alpha: float = 0.99,
        eps: float = 1e-5,
        weight_decay: float = 0.0,
        average: bool = False,
        burn_in: int = 0,
        thinning: int = 1,
        seed: int = 0,
        train_mode: bool = True,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "temperature": temperature,
                "preconditioner": preconditioner,
                "alpha": alpha,
                "eps": eps,
                "weight_decay": weight_decay,
                "average": average,
                "burn_in": burn_in,
                "thinning": thinning,
                "seed": seed,
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
        temperature: float,
        preconditioner: str | None,
        alpha: float,
        eps: float,
        average: bool,
        burn_in: int,
        thinning: int,
        noise: Tensor,
        t: int,
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        rest = list(states)
        step = lr * g - math.sqrt(2 * lr * temperature) * noise
        if preconditioner is not None:
            rest[0] = alpha * rest[0] + (1 - alpha) * g * g
            scale = 1 / (rest[0].sqrt() + eps)
            step = lr * scale * g - math.sqrt(2 * lr * temperature) * scale.sqrt() * noise
        if average:
            late = t - burn_in - 1
            counts = late <= 0 or late % thinning == 0
            weight = 1 / (max(late, 0) / thinning + 1) if counts else 0.0
            mean, error = rest[-2:]
            term = weight * (x - mean) - error
            rest[-2] = mean + term
            rest[-1] = (rest[-2] - mean) - term
        return step, *rest
