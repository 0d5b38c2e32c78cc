"""UPGrad: every gradient projected onto the cone without conflict, then summed."""

from __future__ import annotations

from typing import Any

from thalweg import _core
from thalweg.aggregate._base import choice, number, vector
from thalweg.aggregate._cone import Cone
from thalweg.aggregate._rows import Vector


class UPGrad(Cone):
    """Sum of the gradients, each projected so that it conflicts with none.

    Use it by default: to first order no loss rises, and a loss weighs by the length of its
    gradient.

    Parameters
    ----------
    preference : array_like, shape (m,), optional
        Weight of each loss; 1/m each by default.
    compat : {None, "torchjd"}
        "torchjd" reproduces its approximation (Gramian divided by its trace and regularised).
    norm_eps, reg_eps : float, default 1e-4
        Constants of that approximation; used with `compat` only.

    Raises
    ------
    ValueError
        If an argument is out of range; on a call, if `preference` has another length.

    Notes
    -----
    A(J) = sum_i P(p_i g_i), with P the Euclidean projection onto {x : J x >= 0}. Solved exactly,
    by m active-set problems on the row-normalised Gramian, so that the scales of the losses do not
    matter. Exact zeros come back where no direction improves every loss (Pareto-stationary).
    O(m^2 d) plus m small problems over the threads.

    References
    ----------
    Quinton and Rey 2024, "Jacobian Descent for Multi-Objective Optimization", arXiv:2406.16232.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import UPGrad
    >>> UPGrad()(np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])).round(4).tolist()
    [0.2924, 1.9006, 1.9006]
    """

    _arguments = ("preference", "compat")
    _each = True

    def __init__(
        self,
        preference: Any = None,
        *,
        compat: str | None = None,
        norm_eps: float = 1e-4,
        reg_eps: float = 1e-4,
    ) -> None:
        self.preference = vector(preference, "preference")
        self.compat = None if compat is None else choice(compat, "compat", ["torchjd"])
        self.norm_eps = number(norm_eps, "norm_eps", 0.0)
        self.reg_eps = number(reg_eps, "reg_eps", 0.0)

    def _weights(self, gramian: Vector) -> Vector:
        compat = None if self.compat is None else (self.norm_eps, self.reg_eps)
        weights: Vector = _core.aggregate_upgrad(gramian, self.preference, compat)
        return weights
