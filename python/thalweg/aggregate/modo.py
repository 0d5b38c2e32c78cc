"""MoDo: weights by projected steps on two independent batches."""

from __future__ import annotations

from thalweg.aggregate._base import number
from thalweg.aggregate._rows import Vector
from thalweg.aggregate._two_batch import TwoBatch, simplex


class MoDo(TwoBatch):
    """Multi-objective gradient with double sampling: one projected step of the weights a call.

    Use it for stochastic gradients, where the weights of one batch are biased.

    Parameters
    ----------
    gamma : float, default 0.1
        Step of the weights, >= 0.
    rho : float, default 0.1
        Regularisation, >= 0.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Notes
    -----
    lam <- simplex(lam - gamma (J1 J2^T lam + rho lam)). State: lam, uniform at first.

    References
    ----------
    Chen et al. 2024, "Three-Way Trade-Off in Multi-Objective Learning", JMLR 25.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import MoDo
    >>> MoDo(rho=0.0)(np.eye(2) * 2, np.eye(2) * 2).tolist()
    [1.0, 1.0]
    """

    _arguments = ("gamma", "rho")

    def __init__(self, gamma: float = 0.1, rho: float = 0.1) -> None:
        self.gamma = number(gamma, "gamma", 0.0)
        self.rho = number(rho, "rho", 0.0)
        self._current: Vector | None = None

    def _step(self, product: Vector, old: Vector) -> tuple[Vector, Vector]:
        new = simplex(old - self.gamma * (product @ old + self.rho * old))
        return new, new
