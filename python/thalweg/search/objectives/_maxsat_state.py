"""An assignment of `MaxSat` that is changed bit by bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg.search.objectives._arrays import Bits, as_flips


class MaxSatState:
    """An assignment with its cost and the gain of each flip, kept up to date: `MaxSat.state`."""

    def __init__(self, core: Any) -> None:
        self._core = core

    @property
    def cost(self) -> int:
        """Cost of the assignment."""
        return int(self._core.cost)

    @property
    def assignment(self) -> Bits:
        """The assignment, a copy of shape (n,)."""
        values: Bits = self._core.assignment()
        return values

    @property
    def gains(self) -> NDArray[np.int64]:
        """Change of the cost by flipping each variable alone, a copy of shape (n,)."""
        gains: NDArray[np.int64] = self._core.gains()
        return gains

    def flip(self, variables: Any) -> None:
        """Flip distinct variables, counted from 0; costs what it changes."""
        self._core.flip(as_flips([np.atleast_1d(variables)])[0])

    def probe(self, flips: Any) -> NDArray[np.int64]:
        """Change of the cost by each of many probes; see `MaxSat.probe`."""
        changes: NDArray[np.int64] = self._core.probe(*as_flips(flips))
        return changes
