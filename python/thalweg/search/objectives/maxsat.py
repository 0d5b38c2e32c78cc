"""MAX-SAT: the weight of unsatisfied clauses, evaluated, probed and searched natively."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalweg import _core
from thalweg.search.objectives._arrays import as_assignments, as_ragged, as_weights
from thalweg.search.objectives._maxsat_search import MaxSatSearch
from thalweg.search.objectives._maxsat_state import MaxSatState

__all__ = ["MaxSat"]

_OPEN: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".lzma": lzma.open}


class MaxSat(MaxSatSearch):
    """Weighted MAX-SAT over 0/1 variables: the weight of the clauses that no literal satisfies.

    Use it to search (`polystep`, `polish`, `solve`), or as the objective of any other searcher: it
    is called on real coordinates, where variable v is true when ``x[v] > 0``.

    Parameters
    ----------
    clauses : array_like of int, shape (m, k), or sequence of sequences
        Literals as DIMACS numbers them: v or -v for variable v, counted from 1. In an array, zeros
        fill up shorter clauses. Repeated literals of a clause count once.
    weights : array_like of int, shape (m,), optional
        Positive weights; 1 each by default. Costs are exact integers: scale fractions up.
    hard : array_like of bool, shape (m,), optional
        Clauses that must hold: each weighs more than all soft ones together.
    variables : int, optional
        Number of variables; the largest of the literals by default.

    Attributes
    ----------
    variables, clauses, total_weight : int
        Sizes, and the cost of satisfying nothing.

    Raises
    ------
    ValueError
        For a literal out of range, weights below 1 or of a sum of 2**62 or more, or lengths that
        differ.
    TypeError
        For literals or weights that are not integers.

    Examples
    --------
    >>> problem = MaxSat([[1, 2], [-1], [-2]], weights=[3, 1, 1])
    >>> problem.evaluate([True, False])
    1
    >>> problem.flip_gains([True, False]).tolist()
    [2, 1]
    >>> problem.probe([True, False], [[0, 1]]).tolist()
    [0]
    """

    def __init__(
        self,
        clauses: Any,
        weights: ArrayLike | None = None,
        *,
        hard: ArrayLike | None = None,
        variables: int | None = None,
    ) -> None:
        literals, offsets = as_ragged(clauses, "clauses")
        if isinstance(clauses, np.ndarray):
            kept = literals != 0
            offsets = np.concatenate([[0], np.cumsum(kept)])[offsets].astype(np.uintp)
            literals = literals[kept]
        if literals.size and not np.abs(literals).max() <= 2**30:
            raise ValueError(
                f"clauses must be literals of at most 2**30 variables, got "
                f"{literals[np.abs(literals).argmax()]}; number variables from 1"
            )
        if variables is None:
            variables = int(np.abs(literals).max(initial=0))
        self._core = _core.SearchMaxSat(
            variables,
            literals.astype(np.int32),
            offsets,
            as_weights(weights, hard, len(offsets) - 1),
        )

    @classmethod
    def _of(cls, core: Any) -> MaxSat:
        problem = cls.__new__(cls)
        problem._core = core
        return problem

    @classmethod
    def read(cls, path: str | Path) -> MaxSat:
        """Read DIMACS CNF or WCNF, packed by gzip, bzip2 or xz or not.

        Raises
        ------
        ValueError
            For a text that breaks its format; the message has the number of the line.
        OSError
            For a file that cannot be read.
        """
        path = Path(path)
        with _OPEN.get(path.suffix, open)(path, "rb") as file:
            text = file.read()
        weighted = ".wcnf" in path.suffixes
        return cls._of(_core.SearchMaxSat.read(text, path.name, weighted))

    @classmethod
    def parse(cls, text: str | bytes, *, weighted: bool = False) -> MaxSat:
        """Read DIMACS from a string; `weighted` says that one without a header is WCNF."""
        raw = text.encode() if isinstance(text, str) else text
        return cls._of(_core.SearchMaxSat.read(raw, "text", weighted))

    @classmethod
    def random(
        cls,
        variables: int,
        ratio: float = 4.27,
        *,
        k: int = 3,
        seed: int | np.random.Generator | None = 0,
    ) -> MaxSat:
        """Uniform random k-SAT: ``round(ratio * variables)`` clauses of k distinct variables."""
        if not 1 <= k <= variables:
            raise ValueError(f"k must be in [1, variables], got {k}; 3 is a usual value")
        rng = np.random.default_rng(seed)
        m = round(ratio * variables)
        clauses = rng.integers(1, variables + 1, (m, k), dtype=np.int32)
        while True:
            ordered = np.sort(clauses, axis=1)
            repeated = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
            if not repeated.size:
                break
            clauses[repeated] = rng.integers(1, variables + 1, (len(repeated), k))
        clauses *= 1 - 2 * rng.integers(0, 2, (m, k), dtype=np.int32)
        return cls(clauses, variables=variables)

    def write(self, path: str | Path) -> None:
        """Write DIMACS: CNF where every clause weighs 1, else WCNF with a header.

        Clauses come in order of their least variable, tautologies and empty clauses last.
        """
        path = Path(path)
        with _OPEN.get(path.suffix, open)(path, "wb") as file:
            file.write(self._core.write())

    def text(self) -> str:
        """The DIMACS text that `write` writes."""
        text: bytes = self._core.write()
        return text.decode("ascii")

    @property
    def variables(self) -> int:
        """Number of variables."""
        return int(self._core.variables)

    @property
    def clauses(self) -> int:
        """Number of clauses."""
        return int(self._core.clauses)

    @property
    def total_weight(self) -> int:
        """Sum of all weights, hard clauses included."""
        return int(self._core.total_weight)

    @property
    def weighted(self) -> bool:
        """Whether some clause is hard or weighs more than 1."""
        return bool(self._core.weighted)

    @property
    def has_hard(self) -> bool:
        """Whether some clause is hard."""
        return bool(self._core.has_hard)

    def __repr__(self) -> str:
        kind = ", weighted" if self.weighted else ""
        return f"MaxSat({self.variables} variables, {self.clauses} clauses{kind})"

    def __reduce__(self) -> Any:
        return (MaxSat.parse, (self.text(),))

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

    def split(self, cost: int) -> tuple[int, int]:
        """Number of unsatisfied hard clauses and weight of unsatisfied soft ones in a cost."""
        hard, soft = self._core.split(int(cost))
        return hard, soft

    def flip_gains(self, assignment: ArrayLike) -> NDArray[np.int64]:
        """Change of the cost by flipping each variable alone: its break less its make count."""
        return self.state(assignment).gains

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
        return self.state(assignment).probe(flips)

    def state(self, assignment: ArrayLike) -> MaxSatState:
        """An assignment whose cost and gains follow every flip."""
        values = as_assignments(assignment, self.variables)
        if values.ndim != 1:
            raise ValueError(
                f"assignment must be of shape ({self.variables},), got {values.shape}; pass one row"
            )
        return MaxSatState(self._core.state(values))
