"""Random search: independent draws, the best of which stays."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from thalweg.search._around import Around

__all__ = ["RandomSearch"]


class RandomSearch(Around):
    """Random search: independent draws, the best of which stays.

    Use it as the baseline that every other method has to beat.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start.
    population : int, default 50
        Candidates of a step.
    around : {"start", "best"}, default "start"
        Draw uniformly in the box (normal around x0 where a coordinate has no bounds), or normal
        around the best so far.
    sigma : float, default 1.0
        Standard deviation of the normal draws, > 0.
    bounds : d pairs (low, high), or `Bounds`, optional
        No candidate lies outside of this box.
    boundary : {"reflect", "resample", "transform"}, default "reflect"
        What becomes of a candidate outside: folded back, its coordinates drawn again uniformly,
        or none gets there, because the search runs in unbounded coordinates mapped into the box.
    seed : None, int or numpy Generator
        Seed of the draws.

    Attributes
    ----------
    x : ndarray, shape (d,)
        The best so far.
    best : Best
        The cheapest candidate so far.
    population, step, evaluations, nonfinite : int
        Candidates of a step; steps, costs and bad costs so far.

    Raises
    ------
    ValueError, TypeError
        For settings out of range, before anything happens.

    Notes
    -----
    The first candidate is x0 itself. It never converges by itself. Time O(n d) a step.

    References
    ----------
    Brooks 1958, "A Discussion of Random Methods for Seeking Maxima", Operations Research 6(2).

    Examples
    --------
    >>> import numpy as np
    >>> search = RandomSearch(np.full(2, 3.0), bounds=[(-5, 5)] * 2, seed=0)
    >>> for _ in range(100):
    ...     search.tell((search.ask() ** 2).sum(axis=1))
    >>> bool(search.best.cost < 0.1)
    True
    """

    method: ClassVar[str] = "random_search"

    def __init__(
        self,
        x0: ArrayLike,
        *,
        population: int = 50,
        around: str = "start",
        sigma: float = 1.0,
        bounds: Any = None,
        boundary: str = "reflect",
        seed: int | np.random.Generator | None = None,
    ) -> None:
        settings = {"population": population, "around": around, "sigma": sigma}
        super().__init__(x0, settings, bounds, boundary, seed)
