"""CMA-ES with a full covariance, by the package cmaes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalweg._extras import require
from thalweg.search._around import Around
from thalweg.search._boundary import Boundary

__all__ = ["CMA"]

Array = NDArray[np.float64]
# cmaes takes no coordinate from 1e32 on.
_FAR = 1e30
_DRAWS = 100


class CMA(Around):
    """CMA-ES with a full covariance: a Gaussian that learns which coordinates move together.

    Use it for up to a few hundred coordinates that interact, where an evaluation takes longer than
    a fraction of a millisecond; `SepCMA` is a hundred times cheaper and learns scales alone.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start, entries below 1e30 in size.
    population : int, optional
        Candidates of a step, >= 4; default ``4 + floor(3 ln d)``.
    sigma : float, default 0.5
        First standard deviation of all coordinates, > 0; a third of the distance to the optimum
        is usual.
    bounds : d pairs (low, high), or `Bounds`, optional
        No candidate lies outside of this box.
    boundary : {"reflect", "resample", "transform"}, default "reflect"
        What becomes of a candidate outside: folded back; drawn again, and folded back where a
        hundred draws lay outside; or none gets there, because the search runs in unbounded
        coordinates mapped into the box.
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
    ImportError
        Without cmaes; install ``thalweg[cma]``.

    Notes
    -----
    The update is that of cmaes (with negative weights); of a candidate that is folded back it sees
    the point outside: the mirrored function has no bounds. A step's draws follow from the seed and
    the number of the step, and all candidates come from one product of matrices, where cmaes makes
    one for each. Steps without a finite cost change nothing. Memory O(d^2), time O(d^3 + n d^2) a
    step; bits may differ between versions of numpy and its BLAS.

    References
    ----------
    Hansen 2016, "The CMA Evolution Strategy: A Tutorial", arXiv:1604.00772; Nomura, Shibata 2024,
    "cmaes: A Simple yet Practical Python Library for CMA-ES", arXiv:2402.01373.

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
        bounds: Any = None,
        boundary: str = "reflect",
        seed: int | np.random.Generator | None = None,
    ) -> None:
        require("cmaes")
        whole = isinstance(population, (int, np.integer)) and not isinstance(population, bool)
        if population is not None and not (whole and population >= 4):
            raise ValueError(
                f"population must be an integer >= 4, got {population!r}; a usual one is 20"
            )
        if isinstance(sigma, bool) or not isinstance(sigma, (int, float, np.number)):
            raise TypeError(
                f"sigma must be a positive number, got {type(sigma).__name__}; pass a float"
            )
        if not 0.0 < sigma < np.inf:
            raise ValueError(f"sigma must be a positive number, got {sigma}; a usual value is 0.5")
        settings = {"population": population, "sigma": float(sigma)}
        super().__init__(x0, settings, bounds, boundary, seed)

    def _build(self, start: Array, seed: int) -> None:
        self._seed, self._dim = seed, start.size
        box = Boundary(self._box, self._boundary, start.size)
        self._core: Any = _Library(box, box.inner(start), dict(self._given), seed)


class _Library:
    """cmaes behind the interface of the native `SearchAskTell`."""

    def __init__(self, box: Boundary, start: Array, given: dict[str, Any], seed: int) -> None:
        if not (np.abs(start) < _FAR).all():
            raise ValueError(f"x0 must be below {_FAR:.0e} in size, got {start}; scale it")
        self._box, self._seed = box, seed
        chosen = {} if "population" not in given else {"population_size": int(given["population"])}
        self._inner = require("cmaes").CMA(start, given["sigma"], seed=0, **chosen)
        self._best, self._cost = box.outer(start), np.inf
        self._counts = np.zeros(3)
        self._open: Array | None = None

    def ask(self, out: Array) -> None:
        if self._open is not None:
            raise ValueError(
                "ask must be called once before tell, got a second call; "
                "tell the costs of the last candidates first"
            )
        inner = self._inner
        rng = np.random.default_rng([self._seed, int(self._counts[0])])
        basis, scales = inner._eigen_decomposition()
        rows, again = np.empty_like(out), np.full(len(out), True)
        for _ in range(_DRAWS if self._box.rule == "resample" else 1):
            noise = rng.standard_normal((int(again.sum()), out.shape[1]))
            rows[again] = inner.mean + inner._sigma * ((noise * scales) @ basis.T)
            again = self._box.outside(rows)
            if not again.any():
                break
        # A slope without end; the mean is as good as any other point.
        self._open = np.where(np.abs(rows) < _FAR, rows, inner.mean)
        out[:] = self._seen(self._open)

    def tell(self, costs: Array) -> None:
        rows = self._open
        if rows is None:
            raise ValueError("tell must be called after ask, got no open step; call ask() first")
        if len(costs) != len(rows):
            raise ValueError(
                f"costs of shape ({len(costs)},) does not match the candidates of shape "
                f"({len(rows)},); return one cost for each candidate"
            )
        finite = np.isfinite(costs)
        if finite.any():
            told = np.where(finite, costs, np.inf)
            best = int(np.argmin(told))
            if told[best] < self._cost:
                self._best, self._cost = self._seen(rows[best]), float(told[best])
            self._inner.tell(list(zip(rows, told.tolist(), strict=True)))
        self._counts += [1, len(costs), len(costs) - finite.sum()]
        self._open = None

    def population(self) -> int:
        return int(self._inner.population_size)

    def x(self) -> Array:
        return self._seen(self._inner.mean)

    def _seen(self, rows: Array) -> Array:
        """Where the caller sees points of the Gaussian."""
        return self._box.outer(self._box.fold(rows))

    def best(self) -> tuple[Array, float]:
        return self._best.copy(), self._cost

    def counters(self) -> list[int]:
        return [int(count) for count in self._counts]

    def reach(self) -> float:
        """The largest standard deviation of a coordinate."""
        return float(self._inner._sigma * np.sqrt(np.diag(self._inner._C).max()))

    def save(self) -> list[tuple[str, Array]]:
        rows = np.empty((0, len(self._best))) if self._open is None else self._open
        own = {"best_x": self._best, "best_cost": self._cost, "counters": self._counts}
        # The package's own pickles make the covariance symmetric, which changes its last bits.
        theirs = {f"cmaes{k}": np.nan if v is None else v for k, v in self._theirs().items()}
        entries = {**own, "open": rows, **theirs}
        return [(k, np.array(v, dtype=np.float64, ndmin=1)) for k, v in entries.items()]

    def restore(self, saved: list[tuple[str, Array]]) -> None:
        state = dict(saved)
        fresh = dict(self.save())
        if state.keys() != fresh.keys():
            raise ValueError(f"state holds {sorted(state)}, expected {sorted(fresh)}")
        dim, optional = len(self._best), ("open", "cmaes_B", "cmaes_D")
        for name, value in fresh.items():
            given = state[name].shape
            fits = given == value.shape or (name in optional and given[1:] in ((), (dim,)))
            if not fits:
                raise ValueError(f"state[{name!r}] must be of shape {value.shape}, got {given}")
        if len(state["open"]) not in (0, self.population()):
            raise ValueError(f"state['open'] must hold a population, got {len(state['open'])} rows")
        for name, before in self._theirs().items():
            value = state[f"cmaes{name}"]
            if before is None or isinstance(before, np.ndarray):
                new: Any = None if value.size == 1 and np.isnan(value).all() else value.copy()
            else:
                new = type(before)(value[0])
            setattr(self._inner, name, new)
        self._best, self._cost = state["best_x"].copy(), float(state["best_cost"][0])
        self._counts = state["counters"].copy()
        self._open = state["open"].copy() if len(state["open"]) else None

    def _theirs(self) -> dict[str, Any]:
        """Numbers and arrays of the package that an update depends on."""
        # The history of costs serves a rule to stop, not used here, and starts as rubbish.
        other = ("_rng", "_bounds", "_funhist_values")
        return {name: value for name, value in vars(self._inner).items() if name not in other}
