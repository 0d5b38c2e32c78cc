"""Particle swarm: particles fly towards the best points that they and others have seen."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from thalweg.search._around import Around

__all__ = ["ParticleSwarm"]


class ParticleSwarm(Around):
    """Particle swarm: particles fly towards the best points that they and others have seen.

    Use it for global search in a box of a few dozen coordinates, as a baseline.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start.
    population : int, default 40
        Particles.
    inertia : float, default 0.7298
        Factor of the velocity, in [0, 1).
    own, social : float, default 1.49618
        Pull of the best point of the particle and of its neighbours, in [0, 4].
    topology : {"global", "ring"}, default "global"
        Neighbours of a particle: all, or the two next to it, which converges later.
    sigma : float, default 1.0
        Spread of the first particles around x0 where a coordinate has no bounds, > 0; inside of a
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
        The best point of all particles.
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
    ``v = inertia v + own r (o - x) + social s (g - x)``, ``x += v``. A coordinate that left the box
    turns its velocity back. Memory and time O(n d) a step.

    References
    ----------
    Kennedy, Eberhart 1995, "Particle swarm optimization", ICNN; Clerc, Kennedy 2002, "The particle
    swarm - explosion, stability, and convergence", IEEE Trans. Evolutionary Computation 6(1).

    Examples
    --------
    >>> import numpy as np
    >>> search = ParticleSwarm(np.full(5, 3.0), bounds=[(-5, 5)] * 5, seed=0)
    >>> for _ in range(200):
    ...     search.tell((search.ask() ** 2).sum(axis=1))
    >>> bool(search.best.cost < 1e-6)
    True
    """

    method: ClassVar[str] = "particle_swarm"

    def __init__(
        self,
        x0: ArrayLike,
        *,
        population: int = 40,
        inertia: float = 0.7298,
        own: float = 1.49618,
        social: float = 1.49618,
        topology: str = "global",
        sigma: float = 1.0,
        bounds: Any = None,
        boundary: str = "reflect",
        seed: int | np.random.Generator | None = None,
    ) -> None:
        settings = {
            "population": population, "inertia": inertia, "own": own, "social": social,
            "topology": topology, "sigma": sigma,
        }  # fmt: skip
        super().__init__(x0, settings, bounds, boundary, seed)
