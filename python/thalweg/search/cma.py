"""CMA-ES: a Gaussian whose mean, spread and covariance follow the best candidates."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from thalweg.search._around import Around

__all__ = ["CMA"]


class CMA(Around):
    """CMA-ES with a full covariance: a Gaussian that learns which coordinates move together.

    Use it for up to a few hundred coordinates that interact; `SepCMA` learns their scales alone,
    in linear time.

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
        Let the covariance shrink along what the worse half of the candidates tried.
    bounds : d pairs (low, high), or `Bounds`, optional
        No candidate lies outside of this box.
    boundary : {"reflect", "resample", "transform"}, default "reflect"
        What becomes of a candidate outside: folded back; drawn again, ten times at most, before it
        is folded; or none gets there, because the search runs in unbounded coordinates mapped into
        the box.
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
    The update is that of the tutorial, with the covariance ``L diag(v) L.T`` kept as its factors,
    which are updated without a decomposition; so the step size follows the triangular root of the
    covariance where the tutorial takes the symmetric one. Of a candidate that is folded the update
    sees the point outside: the mirrored function has no bounds. A step changes sigma by a factor of
    e at most; steps without a finite cost change nothing. Row j of `factor` in the state, padded
    to a multiple of eight, is column j of L. Memory O(d^2 + n d), time O(n d^2) a step.

    References
    ----------
    Hansen 2016, "The CMA Evolution Strategy: A Tutorial", arXiv:1604.00772; Krause, Arbones, Igel
    2016, "CMA-ES with Optimal Covariance Update and Storage Complexity", NIPS.

    Examples
    --------
    >>> import numpy as np
    >>> search = CMA(np.full(10, 3.0), sigma=1.0, seed=0)
    >>> for _ in range(200):
    ...     search.tell((search.ask() ** 2).sum(axis=1))
    >>> bool(search.best.cost < 1e-6)
    True
    """

    method: ClassVar[str] = "cma"

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
