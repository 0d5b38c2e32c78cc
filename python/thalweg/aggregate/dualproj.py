"""DualProj: the mean gradient, projected onto the cone without conflict."""

from __future__ import annotations

from typing import Any

from thalweg import _core
from thalweg.aggregate._base import choice, number, vector
from thalweg.aggregate._cone import Cone
from thalweg.aggregate._rows import Vector


class DualProj(Cone):
    """The vector nearest to the mean gradient that conflicts with no gradient.

    Use it as the cheapest update under which, to first order, no loss rises.

    Parameters
    ----------
    preference : array_like, shape (m,), optional
        Weights of the vector that is projected; 1/m each by default.
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
    A(J) = P(J^T p), with P the Euclidean projection onto {x : J x >= 0}; one active-set problem on
    the row-normalised Gramian. O(m^2 d).

    References
    ----------
    Lopez-Paz and Ranzato 2017, "Gradient Episodic Memory", NeurIPS. Quinton and Rey 2024,
    arXiv:2406.16232.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import DualProj
    >>> DualProj()(np.array([[1.0, 0.0], [-3.0, 1.0]])).round(4).tolist()
    [0.0, 0.5]
    """

    _arguments = ("preference", "compat")
    _each = False

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
        weights: Vector = _core.aggregate_dualproj(gramian, self.preference, compat)
        return weights
