"""Aligned-MTL: orthogonal, equally long gradients."""

from __future__ import annotations

from typing import Any

from thalweg import _core
from thalweg.aggregate._base import Weighted, choice, vector
from thalweg.aggregate._rows import Vector


class AlignedMTL(Weighted):
    """Combine the gradients after making them orthogonal and equally long.

    Parameters
    ----------
    preference : array_like, shape (m,), optional
        Weight of each loss; 1/m each by default.
    scale_mode : {"min", "median", "rmse"}, default "min"
        The eigenvalue of the Gramian that sets the common length: the smallest, the lower median,
        or the mean (the authors' code).

    Raises
    ------
    ValueError
        If an argument is out of range; on a call, if `preference` has another length.

    Notes
    -----
    w = sqrt(l_*) V diag(l^-1/2) V^T p over the eigenvalues l of the Gramian above m eps l_max.
    O(m^2 d + m^3).

    References
    ----------
    Senushkin et al. 2023, "Independent Component Alignment for Multi-Task Learning", CVPR.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import AlignedMTL
    >>> AlignedMTL()(np.array([[2.0, 0.0], [0.0, 1.0]])).round(4).tolist()
    [0.5, 0.5]
    """

    _arguments = ("preference", "scale_mode")

    def __init__(self, preference: Any = None, *, scale_mode: str = "min") -> None:
        self.preference = vector(preference, "preference")
        self.scale_mode = choice(scale_mode, "scale_mode", ["min", "median", "rmse"])

    def _weights(self, gramian: Vector) -> Vector:
        weights: Vector = _core.aggregate_alignedmtl(gramian, self.preference, self.scale_mode)
        return weights
