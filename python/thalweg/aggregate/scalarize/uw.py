"""Uncertainty weighting."""

from __future__ import annotations

from typing import Any

from thalweg._extras import require
from thalweg.aggregate._base import integer
from thalweg.aggregate.scalarize._losses import as_vector


class UW:
    """Weights from learned uncertainties.

    Parameters
    ----------
    n_losses : int
        Losses m, >= 1.

    Attributes
    ----------
    log_variance : Tensor of shape (m,)
        Learned s, zeros at first; hand `parameters()` to the optimizer.

    Notes
    -----
    sum_i (exp(-s_i) L_i + s_i) / 2.

    References
    ----------
    Kendall, Gal, Cipolla 2018, "Multi-Task Learning Using Uncertainty to Weigh Losses", CVPR,
    arXiv:1705.07115.

    Examples
    --------
    >>> from thalweg.aggregate.scalarize import UW
    >>> import torch
    >>> float(UW(2)(torch.tensor([1.0, 3.0])).detach())
    2.0
    """

    def __init__(self, n_losses: int) -> None:
        torch = require("torch")
        self.log_variance = torch.zeros(integer(n_losses, "n_losses", 1), requires_grad=True)

    def __call__(self, losses: Any) -> Any:
        """The weighted loss."""
        vector = as_vector(losses, len(self.log_variance))
        s = self.log_variance
        return 0.5 * ((-s).exp() * vector + s).sum()

    def parameters(self) -> list[Any]:
        """What to optimise with the model."""
        return [self.log_variance]
