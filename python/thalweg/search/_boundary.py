"""Bounds of searchers that are written in Python: formulas of `src/search/boundary.rs`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thalweg.search._arguments import Bounds

Array = NDArray[np.float64]


class Boundary:
    """A box and what becomes of a candidate outside; without a box nothing happens."""

    def __init__(self, box: Bounds | None, rule: str, dim: int) -> None:
        self.rule = rule
        low, high = (-np.inf, np.inf) if box is None else box
        self.low, self.high = np.broadcast_to(low, dim), np.broadcast_to(high, dim)

    def outside(self, rows: Array) -> NDArray[np.bool_]:
        """Which rows leave the box."""
        return np.asarray(((rows < self.low) | (rows > self.high)).any(axis=1))

    def fold(self, rows: Array) -> Array:
        """Rows brought back into the box, as rays between mirrors."""
        if self.rule == "transform":
            return rows
        low, high = self.low, self.high
        with np.errstate(invalid="ignore", over="ignore"):
            width = high - low
            turn = np.mod(rows - low, 2 * width)
            both = low + np.where(turn > width, 2 * width - turn, turn)
            one = np.where(rows < low, 2 * low - rows, 2 * high - rows)
        folded = np.where(np.isfinite(width), both, one)
        inside = (rows >= low) & (rows <= high)
        # An empty width makes NaN.
        return np.where(inside, rows, np.clip(np.where(np.isnan(folded), low, folded), low, high))

    def outer(self, u: Array) -> Array:
        """From where the method searches to what the caller sees."""
        if self.rule != "transform":
            return u
        low, high = self.low, self.high
        with np.errstate(invalid="ignore", divide="ignore"):
            half = 0.5 * (high - low)
            both = low + half + half * np.sin((u - low - half) / half)
            x = np.select(
                self._cases(half),
                [both, low, low - 1 + np.hypot(u - low, 1), high + 1 - np.hypot(u - high, 1)],
                u,
            )
        return np.asarray(np.clip(x, low, high))

    def inner(self, x: Array) -> Array:
        """The inverse of `outer`; what lies outside is clipped first."""
        low, high = self.low, self.high
        x = np.clip(x, low, high)
        if self.rule != "transform":
            return x
        with np.errstate(invalid="ignore", divide="ignore"):
            half = 0.5 * (high - low)
            both = low + half + half * np.arcsin(np.clip((x - low - half) / half, -1, 1))
            above, below = (np.sqrt(np.maximum((y + 1) ** 2 - 1, 0)) for y in (x - low, high - x))
            u = np.select(self._cases(half), [both, x, low + above, high - below], x)
        return np.asarray(u)

    def _cases(self, half: Array) -> list[NDArray[np.bool_]]:
        """Two sides, two sides that coincide, the lower one, the upper one."""
        below, above = np.isfinite(self.low), np.isfinite(self.high)
        return [below & above & (half > 0), below & above, below, above]
