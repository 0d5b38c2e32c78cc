"""What searchers around one solution share: the class around the native `SearchAskTell`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalweg._core import SearchAskTell
from thalweg.search._arguments import as_bounds, as_choice, as_costs, as_seed, as_start
from thalweg.search._state import Stateful
from thalweg.search.choices import _Choice
from thalweg.search.result import Best

Array = NDArray[np.float64]


class Around(Stateful):
    """Ask, tell, state and bounds of a native method; a subclass names it and its settings."""

    method: ClassVar[str]
    _core: SearchAskTell

    def __init__(
        self,
        x0: ArrayLike,
        settings: Mapping[str, Any],
        bounds: Any,
        boundary: str,
        seed: int | np.random.Generator | None,
    ) -> None:
        start = as_start(x0)
        if start.ndim != 1:
            raise ValueError(f"x0 must be of shape (d,), got {start.shape}; pass one start")
        self._given = [
            (name, value._setting() if isinstance(value, _Choice) else value)
            for name, value in settings.items()
            if value is not None
        ]
        as_choice("boundary", boundary, ("reflect", "resample", "transform"))
        self._boundary = boundary
        self._box = as_bounds(bounds, start.size)
        self._build(start, as_seed(seed))

    def _build(self, start: Array, seed: int) -> None:
        self._seed, self._dim = seed, start.size
        box = None if self._box is None else tuple(self._box)
        self._core = SearchAskTell(self.method, start, self._given, box, self._boundary, seed)

    def _rebuild(self, seed: int) -> None:
        self._build(np.zeros(self._dim), seed)

    def ask(self) -> Array:
        """Open a step.

        Returns
        -------
        ndarray, shape (population, d)
            Candidates to evaluate.

        Raises
        ------
        ValueError
            If the last candidates have not been told.
        """
        out = np.empty((self.population, self._dim))
        self._core.ask(out)
        return out

    def tell(self, costs: ArrayLike) -> None:
        """Move by the costs of the candidates, in their order; lower is better.

        Parameters
        ----------
        costs : array_like, shape (population,)
            NaN and infinities count as worse than every finite cost.

        Raises
        ------
        ValueError
            For the wrong number of costs or without a step; the step stays open.
        TypeError
            For costs that carry gradients or are not real numbers.
        """
        self._core.tell(as_costs(costs))

    @property
    def population(self) -> int:
        """Candidates of the next step, or of the one that is open."""
        return self._core.population()

    @property
    def x(self) -> Array:
        """Where the search stands, shape (d,)."""
        return np.asarray(self._core.x())

    @property
    def best(self) -> Best:
        """The cheapest candidate so far and its cost."""
        return Best(*self._core.best())

    @property
    def step(self) -> int:
        """Steps so far."""
        return self._core.counters()[0]

    @property
    def evaluations(self) -> int:
        """Costs told so far."""
        return self._core.counters()[1]

    @property
    def nonfinite(self) -> int:
        """How many of the costs were NaN or infinite."""
        return self._core.counters()[2]

    def converged(self, tol: float) -> str | None:
        """Says so when the next step is shorter than `tol`."""
        reach = self._core.reach()
        return f"step {reach:.1e} < tol {tol:.1e}" if reach < tol else None

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}(d={self._dim}, step={self.step}, best={self.best.cost:.6g})"
