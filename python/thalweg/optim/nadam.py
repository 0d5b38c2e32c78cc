"""NAdam: adam with Nesterov's look ahead in the mean."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack, named_decay


class NAdam(Optimizer):
    """Adam with Nesterov's look ahead in the mean.

    Use it as Adam, where a little more speed early on is welcome.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 2e-3
        Learning rate, >= 0.
    betas : tuple of float, default (0.9, 0.999)
        Rates of the running mean and of the running square, each in [0, 1).
    eps : float, default 1e-8
        Added to the root, >= 0.
    weight_decay : float, default 0.0
        Strength of the decay, >= 0; its form is coupled unless `decay` says otherwise.
    momentum_decay : float, default 4e-3
        How fast the momentum rises to its full value, >= 0.
    decoupled_weight_decay : bool, default False
        torch's name for `decay="decoupled"`.
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
    `mu(t) = beta1 * (1 - 0.5 * 0.96**(t * momentum_decay))` and `p` the product of `mu(1)` to
    `mu(t)`, kept as `mu_product`; `x -= lr * ((1 - mu(t)) / (1 - p) * g + mu(t+1) / (1 - p *
    mu(t+1)) * m) / (sqrt(v / bc2) + eps)`. As `torch.optim.NAdam`, which rounds the product to
    float32. Memory: two buffers.

    References
    ----------
    Dozat 2016, "Incorporating Nesterov momentum into Adam", ICLR workshop.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = NAdam([w], lr=1e-2)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "nadam"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        **engine: Unpack[EngineOptions],
    ) -> None:
        flag = {"decoupled_weight_decay": named_decay(decoupled_weight_decay, engine)}
        hyper = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        hyper |= {"momentum_decay": momentum_decay, **flag}
        super().__init__(params, hyper, engine)

    @staticmethod
    def reference(
        x: Tensor,
        g: Tensor,
        m: Tensor,
        v: Tensor,
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        momentum_decay: float,
        t: int,
        scalars: dict[str, Tensor],
        **_: Any,
    ) -> tuple[Tensor, ...]:
        """Return the step to subtract and the new states, in plain torch."""
        beta1, beta2 = betas
        mu, ahead = (beta1 * (1 - 0.5 * 0.96 ** (k * momentum_decay)) for k in (t, t + 1))
        product = scalars["mu_product"].mul_(mu).item()
        m = m + (1 - beta1) * (g - m)
        v = beta2 * v + (1 - beta2) * g * g
        root = (v / (1 - beta2**t)).sqrt() + eps
        u = (1 - mu) / (1 - product) * g + ahead / (1 - product * ahead) * m
        return lr * u / root, m, v
