"""Consensus-based optimisation: particles drift to a weighted mean of all."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from thalweg.search._ensemble import Ensemble

__all__ = ["CBO"]


class CBO(Ensemble):
    """Consensus-based optimisation: particles drift to a weighted mean, shaken on the way.

    Use it for global search in a few to a few thousand coordinates; it averages, so it stands
    noise of the costs well.

    Parameters
    ----------
    x0 : array_like, shape (d,) or (n, d)
        Start, or the first particles.
    population : int, default 20
        Particles, >= 2; the rows of x0 where it has rows.
    noise : {"anisotropic", "isotropic", "constant", "covariance"}, default "anisotropic"
        What shakes a particle: its drift coordinate by coordinate, which suits many dimensions;
        the length of its drift; nothing of its own; the spread of all.
    dt : float, default 0.01
        Length of a step, > 0.
    lam, sigma : float, default 1.0 and 5.1
        Strength of drift and noise, >= 0.
    alpha : float, default 1.0
        How much more the cheap particles weigh, > 0.
    alpha_factor : float, default 1.05
        Factor of alpha after each move, >= 1.
    alpha_max : float, default 1e5
        Where alpha stops, > 0.
    ess : float, optional
        Choose alpha in [1e-5, `alpha_max`] anew each step, so that the weights have an effective
        sample size of this share of the batch, in (0, 1); 0.5 is usual.
    correction : {"heaviside", "tanh"}, optional
        Only particles worse than the consensus drift; "tanh" makes that smooth. Costs one more
        evaluation a move, which a step of its own asks.
    correction_eps : float, default 1e-3
        Difference of costs over which "tanh" turns, > 0.
    batch_size : int, optional
        Particles that a step evaluates and averages, in [2, population]; default all.
    batch_moves : {"batch", "all"}, default "batch"
        Who moves then.
    batch_rest : {"drop", "join"}, default "drop"
        What becomes of particles that are too few for a batch when all have had their turn.
    lam_memory : float, optional
        Particles remember their best points, weigh these, and are drawn to them with this
        strength, >= 0; 0.4 is usual.
    sigma_memory : float, optional
        Noise of that pull, >= 0; default `lam_memory` times `sigma`.
    kappa : float, optional
        Each particle has a consensus of its own, of those within about kappa / sqrt(alpha), > 0:
        several minima are found at once.
    betas : pair of float, optional
        Adam: the drift is replaced by its exponential means, each in [0, 1); (0.9, 0.99) is usual.
        `dt` then scales the noise alone: choose a small `lam`.
    spread : float, default 1.0
        Spread of the first particles around x0 where a coordinate has no bounds, > 0; inside of a
        box they are uniform. x0 itself is the first of them.
    bounds : d pairs (low, high), or `Bounds`, optional
        No candidate lies outside of this box.
    boundary : {"reflect", "resample", "transform"}, default "reflect"
        What becomes of a particle outside: folded back, its coordinates drawn again uniformly,
        or none gets there, because the search runs in unbounded coordinates mapped into the box.
    seed : None, int or numpy Generator
        Seed of the draws.

    Attributes
    ----------
    x : ndarray, shape (d,)
        The last consensus; the best particle with `kappa`.
    best : Best
        The cheapest candidate so far.
    population, step, evaluations, nonfinite : int
        Candidates of a step; steps, costs and bad costs so far.

    Raises
    ------
    ValueError, TypeError
        For settings out of range, without effect or against each other, before anything happens.

    Notes
    -----
    ``w ~ exp(-alpha f)``, ``c = sum w x``, ``D = x - c``,
    ``x += -lam dt D + sigma sqrt(dt) D z``. With ``lam = 1 / dt`` every particle lands at the
    consensus and its noise (consensus hopping). Noise is normal to single precision. Without a
    finite cost nothing moves. Of a batch that holds a particle twice, which joined leftovers can,
    it moves once. Memory O(n d). Time O(n d) a step, O(n^2 d) with `kappa` or covariance noise.

    References
    ----------
    Pinnau, Totzeck, Tse, Martin 2017, "A consensus-based model for global optimization and its
    mean-field limit", M3AS 27; Carrillo, Jin, Li, Zhu 2021 (anisotropic noise, batches); Grassi,
    Pareschi 2021 (memory); Chen, Jin, Lyu 2022 (Adam); Bungert, Roith, Wacker 2022 (polarised);
    Carrillo, Hoffmann, Stuart, Vaes 2022 (effective sample size, covariance noise).

    Examples
    --------
    >>> import numpy as np
    >>> search = CBO(np.full(5, 3.0), population=50, bounds=[(-5, 5)] * 5, seed=0)
    >>> for _ in range(300):
    ...     search.tell((search.ask() ** 2).sum(axis=1))
    >>> bool(search.best.cost < 1e-6)
    True
    """

    method: ClassVar[str] = "cbo"

    def __init__(
        self,
        x0: ArrayLike,
        *,
        population: int | None = None,
        noise: str = "anisotropic",
        dt: float = 0.01,
        lam: float = 1.0,
        sigma: float = 5.1,
        alpha: float | None = None,
        alpha_factor: float | None = None,
        alpha_max: float = 1e5,
        ess: float | None = None,
        correction: str | None = None,
        correction_eps: float | None = None,
        batch_size: int | None = None,
        batch_moves: str | None = None,
        batch_rest: str | None = None,
        lam_memory: float | None = None,
        sigma_memory: float | None = None,
        kappa: float | None = None,
        betas: tuple[float, float] | None = None,
        spread: float = 1.0,
        bounds: Any = None,
        boundary: str = "reflect",
        seed: int | np.random.Generator | None = None,
    ) -> None:
        settings = {
            "noise": noise, "dt": dt, "lam": lam, "sigma": sigma, "alpha": alpha,
            "alpha_factor": alpha_factor, "alpha_max": alpha_max, "ess": ess,
            "correction": correction, "correction_eps": correction_eps, "batch_size": batch_size,
            "batch_moves": batch_moves, "batch_rest": batch_rest, "lam_memory": lam_memory,
            "sigma_memory": sigma_memory, "kappa": kappa,
            "betas": None if betas is None else ("betas", list(betas)), "spread": spread,
        }  # fmt: skip
        super().__init__(x0, population, settings, bounds, boundary, seed)
