"""MGDA: the shortest convex combination of the gradients."""

from __future__ import annotations

from thalweg import _core
from thalweg.aggregate._base import Weighted, choice, integer, number
from thalweg.aggregate._rows import Vector


class MGDA(Weighted):
    """The shortest vector in the convex hull of the gradients.

    Use it to reach Pareto-stationary points: it vanishes exactly there. The smallest gradient
    dominates it.

    Parameters
    ----------
    solver : {"exact", "frank_wolfe"}, default "exact"
        Active set, or the conditional gradient method of the 2018 paper (torchjd's).
    epsilon : float, default 1e-3
        Step at which "frank_wolfe" stops, > 0.
    max_iters : int, default 100
        Most steps of "frank_wolfe".

    Raises
    ------
    ValueError
        If an argument is out of range.

    Notes
    -----
    w = argmin |J^T w| over w >= 0, sum w = 1. O(m^2 d).

    References
    ----------
    Desideri 2012, C. R. Math. 350. Sener and Koltun 2018, arXiv:1810.04650.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import MGDA
    >>> MGDA()(np.array([[2.0, 0.0], [0.0, 1.0]])).round(4).tolist()
    [0.4, 0.8]
    """

    _arguments = ("solver",)
    _zeros = True

    def __init__(
        self, *, solver: str = "exact", epsilon: float = 1e-3, max_iters: int = 100
    ) -> None:
        self.solver = choice(solver, "solver", ["exact", "frank_wolfe"])
        self.epsilon = number(epsilon, "epsilon", 0.0)
        self.max_iters = integer(max_iters, "max_iters", 1)

    def _weights(self, gramian: Vector) -> Vector:
        settings = None if self.solver == "exact" else (self.epsilon, self.max_iters)
        weights: Vector = _core.aggregate_mgda(gramian, settings)
        return weights
