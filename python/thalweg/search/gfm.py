"""GFM and GFM+: descent on a cost averaged over a small ball, for costs without slopes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalweg.search._around import Around
from thalweg.search.choices import _Choice

__all__ = ["GFM", "GFMPlus"]


class GFM(Around):
    """Differences along random directions, for costs that are nonsmooth, nonconvex or noisy.

    Use it where the cost is Lipschitz but has kinks, or is drawn at random at each evaluation.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start.
    delta : float, default 1e-3
        Radius of the ball over which the cost is averaged, > 0.
    lr : float or schedule, default 0.01
        Learning rate, > 0.
    directions : int, default 1
        Random directions of a step; each costs two evaluations.
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
        Where the search stands. The theory speaks of an iterate drawn at random.
    samples : ndarray of uint64, shape (population,)
        Random samples that the candidates are to be evaluated on.
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
    ``g(x; w, s) = d / (2 delta) (F(x + delta w; s) - F(x - delta w; s)) w`` for w uniform on the
    unit sphere, ``x -= lr mean g``. A pair with a bad cost is left out of the mean; where all are,
    x stays. Memory O(d), time O(directions d) a step.

    References
    ----------
    Lin, Zheng, Jordan 2022, "Gradient-Free Methods for Deterministic and Stochastic Nonsmooth
    Nonconvex Optimization", arXiv:2209.05045.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.search import Linear
    >>> search = GFM(np.full(5, 3.0), lr=Linear(init=0.1, target=1e-3, decay=5e-5), seed=0)
    >>> for _ in range(2000):
    ...     search.tell(np.abs(search.ask()).sum(axis=1))
    >>> bool(search.best.cost < 0.1)
    True
    """

    method: ClassVar[str] = "gfm"

    def __init__(
        self,
        x0: ArrayLike,
        *,
        delta: float = 1e-3,
        lr: float | _Choice = 0.01,
        directions: int = 1,
        bounds: Any = None,
        boundary: str = "reflect",
        seed: int | np.random.Generator | None = None,
    ) -> None:
        settings = {"delta": delta, "lr": lr, "directions": directions}
        super().__init__(x0, settings, bounds, boundary, seed)

    @property
    def samples(self) -> NDArray[np.uint64]:
        """A number for each candidate of the step, equal where they share a random sample.

        A cost that draws (a batch of data, a simulation) takes it as its seed, as in
        ``np.random.default_rng(sample)``; a cost that does not may ignore it.
        """
        return np.asarray(self._core.samples())


class GFMPlus(GFM):
    """GFM with variance reduction: most steps only correct the estimate of the step before.

    Use it instead of `GFM` where the cost is drawn at random and both points of a correction can
    be evaluated on the same sample.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start.
    delta : float, default 1e-3
        Radius of the ball over which the cost is averaged, > 0.
    lr : float or schedule, default 0.01
        Learning rate, > 0.
    directions : int, default 1
        Directions of a correction; each costs four evaluations.
    mega_directions : int, default 10
        Directions of a full estimate; each costs two evaluations.
    period : int, default 10
        Steps from one full estimate to the next.
    bounds : d pairs (low, high), or `Bounds`, optional
        No candidate lies outside of this box.
    boundary : {"reflect", "resample", "transform"}, default "reflect"
        As for `GFM`.
    seed : None, int or numpy Generator
        Seed of the draws.

    Attributes
    ----------
    x : ndarray, shape (d,)
        Where the search stands. The theory speaks of an iterate drawn at random.
    samples : ndarray of uint64, shape (population,)
        Random samples that the candidates are to be evaluated on: in a correction four in a row
        share one, two around x and two around the x before.
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
    Every `period` steps ``v = mean g(x_t; w, s)``, else ``v += mean of g(x_t; w, s) -
    g(x_t-1; w, s)`` on the same direction and sample; ``x -= lr v``. A step without a usable
    group is repeated with new draws. The published script differences a point with itself, so its
    correction is zero; this is the recursion of the paper. Corrections pay while a move is shorter
    than `delta`; with longer ones they add up to more than they correct. Memory O(d).

    References
    ----------
    Chen, Xu, Luo 2023, "Faster Gradient-Free Algorithms for Nonsmooth Nonconvex Stochastic
    Optimization", arXiv:2301.06428, Alg. 2.

    Examples
    --------
    >>> import numpy as np
    >>> def cost(x, sample):
    ...     return np.abs(x - np.random.default_rng(sample).normal(size=x.size)).sum()
    >>> search = GFMPlus(np.full(5, 3.0), lr=0.02, seed=0)
    >>> for _ in range(500):
    ...     points = search.ask()
    ...     search.tell([cost(x, s) for x, s in zip(points, search.samples)])
    >>> bool(np.abs(search.x).max() < 1.0)
    True
    """

    method: ClassVar[str] = "gfm_plus"

    def __init__(
        self,
        x0: ArrayLike,
        *,
        delta: float = 1e-3,
        lr: float | _Choice = 0.01,
        directions: int = 1,
        mega_directions: int = 10,
        period: int = 10,
        bounds: Any = None,
        boundary: str = "reflect",
        seed: int | np.random.Generator | None = None,
    ) -> None:
        settings = {
            "delta": delta, "lr": lr, "directions": directions,
            "mega_directions": mega_directions, "period": period,
        }  # fmt: skip
        Around.__init__(self, x0, settings, bounds, boundary, seed)
