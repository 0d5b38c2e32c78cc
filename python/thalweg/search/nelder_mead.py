"""Nelder-Mead: a simplex that walks, stretches and shrinks."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from thalweg.search._around import Around

__all__ = ["NelderMead"]


class NelderMead(Around):
    """Nelder-Mead: a simplex that walks, stretches and shrinks.

    Use it for up to about ten smooth coordinates; it is the method of ``scipy.optimize.minimize``
    with its adaptive constants.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start.
    initial_step : float, optional
        Length of the edges of the first simplex, > 0; default 5 % of each coordinate, 0.00025
        where it is zero.
    adaptive : bool, default True
        Constants that depend on the dimension, instead of 2, 1/2 and 1/2.
    speculative : bool, default False
        Ask for the reflection, the expansion and both contractions at once: four evaluations a
        step, of which one or two count, for those who evaluate in parallel.
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
        The best vertex.
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
    A step asks what can be asked: the d + 1 vertices of the first simplex, one trial point, the d
    vertices of a shrink; `population` changes with it. `seed` matters for "resample" alone. Within
    bounds prefer "transform" beyond ten coordinates: it does not fold the simplex at a side.
    Memory O(d^2), time O(d^2) a move.

    References
    ----------
    Nelder, Mead 1965, "A Simplex Method for Function Minimization", The Computer Journal 7; Gao,
    Han 2012, "Implementing the Nelder-Mead simplex algorithm with adaptive parameters",
    Computational Optimization and Applications 51.

    Examples
    --------
    >>> import numpy as np
    >>> search = NelderMead(np.full(3, 3.0), seed=0)
    >>> for _ in range(300):
    ...     search.tell((search.ask() ** 2).sum(axis=1))
    >>> bool(search.best.cost < 1e-6)
    True
    """

    method: ClassVar[str] = "nelder_mead"

    def __init__(
        self,
        x0: ArrayLike,
        *,
        initial_step: float | None = None,
        adaptive: bool = True,
        speculative: bool = False,
        bounds: Any = None,
        boundary: str = "reflect",
        seed: int | np.random.Generator | None = None,
    ) -> None:
        settings = {
            "initial_step": initial_step, "adaptive": adaptive, "speculative": speculative,
        }  # fmt: skip
        super().__init__(x0, settings, bounds, boundary, seed)
