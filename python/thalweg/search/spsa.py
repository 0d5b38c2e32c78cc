"""SPSA: a gradient from two evaluations along a random sign vector."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from thalweg.search._around import Around

__all__ = ["SPSA"]


class SPSA(Around):
    """Simultaneous perturbation stochastic approximation.

    Use it as a baseline, or where two evaluations a step must do, whatever the dimension.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start.
    a, c : float, default 0.1
        First step size (before `stability`) and first perturbation, > 0.
    alpha, gamma : float, default 0.602 and 0.101
        Their decays, >= 0: ``a / (t + 1 + stability)**alpha`` and ``c / (t + 1)**gamma``.
    stability : float, default 100
        Steps by which the step size is held back at the start, >= 0; a tenth of the steps planned
        is usual.
    directions : int, default 1
        Sign vectors of a step, averaged; two candidates each.
    bounds : d pairs (low, high), or `Bounds`, optional
        No candidate lies outside of this box.
    boundary : {"reflect", "resample", "transform"}, default "reflect"
        What becomes of a candidate outside: folded back, its coordinates drawn again uniformly,
        or none gets there, because the search runs in unbounded coordinates mapped into the box.
    seed : None, int or numpy Generator
        Seed of the signs.

    Attributes
    ----------
    x : ndarray, shape (d,)
        Where the search stands.
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
    ``x -= a_t (y+ - y-) / (2 c_t) D`` with a vector D of random signs. Time and memory O(d) a step.

    References
    ----------
    Spall 1998, "Implementation of the simultaneous perturbation algorithm for stochastic
    optimization", IEEE Trans. Aerospace and Electronic Systems 34(3).

    Examples
    --------
    >>> import numpy as np
    >>> search = SPSA(np.full(10, 3.0), seed=0)
    >>> for _ in range(2000):
    ...     search.tell((search.ask() ** 2).sum(axis=1))
    >>> bool(search.best.cost < 1.0)
    True
    """

    method: ClassVar[str] = "spsa"

    def __init__(
        self,
        x0: ArrayLike,
        *,
        a: float = 0.1,
        c: float = 0.1,
        alpha: float = 0.602,
        gamma: float = 0.101,
        stability: float = 100.0,
        directions: int = 1,
        bounds: Any = None,
        boundary: str = "reflect",
        seed: int | np.random.Generator | None = None,
    ) -> None:
        settings = {
            "a": a, "c": c, "alpha": alpha, "gamma": gamma, "stability": stability,
            "directions": directions,
        }  # fmt: skip
        super().__init__(x0, settings, bounds, boundary, seed)
