"""Differential evolution: differences of members are the steps of others."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from thalweg.search._around import Around

__all__ = ["DifferentialEvolution"]


class DifferentialEvolution(Around):
    """Differential evolution: differences of members are the steps of others.

    Use it for global search in a box of up to about a hundred coordinates, when evaluations are
    cheap.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start.
    population : int, optional
        Members, >= 4; default ``10 d`` within [20, 100].
    strategy : {"best1", "rand1", "current_to_best1"}, default "best1"
        What a difference is added to: the best member, a random one, or the member itself moved
        towards the best.
    mutation : float or (float, float), default (0.5, 1.0)
        Factor of the differences in [0, 2], or the range that each trial draws it from.
    crossover : float, default 0.7
        Probability that a coordinate is taken from the mutant, in [0, 1].
    sigma : float, default 1.0
        Spread of the first members around x0 where a coordinate has no bounds, > 0; inside of a
        box they are uniform. x0 itself is the first of them.
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
        The best member.
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
    ``v = x_best + F (x_q - x_r)``, crossed with the member coordinate by coordinate; a trial stays
    where it costs no more. All trials of a step see the same members. Memory and time O(n d).

    References
    ----------
    Storn, Price 1997, "Differential Evolution - A Simple and Efficient Heuristic for Global
    Optimization over Continuous Spaces", Journal of Global Optimization 11.

    Examples
    --------
    >>> import numpy as np
    >>> search = DifferentialEvolution(np.full(5, 3.0), bounds=[(-5, 5)] * 5, seed=0)
    >>> for _ in range(150):
    ...     search.tell((search.ask() ** 2).sum(axis=1))
    >>> bool(search.best.cost < 1e-6)
    True
    """

    method: ClassVar[str] = "differential_evolution"

    def __init__(
        self,
        x0: ArrayLike,
        *,
        population: int | None = None,
        strategy: str = "best1",
        mutation: float | tuple[float, float] = (0.5, 1.0),
        crossover: float = 0.7,
        sigma: float = 1.0,
        bounds: Any = None,
        boundary: str = "reflect",
        seed: int | np.random.Generator | None = None,
    ) -> None:
        settings = {
            "population": population, "strategy": strategy,
            "mutation": ("range", list(mutation)) if isinstance(mutation, tuple) else mutation,
            "crossover": crossover, "sigma": sigma,
        }  # fmt: skip
        super().__init__(x0, settings, bounds, boundary, seed)
