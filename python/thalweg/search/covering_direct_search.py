"""Covering direct search: random points around the best one, then a poll of a rotated cross."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from thalweg.search._around import Around

__all__ = ["CoveringDirectSearch"]


class CoveringDirectSearch(Around):
    """Covering direct search: random points around the best one, then a poll of a rotated cross.

    Use it for a few dozen coordinates where the cost jumps, has kinks or is infinite outside of a
    feasible set: only a point that costs strictly less is ever taken.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start. It may be infeasible; then the first feasible point is taken.
    radius : float, default 1.0
        First radius r0 of the poll, in the unit of x.
    radius_min : float, default 1e-5
        The search has converged when the radius falls to it, > 0.
    radius_max : float, optional
        Largest radius, of the search step too; default none.
    poll : {"2n", "n+1"}, default "2n"
        Directions of a poll: 2 d of a rotated cross, or a random positive basis of d + 1.
    speculative : bool, default False
        Begin an iteration after a success with 3/2, 1 and 2/3 of the step that succeeded: pays
        where coordinates differ in scale.
    batch : int or None, default 1
        Points that are asked at once. 1 is the published method, which takes the first cheaper
        point; of more, the cheapest of a batch is taken, so points behind the first cheaper one
        are evaluated too. None asks all points of a part of the iteration.
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
        The best point.
    best : Best
        The same with its cost.
    radius : float
        Radius of the poll.
    phase : str
        What is asked next: "start" (x0 itself), "speculative", "covering", "search" or "poll".
    population, step, evaluations, nonfinite : int
        Candidates of the next step; steps, costs and bad costs so far.

    Raises
    ------
    ValueError, TypeError
        For settings out of range, before anything happens.

    Notes
    -----
    An iteration asks, until a point costs less than x: the speculative ones; one random direction
    of length ``(U r0)^(1/d)``, U uniform (covering: it is dense in a ball around x, whatever the
    radius); one of length ``min(r0 sqrt(c + 1), radius_max)`` after c searches; the poll at the
    radius. All lengths are of the largest coordinate. The radius doubles after a successful poll
    and halves where all fail. A covering length tends to 1 as d grows, so scale coordinates such
    that 1 is a sensible distance. Constraints are an extreme barrier: return infinity or NaN where
    x is not allowed; such points are never taken. O(d) memory and time a point.

    References
    ----------
    Bouchet, Vidal 2025, "Optimization by Directional Attacks: Solving Problems with Neural Network
    Surrogates", arXiv:2510.01461.

    Examples
    --------
    >>> import numpy as np
    >>> search = CoveringDirectSearch(np.full(3, 2.0), seed=0)
    >>> while search.converged(0.0) is None:
    ...     search.tell(np.abs(search.ask()).sum(axis=1))
    >>> bool(search.best.cost < 1e-3)
    True
    """

    method: ClassVar[str] = "covering_direct_search"

    def __init__(
        self,
        x0: ArrayLike,
        *,
        radius: float = 1.0,
        radius_min: float = 1e-5,
        radius_max: float | None = None,
        poll: str = "2n",
        speculative: bool = False,
        batch: int | None = 1,
        bounds: Any = None,
        boundary: str = "reflect",
        seed: int | np.random.Generator | None = None,
    ) -> None:
        settings = {
            "radius": radius, "radius_min": radius_min, "radius_max": radius_max, "poll": poll,
            "speculative": speculative, "batch": batch, "whole": batch is None,
        }  # fmt: skip
        self._least = radius_min
        super().__init__(x0, settings, bounds, boundary, seed)

    @property
    def radius(self) -> float:
        """Radius of the poll."""
        return self._core.reach()

    @property
    def phase(self) -> str:
        """What is asked next, or in the open step."""
        return self._core.phase()

    def converged(self, tol: float) -> str | None:
        """Says so when the radius has fallen to `radius_min`, or below `tol`."""
        radius = self.radius
        if radius <= self._least:
            return f"radius {radius:.1e} <= radius_min {self._least:.1e}"
        return f"radius {radius:.1e} < tol {tol:.1e}" if radius < tol else None
