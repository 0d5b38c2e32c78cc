"""CMA-ES with a diagonal covariance: a Gaussian that follows the best candidates."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from thalweg.search._around import Around

__all__ = ["SepCMA"]


class SepCMA(Around):
    """CMA-ES with a diagonal covariance: a Gaussian that follows the best candidates.

    Use it for tens to thousands of coordinates that differ in scale, more than they interact.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start.
    population : int, optional
        Candidates of a step, >= 2; default ``4 + floor(3 ln d)``.
    sigma : float, default 0.5
        First standard deviation of all coordinates, > 0; a third of the distance to the optimum
        is usual.
    active : bool, default True
        Let variances shrink along what the worse half of the candidates tried; False is the
        update of the paper.
    bounds : d pairs (low, high), or `Bounds`, optional
        No candidate lies outside of this box.
    boundary : {"reflect", "resample", "transform"}, default "reflect"
        What becomes of a candidate outside: folded back; its coordinates outside drawn again, ten
        times at most, before they are folded; or none gets there, because the search runs in
        unbounded coordinates mapped into the box.
    seed : None, int or numpy Generator
        Seed of the draws.

    Attributes
    ----------
    x : ndarray, shape (d,)
        The mean of the Gaussian.
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
    The update is that of the paper, with the negative weights of the tutorial. Of a candidate that
    is folded it sees the point outside: the mirrored function has no bounds. A step changes sigma
    by a factor of e at most and leaves each variance half of it at least; steps without a finite
    cost change nothing. Memory O(d) besides the candidates, time O(n d).

    References
    ----------
    Ros, Hansen 2008, "A Simple Modification in CMA-ES Achieving Linear Time and Space Complexity",
    PPSN X; Hansen 2016, "The CMA Evolution Strategy: A Tutorial", arXiv:1604.00772.

    Examples
    --------
    >>> import numpy as np
    >>> search = SepCMA(np.full(10, 3.0), sigma=1.0, seed=0)
    >>> for _ in range(200):
    ...     search.tell((search.ask() ** 2).sum(axis=1))
    >>> bool(search.best.cost < 1e-6)
    True
    """

    method: ClassVar[str] = "sep_cma"

    def __init__(
        self,
        x0: ArrayLike,
        *,
        population: int | None = None,
        sigma: float = 0.5,
        active: bool = True,
        bounds: Any = None,
        boundary: str = "reflect",
        seed: int | np.random.Generator | None = None,
    ) -> None:
        settings = {"population": population, "sigma": sigma, "active": active}
        super().__init__(x0, settings, bounds, boundary, seed)
