"""Everything that is learned from a private table, each release entered in the ledger."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg import _core
from thalweg.search.budget import Budget
from thalweg.search.tables import Interval

Floats = NDArray[np.float64]


class Releases:
    """Noisy answers about a table; exact ones, and no ledger, where `epsilon` is None.

    With a known seed the noise is a function of it; otherwise its key is the system's secret.
    """

    def __init__(self, epsilon: float | None, delta: float, seed: int, known: bool) -> None:
        self.budget = None if epsilon is None else Budget(epsilon, delta)
        key = hashlib.sha256(f"PrivateGSD {seed}".encode()).digest() if known else os.urandom(32)
        self._noise = _core.SearchGsdNoise(list(key))

    def edges(
        self, name: Hashable, values: Floats, interval: Interval, rho: float | None
    ) -> Floats:
        """Edges of bins that part the values evenly."""
        low, high, bins = interval.low, interval.end, interval.bins
        grain = 1.0 if interval.integer else 1e-3 * (high - low)
        found, scale = self._noise.edges(values, low, high, bins, grain, rho)
        self._enter(f"bins of {name!r}", "noisy splits", rho, scale)
        return interval.rounded(found)

    def shares(self, columns: Any, counts: Any, rows: int, rho: float | None) -> Floats:
        """Shares of rows in the cells of a marginal."""
        found, scale = self._noise.shares(np.ascontiguousarray(counts), rows, rho)
        self._enter(f"shares of {columns}", "gaussian", rho, scale)
        return np.asarray(found)

    def select(self, errors: Floats, k: int, rows: int, rho: float | None) -> list[int]:
        """The marginals with the `k` largest errors."""
        chosen, scale = self._noise.select(errors, k, rows, rho)
        self._enter(f"choice of {k} of {errors.size} marginals", "gumbel top-k", rho, scale)
        return list(chosen)

    def _enter(self, purpose: str, mechanism: str, rho: float | None, scale: float) -> None:
        if self.budget is not None and rho is not None:
            self.budget.spend(purpose, mechanism, rho, scale)
