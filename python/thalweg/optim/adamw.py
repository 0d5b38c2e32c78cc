"""AdamW: Adam with decoupled weight decay."""

from __future__ import annotations

from torch import Tensor

from thalweg.optim.adam import Adam
from thalweg.optim.optimizer import EngineOptions, Optimizer, Params, Unpack


class AdamW(Optimizer):
    """Adam with decoupled weight decay.

    The usual choice for transformers.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1e-3
        Learning rate, >= 0.
    betas : tuple of float, default (0.9, 0.999)
        Rates of the first and second moment, each in [0, 1).
    eps : float, default 1e-8
        Added to the root of the second moment, >= 0.
    weight_decay : float, default 1e-2
        Strength of the decay, >= 0; its form is decoupled unless `decay` says otherwise.
    amsgrad : bool, default False
        Divide by the largest second moment so far.
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
    `x *= 1 - lr * weight_decay`, then the step of `Adam`. As `torch.optim.AdamW`. Memory: two
    buffers, three with `amsgrad`.

    References
    ----------
    Loshchilov, Hutter 2019, "Decoupled weight decay regularization", arXiv:1711.05101.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = AdamW([w], lr=1e-2)
    >>> w.square().sum().backward()
    >>> optimizer.step()
    >>> bool(w.detach().square().sum() < 3.0)
    True
    """

    rule = "adamw"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        **engine: Unpack[EngineOptions],
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
            },
            engine,
        )

    reference = staticmethod(Adam.reference)
