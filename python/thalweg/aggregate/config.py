"""ConFIG: equal cosine with every gradient."""

from __future__ import annotations

from typing import Any

from thalweg import _core
from thalweg.aggregate._base import Weighted, choice, integer, vector
from thalweg.aggregate._rows import Vector

LENGTHS = ["projection", "min", "max", "harmonic", "arithmetic", "geometric"]


class ConFIG(Weighted):
    """The direction of equal cosine with every gradient.

    Use it where the lengths of the gradients differ by orders of magnitude, as those of the losses
    of a physics-informed network do.

    Parameters
    ----------
    preference : array_like, shape (m,), optional
        Wanted ratios of the cosines; 1 each by default.
    length : {"projection", "min", "max", "harmonic", "arithmetic", "geometric"} or int
        Length of the update: the sum of the projections of the gradients on the direction, or the
        sum of the cosines times that statistic of the lengths, or times the length of that row.

    Raises
    ------
    ValueError
        If an argument is out of range; on a call, if it does not suit the number of rows.

    Notes
    -----
    Direction e = q / |q|, q = pinv(U) p, U the unit gradients (0 for a zero row). In Gramian form:
    C = U U^T, a = pinv(C) p, q = U^T a. Zero for exactly opposite gradients. With more losses than
    dimensions equal cosines may not exist; the least-squares direction is then returned, which may
    conflict. Squaring loses digits where gradients are parallel to 1e-7. O(m^2 d + m^3).

    References
    ----------
    Liu, Chu, Thuerey 2025, "ConFIG", ICLR, arXiv:2408.11104.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import ConFIG
    >>> ConFIG()(np.array([[2.0, 0.0], [0.0, 1.0]])).round(4).tolist()
    [1.5, 1.5]
    """

    _arguments = ("preference", "length")

    def __init__(self, preference: Any = None, *, length: str | int = "projection") -> None:
        self.preference = vector(preference, "preference")
        if isinstance(length, str):
            self.length: str | int = choice(length, "length", LENGTHS)
        else:
            self.length = integer(length, "length", 0)

    def _weights(self, gramian: Vector) -> Vector:
        row = None if isinstance(self.length, str) else self.length
        length = self.length if isinstance(self.length, str) else "projection"
        weights: Vector = _core.aggregate_config(gramian, self.preference, length, row)
        return weights
