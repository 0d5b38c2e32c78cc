"""A sum of terms over a few variables each, evaluated, probed and searched natively."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalweg import _core
from thalweg.search.objectives._arrays import as_ragged
from thalweg.search.objectives._run import Sweep, as_result, as_settings

Values = NDArray[np.uint32]


class FactorGraph:
    """Discrete variables, and a cost that is a sum of terms of a few variables each.

    Use it for what has the shape of couplings: spin glasses, colourings, parity checks, any table
    of local costs. Clauses are faster as `MaxSat`.

    Parameters
    ----------
    variables : int
        Number of variables.
    values : int or array_like of int, shape (variables,), default 2
        Values that each variable takes: 0 to ``values - 1``.

    Raises
    ------
    ValueError
        If a variable takes no value.

    Examples
    --------
    >>> graph = FactorGraph(3)
    >>> graph.add("spin", [[0, 1], [1, 2]], weight=[-1.0, 1.0])
    >>> graph.add_table([[0]], [0.0, 5.0])
    >>> graph.evaluate([0, 0, 1])
    -2.0
    >>> graph.probe([0, 0, 1], [[0, 1]], [[1, 1]]).tolist()
    [7.0]
    """

    def __init__(self, variables: int, values: ArrayLike = 2) -> None:
        domains = np.asarray(values)
        if domains.ndim > 1 or (domains.ndim == 1 and domains.shape != (variables,)):
            raise ValueError(
                f"values of shape {domains.shape} does not match the variables of shape "
                f"({variables},); give one number, or one a variable"
            )
        self._domains = _as_numbers("values", np.broadcast_to(domains, (variables,)))
        self._core = _core.SearchFactorGraph(self._domains)

    @property
    def variables(self) -> int:
        """Number of variables."""
        return len(self._domains)

    @property
    def values(self) -> Values:
        """Values that each variable takes, shape (variables,)."""
        return self._domains.copy()

    @property
    def terms(self) -> int:
        """Number of terms."""
        return int(self._core.terms)

    def __repr__(self) -> str:
        return f"FactorGraph({self.variables} variables, {self.terms} terms)"

    def add_table(self, scopes: ArrayLike, table: ArrayLike) -> None:
        """Add terms that look their cost up.

        Parameters
        ----------
        scopes : array_like of int, shape (t, k)
            The k distinct variables of each term, counted from 0.
        table : array_like of float, shape (v1, ..., vk) or (t, v1, ..., vk)
            Costs, an axis for each variable of the scope; one table for all terms, or one each.

        Raises
        ------
        ValueError
            For variables out of range, tables of another shape, NaN or infinity; nothing is added.
        """
        where = _as_scopes(scopes)
        costs = np.asarray(table, dtype=np.float64)
        inside = where.size == 0 or int(where.max()) < self.variables
        shapes = [tuple(self._domains[row]) for row in where] if inside else []
        shared = all(costs.shape == shape for shape in shapes)
        each = all(costs.shape == (len(where), *shape) for shape in shapes)
        if not (shared or each):
            raise ValueError(
                f"table of shape {costs.shape} does not match the values of its scope, "
                f"{tuple(map(int, shapes[0]))}; give an axis a variable, one entry a value"
            )
        self._core.add_tables(where, np.ascontiguousarray(costs).ravel())

    def add(
        self, kind: str, scopes: ArrayLike, *, weight: ArrayLike = 1.0, target: float = 0.0
    ) -> None:
        """Add terms of a kind that the core knows.

        Parameters
        ----------
        kind : {"parity", "equal", "different", "count", "spin"}
            What costs `weight`: another parity of the sum than `target`; values that are not all
            equal; each pair of equal values; the square of sum less `target`; the product of the
            spins ``2 z - 1``.
        scopes : array_like of int, shape (t, k)
            The k distinct variables of each term, counted from 0.
        weight : float or array_like of float, shape (t,), default 1.0
        target : float, default 0.0
            For parity (0 or 1) and count.

        Raises
        ------
        ValueError
            For an unknown kind, variables or targets out of range, weights of another number or
            not finite; nothing is added.
        """
        weights = np.atleast_1d(np.asarray(weight, dtype=np.float64))
        self._core.add(kind, float(target), _as_scopes(scopes), weights)

    def evaluate(self, assignment: ArrayLike) -> float:
        """Cost of an assignment of shape (variables,), from every term."""
        return float(self._core.evaluate(_as_numbers("assignment", assignment)))

    def probe(self, assignment: ArrayLike, variables: Any, values: Any) -> NDArray[np.float64]:
        """Change of the cost by setting several variables together, for many probes.

        Parameters
        ----------
        assignment : array_like of int, shape (variables,)
        variables, values : array_like of int, shape (k, p), or sequences of k sequences
            Variables that each probe sets, distinct, and their new values.

        Returns
        -------
        ndarray, shape (k,)
            Exact for tables and weights of integers, also where a term holds several of them.
        """
        return self.state(assignment).probe(variables, values)

    def state(self, assignment: ArrayLike) -> FactorGraphState:
        """An assignment whose cost follows every change; terms added later do not count."""
        return FactorGraphState(self._core.state(_as_numbers("assignment", assignment)))

    def polystep(
        self,
        max_steps: int | None = None,
        *,
        seconds: float | None = None,
        seed: int | np.random.Generator | None = 0,
        x0: ArrayLike | None = None,
        epsilon: Sweep = (10.0, 1.0),
        step_radius: Sweep = 1.0,
        probe_radius: Sweep = float("inf"),
        forget: Sweep = (0.9, 0.05),
        momentum: Sweep = 0.0,
        sigma: float = 0.1,
        callback: Callable[[int, float], Any] | None = None,
    ) -> Any:
        """Search by PolyStep, the whole loop native; a probe pays for the terms it touches.

        A variable of two values is one coordinate, true above 0; one of k > 2 values is k
        coordinates, whose largest wins. Two variables make a block. Settings are those of
        `MaxSat.polystep`; `epsilon` counts in mean absolute weights.

        Returns
        -------
        OptimizeResult
            `x` best assignment, `fun` its cost, `nit`, `nfev`, `flips`, `seconds`, `status`,
            `success`, `message`. Ctrl-C ends the search and returns the best so far (status 4).

        References
        ----------
        Le 2026, arXiv:2605.01928.
        """
        start = None if x0 is None else _as_numbers("x0", x0)
        settings = as_settings(
            max_steps=max_steps,
            seconds=seconds,
            seed=seed,
            epsilon=epsilon,
            step_radius=step_radius,
            probe_radius=probe_radius,
            forget=forget,
            momentum=momentum,
            sigma=sigma,
        )
        report = self._core.polystep(settings, start, callback)
        coordinates = np.where(self._domains > 2, self._domains, self._domains - 1).sum()
        return as_result(report, 2 * int(coordinates) * report["steps"])


class FactorGraphState:
    """An assignment with the cost of every term, kept up to date; see `FactorGraph.state`."""

    def __init__(self, core: Any) -> None:
        self._core = core

    @property
    def cost(self) -> float:
        """Cost of the assignment."""
        return float(self._core.cost)

    @property
    def assignment(self) -> Values:
        """The assignment, a copy of shape (variables,)."""
        values: Values = self._core.values()
        return values

    def set(self, variables: ArrayLike, values: ArrayLike) -> None:
        """Give distinct variables new values; costs the terms it touches."""
        which = np.atleast_1d(_as_numbers("variables", variables))
        new = np.atleast_1d(_as_numbers("values", values))
        _same_lengths(which.shape, new.shape)
        self._core.set(which, new)

    def probe(self, variables: Any, values: Any) -> NDArray[np.float64]:
        """Change of the cost by each of many probes; see `FactorGraph.probe`."""
        which, offsets = as_ragged(variables, "variables")
        new, ends = as_ragged(values, "values")
        _same_lengths(offsets.tolist(), ends.tolist())
        changes: NDArray[np.float64] = self._core.probe(
            _as_numbers("variables", which), _as_numbers("values", new), offsets
        )
        return changes


def _same_lengths(variables: Any, values: Any) -> None:
    if variables != values:
        raise ValueError("values must be as many as variables, got others; give each its value")


def _as_scopes(scopes: ArrayLike) -> Values:
    where = _as_numbers("scopes", scopes)
    if where.ndim != 2:
        raise ValueError(f"scopes must be of shape (terms, k), got {where.shape}; one row a term")
    return where


def _as_numbers(name: str, given: ArrayLike) -> Values:
    array = np.asarray(given)
    if array.dtype.kind not in "biu" and array.size:
        raise TypeError(f"{name} must be integers, got {array.dtype}; convert with astype(int)")
    if array.size and not (array.min() >= 0 and array.max() < 2**32):
        raise ValueError(
            f"{name} must be integers from 0 to 2**32 - 1, got {array.min()} to {array.max()}; "
            "count from 0"
        )
    return np.ascontiguousarray(array, dtype=np.uint32)
