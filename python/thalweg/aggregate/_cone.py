"""What UPGrad and DualProj share: an update without conflict, even among near-parallel rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg import _core
from thalweg.aggregate._base import Weighted
from thalweg.aggregate._rows import Native, Rows, Vector

# An update this much shorter than what it is combined of has lost half its digits.
_CANCELLED = 1e-4
# Conflict, relative to the update, that is worth solving again for: beyond rounding of its entries.
_CONFLICT = {np.dtype(np.float64): 1e-11, np.dtype(np.float32): 1e-6}


class Cone(Weighted):
    """Projections onto the cone that conflicts with no row, summed where `_each`."""

    _zeros = True
    _each: bool
    preference: Vector | None
    compat: str | None

    def _vanishes(self, gramian: Vector, weights: Vector) -> bool:
        return self.compat is None and super()._vanishes(gramian, weights)

    def _aggregate(self, rows: Rows) -> Any:
        gramian = rows.gramian()
        if not np.isfinite(gramian).all():
            return rows.nan()
        weights = self._weights(gramian)
        if self.compat is not None:
            return rows.combine(weights)
        norms = np.sqrt(np.diag(gramian))
        size = float(np.abs(weights) @ norms)
        # A Gramian does not resolve lengths below 1e-8 of its rows, so that 1e-10 is rounding.
        vectors, length = rows.combined(weights, 1e-10 * size)
        # Among rows that the Gramian cannot tell apart the solver may have given one up.
        cancelled = 0.0 < length < _CANCELLED * size
        given_up = length > 0.0 and (gramian @ weights < -1e-11 * length * norms).any()
        if (cancelled or given_up) and rows.is_native():
            self._solve_again(rows, vectors)
        return rows.wrap(vectors)

    def _solve_again(self, rows: Rows, vectors: list[Any]) -> None:
        """Solve on the rows themselves, in float64, where the update conflicts after all."""
        arrays = [block.array for block in rows.blocks if isinstance(block, Native)]
        tolerance = max(_CONFLICT[array.dtype] for array in arrays)
        views = [v if isinstance(v, np.ndarray) else v.numpy() for v in vectors]
        found = _core.aggregate_cone(
            [np.asarray(array, np.float64) for array in arrays],
            [np.asarray(view, np.float64) for view in views],
            tolerance,
            self._each,
            self.preference,
        )
        if found is not None:
            start = 0
            for view in views:
                view[...] = found[start : start + len(view)]
                start += len(view)
