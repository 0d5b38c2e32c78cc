"""MAX-SAT on a GPU."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalweg import _core
from thalweg.gpu._place import as_place
from thalweg.search.objectives import MaxSat as Problem
from thalweg.search.objectives._arrays import as_assignments, as_flips


class MaxSat:
    """Costs, gains and probes of a MAX-SAT problem, computed by shaders.

    Use it as the objective of a searcher that asks for many assignments at a time, or to probe many
    changes of one.

    Parameters
    ----------
    problem : thalweg.search.objectives.MaxSat
        The clauses; they are copied to the device once.
    adapter : int or str, optional
        Number or part of the name of an adapter; by default that of `THALWEG_GPU_ADAPTER`, else
        the first one.
    max_binding : int, optional
        Bytes of a buffer at most; as many as the adapter allows by default.

    Attributes
    ----------
    problem : thalweg.search.objectives.MaxSat
    variables : int

    Raises
    ------
    TypeError, ValueError
        For something else than a problem, or one with an array that fits no buffer.
    RuntimeError
        If there is no adapter, or the device is lost; make a new object then.

    Notes
    -----
    Costs are integers of 64 bits on the device too: they equal those of `problem`, whatever the
    weights. Evaluation is O(literals) a row, `flip_gains` O(literals), a probe of p variables that
    occur in k clauses of w literals O(p^2 k w).

    Examples
    --------
    >>> from thalweg.search import objectives
    >>> problem = MaxSat(objectives.MaxSat([[1, 2], [-1], [-2]], weights=[3, 1, 1]))
    >>> problem.evaluate([[True, False], [False, False]]).tolist()
    [1, 3]
    >>> problem.probe([True, False], [[0], [0, 1]]).tolist()
    [2, 0]
    """

    def __init__(
        self,
        problem: Problem,
        *,
        adapter: int | str | None = None,
        max_binding: int | None = None,
    ) -> None:
        if not isinstance(problem, Problem):
            raise TypeError(
                f"problem must be a thalweg.search.objectives.MaxSat, got "
                f"{type(problem).__name__}; build one from the clauses"
            )
        self.problem = problem
        self._place = as_place(adapter, max_binding)
        self._core = _core.GpuMaxSat(problem._core, self._place)

    def __reduce__(self) -> Any:
        adapter, max_binding = self._place
        return partial(MaxSat, adapter=adapter, max_binding=max_binding), (self.problem,)

    def __repr__(self) -> str:
        return f"gpu.{self.problem!r}"

    @property
    def variables(self) -> int:
        """Number of variables."""
        return self.problem.variables

    def evaluate(self, assignment: ArrayLike) -> Any:
        """Cost of one assignment, or of every row of many.

        Parameters
        ----------
        assignment : array_like of bool or 0/1, shape (n,) or (k, n)

        Returns
        -------
        int, or ndarray of int64, shape (k,)
            Weight of the unsatisfied clauses.
        """
        values = as_assignments(assignment, self.variables)
        costs = self._core.evaluate(np.atleast_2d(values))
        return int(costs[0]) if values.ndim == 1 else costs

    def __call__(self, x: ArrayLike) -> Any:
        """Cost at real coordinates, one point (n,) or rows (k, n): variable v is ``x[v] > 0``."""
        costs = self.evaluate(np.asarray(x) > 0)
        return costs.astype(np.float64) if isinstance(costs, np.ndarray) else float(costs)

    def flip_gains(self, assignment: ArrayLike) -> NDArray[np.int64]:
        """Change of the cost by flipping each variable alone."""
        gains: NDArray[np.int64] = self._core.gains(self._one(assignment))
        return gains

    def probe(self, assignment: ArrayLike, flips: Any) -> NDArray[np.int64]:
        """Change of the cost by flipping several variables together, for many probes.

        Parameters
        ----------
        assignment : array_like of bool or 0/1, shape (n,)
        flips : array_like of int, shape (k, p), or sequence of k sequences
            Variables that each probe flips, counted from 0, distinct.

        Returns
        -------
        ndarray of int64, shape (k,)
            Exact, also where a clause holds several of them.
        """
        changes: NDArray[np.int64] = self._core.probe(self._one(assignment), *as_flips(flips))
        return changes

    def _one(self, assignment: ArrayLike) -> NDArray[np.bool_]:
        values = as_assignments(assignment, self.variables)
        if values.ndim != 1:
            raise ValueError(
                f"assignment must be of shape ({self.variables},), got {values.shape}; pass one row"
            )
        return values
