"""Searchers that keep members from step to step and may be given the first ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from thalweg.search._arguments import as_start
from thalweg.search._around import Around

__all__ = ["Ensemble"]


class Ensemble(Around):
    """As `Around`, with x0 of shape (d,), members drawn around it, or of shape (n, d)."""

    def __init__(
        self,
        x0: ArrayLike,
        population: int | None,
        settings: Mapping[str, Any],
        bounds: Any,
        boundary: str,
        seed: int | np.random.Generator | None,
    ) -> None:
        start = as_start(x0)
        if start.ndim == 2:
            if population not in (None, len(start)):
                raise ValueError(
                    f"population must be left out or the {len(start)} rows of x0, "
                    f"got {population}; pass x0 of shape (d,) to draw members around it"
                )
            population = len(start)
        settings = {"population": population, **settings}
        super().__init__(np.atleast_2d(start)[0], settings, bounds, boundary, seed)
        if start.ndim == 2:
            state = dict(self._core.save())
            state["members"], state["given"] = start.ravel(), np.ones(1)
            self._core.restore(list(state.items()))
