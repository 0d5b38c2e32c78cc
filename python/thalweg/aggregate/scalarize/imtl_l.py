"""IMTL-L: learned scales of the losses."""

from __future__ import annotations

from typing import Any

from thalweg._extras import require
from thalweg.aggregate._base import integer
from thalweg.aggregate.scalarize._losses import as_vector


class IMTLL:
    """Learned scales that bring the losses to one size.

    Parameters
    ----------
    n_losses : int
        Losses m, >= 1.

    Attributes
    ----------
    log_scale : Tensor of shape (m,)
        Learned s, zeros at first; hand `parameters()` to the optimizer.

    Notes
    -----
    sum_i (exp(s_i) L_i - s_i): at its optimum exp(s_i) L_i = 1.

    References
    ----------
    Liu et al. 2021, "Towards Impartial Multi-task Learning", ICLR.

    Examples
    --------
    >>> from thalweg.aggregate.scalarize import IMTLL
    >>> import torch
    >>> float(IMTLL(2)(torch.tensor([1.0, 3.0])).detach())
    4.0
    """

    def __init__(self, n_losses: int) -> None:
        torch = require("torch")
        self.log_scale = torch.zeros(integer(n_losses, "n_losses", 1), requires_grad=True)

    def __call__(self, losses: Any) -> Any:
        """The weighted loss."""
        vector = as_vector(losses, len(self.log_scale))
        return (self.log_scale.exp() * vector - self.log_scale).sum()

    def parameters(self) -> list[Any]:
        """What to optimise with the model."""
        return [self.log_scale]
