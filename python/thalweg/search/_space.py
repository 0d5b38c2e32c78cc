"""Columns with their codes: what a search over tables works on."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from thalweg import _core
from thalweg.search import tables
from thalweg.search.tables import Categories, Interval

Floats = NDArray[np.float64]
Codes = NDArray[np.uint32]
Columns = tuple[Hashable, ...]


class Space(NamedTuple):
    """The domain of every column, and the edges of the bins of numeric ones."""

    domain: dict[Hashable, Categories | Interval]
    edges: dict[Hashable, Floats]

    @property
    def names(self) -> list[Hashable]:
        """Names of the columns."""
        return list(self.domain)

    def size(self, name: Hashable) -> int:
        """Number of codes of a column."""
        domain = self.domain[name]
        return len(domain.values) if isinstance(domain, Categories) else len(self.edges[name]) - 1

    def shape(self, columns: Columns) -> tuple[int, ...]:
        """Shape of a marginal."""
        return tuple(self.size(name) for name in columns)

    def marginals(self, workloads: Sequence[Columns]) -> _core.SearchGsdMarginals:
        """Marginals for the core."""
        index = {name: at for at, name in enumerate(self.names)}
        sizes = [self.size(name) for name in self.names]
        columns = [[index[name] for name in columns] for columns in workloads]
        return _core.SearchGsdMarginals(sizes, columns)

    def listed_edges(self) -> list[list[float]]:
        """Edges of every column, none for categories."""
        return [self.edges[name].tolist() if name in self.edges else [] for name in self.names]

    def counts(self, workloads: Sequence[Columns], codes: Codes) -> list[Any]:
        """Counts of rows in the cells of each marginal."""
        marginals = self.marginals(workloads)
        return np.split(marginals.count(codes), marginals.offsets[1:-1])

    def encode(self, read: Mapping[Hashable, Any]) -> Codes:
        """Codes of rows, flat, from codes of categories and values of numeric columns."""
        columns = [
            tables.bins_of(read[name], self.edges[name]) if name in self.edges else read[name]
            for name in self.names
        ]
        return np.ascontiguousarray(np.stack(columns, axis=1)).reshape(-1)

    def decode(self, codes: Codes, seed: int, kind: Any) -> Any:
        """A table of the kind of another one; numbers are uniform in their bins."""
        rows = codes.reshape(-1, len(self.names))
        rng = np.random.default_rng(seed)
        values: dict[Hashable, Any] = {}
        for at, (name, domain) in enumerate(self.domain.items()):
            column = np.ascontiguousarray(rows[:, at])
            if isinstance(domain, Interval):
                values[name] = domain.draw(column, self.edges[name], rng)
            else:
                values[name] = domain.decode(column)
        return tables.like(kind, values, self.domain)


def kind_of(table: Any) -> Any:
    """A table without its rows: what is kept of it must not be private."""
    if isinstance(table, Mapping):
        plain = (np.ndarray, list)
        return {
            name: column[:0].copy() if isinstance(column, plain) else None
            for name, column in table.items()
        }
    if hasattr(type(table), "column_names"):
        return table.schema.empty_table()
    return table.iloc[:0].copy()
