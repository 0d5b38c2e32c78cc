"""FairGrad: alpha-fair division of the improvement."""

from __future__ import annotations

from thalweg import _core
from thalweg.aggregate._base import Weighted, number
from thalweg.aggregate._rows import Vector


class FairGrad(Weighted):
    """Alpha-fair division of the improvement among the losses.

    Parameters
    ----------
    alpha : float, default 2.0
        Fairness, >= 0: 0 gives uniform weights, 1 the Nash bargaining solution, and growing values
        approach max-min fairness.

    Raises
    ------
    ValueError
        If `alpha` is out of range.

    Notes
    -----
    G w = w^(-1/alpha), w > 0, solved to rounding by damped Newton steps; zero where no direction
    improves every loss, and for a loss whose gradient is zero. O(m^2 d + m^3).

    References
    ----------
    Ban and Ji 2024, "Fair Resource Allocation in Multi-Task Learning", ICML, arXiv:2402.15638.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import FairGrad
    >>> FairGrad(alpha=1.0)(np.array([[2.0, 0.0], [0.0, 1.0]])).round(4).tolist()
    [1.0, 1.0]
    """

    _arguments = ("alpha",)

    def __init__(self, alpha: float = 2.0) -> None:
        self.alpha = number(alpha, "alpha", 0.0)

    def _weights(self, gramian: Vector) -> Vector:
        weights: Vector = _core.aggregate_fairgrad(gramian, self.alpha)
        return weights
