"""The gradients in the closest company."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg import _core
from thalweg.aggregate._base import Weighted, integer
from thalweg.aggregate._rows import Rows, Vector


class Krum(Weighted):
    """Mean of the gradients that lie closest to most others.

    Use it against corrupt gradients (Byzantine workers).

    Parameters
    ----------
    n_byzantine : int
        Corrupt gradients to withstand, >= 0; needs at least n_byzantine + 3 gradients.
    n_selected : int, default 1
        Gradients to average, >= 1.
    squared : bool, default True
        Sum squared distances, as the paper does; False sums distances, as torchjd does.

    Raises
    ------
    ValueError
        On a call, if there are too few rows.

    Notes
    -----
    score_i is the sum of the m - f - 2 smallest distances to other rows; the lowest scores are
    averaged, the lower index first on a tie. Distances come from the Gramian; those of near
    duplicates, where that cancels, from the rows themselves.

    References
    ----------
    Blanchard et al. 2017, "Machine Learning with Adversaries", NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import Krum
    >>> rows = np.array([[1.0, 0.0], [1.1, 0.0], [0.9, 0.0], [90.0, 9.0]])
    >>> Krum(1)(rows).tolist()
    [1.0, 0.0]
    """

    _arguments = ("n_byzantine", "n_selected", "squared")

    def __init__(self, n_byzantine: int, n_selected: int = 1, *, squared: bool = True) -> None:
        self.n_byzantine = integer(n_byzantine, "n_byzantine", 0)
        self.n_selected = integer(n_selected, "n_selected", 1)
        self.squared = squared

    def _aggregate(self, rows: Rows) -> Any:
        gramian = rows.gramian()
        if not np.isfinite(gramian).all():
            return rows.nan()
        distances = _distances(gramian)
        sizes = np.diag(gramian)
        near = distances < 1e-10 * (sizes[:, None] + sizes)
        for i, j in zip(*np.nonzero(np.triu(near, 1))):
            difference = np.zeros(rows.m)
            difference[i], difference[j] = 1.0, -1.0
            exact = sum(block.combine(difference)[1] for block in rows.blocks)
            distances[i, j] = distances[j, i] = exact
        return rows.combine(self._select(distances))

    def _weights(self, gramian: Vector) -> Vector:
        return self._select(_distances(gramian))

    def _select(self, distances: Vector) -> Vector:
        weights: Vector = _core.aggregate_krum(
            distances, self.n_byzantine, self.n_selected, self.squared
        )
        return weights


def _distances(gramian: Vector) -> Vector:
    sizes = np.diag(gramian)
    return np.ascontiguousarray(np.maximum(sizes[:, None] + sizes - 2 * gramian, 0.0))
