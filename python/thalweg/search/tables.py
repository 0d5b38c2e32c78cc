"""Tables as codes: the domain of a column, frames in, frames of the same kind out."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Categories", "Interval"]

Codes = NDArray[np.uint32]
Floats = NDArray[np.float64]


class Categories:
    """The values that a categorical column may hold.

    Parameters
    ----------
    values : iterable
        Different hashable values, at least one; their order is that of the codes.

    Attributes
    ----------
    values : tuple
        The values.

    Raises
    ------
    ValueError
        If there is no value, or one comes twice.
    """

    def __init__(self, values: Iterable[Hashable]) -> None:
        self.values = tuple(v.item() if isinstance(v, np.generic) else v for v in values)
        self._code = {value: code for code, value in enumerate(self.values)}
        if not self.values or len(self._code) < len(self.values):
            raise ValueError(
                f"values must be different and at least one, got {list(self.values)}; "
                "list every value once"
            )

    def __repr__(self) -> str:
        return f"Categories({list(self.values)})"

    def encode(self, name: Hashable, column: Any) -> Codes:
        """Codes of a column; ValueError where a cell holds another value."""
        cells = _cells(name, column)
        codes = [self._code.get(cell, -1) for cell in cells]
        if -1 in codes:
            raise ValueError(
                f"column {name!r} must hold values of its domain, got {cells[codes.index(-1)]!r}; "
                "add the value to its Categories or remove the rows"
            )
        return np.array(codes, dtype=np.uint32)

    def decode(self, codes: Codes) -> list[Any]:
        """Values of codes."""
        return [self.values[code] for code in codes.tolist()]


class Interval:
    """The range of a numeric column, and the number of bins that marginals see of it.

    Parameters
    ----------
    low, high : float
        Ends of the range, both part of it, finite, low < high (low <= high for integers).
    bins : int, default 32
        Bins at most, >= 1. `PrivateGSD` places them so that each holds as many rows, at a cost in
        privacy. A range of no more integers than that has one bin for each, at no cost.
    integer : bool, default False
        Whether values are integers.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    def __init__(self, low: float, high: float, *, bins: int = 32, integer: bool = False) -> None:
        fits = low <= high if integer else low < high
        if not (fits and np.isfinite([low, high]).all()):
            raise ValueError(
                f"an interval must be finite with low < high, got {low} and {high}; swap them, or "
                "use Categories for a column of one value"
            )
        if integer and not (float(low).is_integer() and float(high).is_integer()):
            raise ValueError(
                f"an interval of integers must have integer ends, got {low} and {high}; round them"
            )
        if not 1 <= bins <= 2**20:
            raise ValueError(f"bins must be in [1, 2**20], got {bins}; a usual value is 32")
        self.low, self.high, self.bins, self.integer = float(low), float(high), int(bins), integer

    def __repr__(self) -> str:
        kind = ", integer=True" if self.integer else ""
        return f"Interval({self.low:g}, {self.high:g}, bins={self.bins}{kind})"

    @property
    def end(self) -> float:
        """The end of the last bin: `high`, or one more for integers."""
        return self.high + self.integer

    @property
    def given(self) -> bool:
        """Whether every integer has a bin, so that nothing need be learned from the data."""
        return self.integer and self.end - self.low <= self.bins

    def even(self) -> Floats:
        """Edges of bins of equal width, one bin for each integer where these are few."""
        count = int(self.end - self.low) if self.given else self.bins
        return self.rounded(np.linspace(self.low, self.end, count + 1))

    def rounded(self, edges: Floats) -> Floats:
        """Edges between integers, for a column of integers."""
        return np.unique(np.ceil(edges)) if self.integer else edges

    def read(self, name: Hashable, column: Any) -> Floats:
        """The values of a column as float64; ValueError where a cell lies outside."""
        column = _checked(name, column)
        try:
            values = np.array(column, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"column {name!r} must hold numbers, got {error}; give it Categories"
            ) from error
        if np.isnan(values).any():
            raise _missing(name)
        outside = ~((values >= self.low) & (values <= self.high))
        if self.integer:
            outside |= values != np.floor(values)
        if outside.any():
            raise ValueError(
                f"column {name!r} must lie in {self}, got {values[outside][0]:g}; clip the column "
                "or widen the interval"
            )
        return values

    def draw(self, codes: Codes, edges: Floats, rng: np.random.Generator) -> Floats:
        """Values, each uniform in its bin."""
        low, high = edges[codes], edges[codes + 1]
        values = low + rng.random(codes.size) * (high - low)
        values = np.floor(values) if self.integer else values
        return np.asarray(np.clip(values, self.low, self.high), dtype=np.float64)


Domain = Mapping[Hashable, "Categories | Interval"]


def bins_of(values: Floats, edges: Floats) -> Codes:
    """The bin of every value; the last one holds its upper end."""
    return np.searchsorted(edges[1:-1], values, side="right").astype(np.uint32)


def columns_of(table: Any) -> dict[Hashable, Any]:
    """The columns of a pandas frame, an arrow table, or a mapping, by name, of equal length."""
    if isinstance(table, Mapping):
        columns = dict(table)
    else:
        # Asked of the type: a frame may have a column of that name.
        attribute = "column_names" if hasattr(type(table), "column_names") else "columns"
        names = getattr(table, attribute, None)
        if names is None or not hasattr(table, "__getitem__"):
            raise TypeError(
                f"table must be a pandas DataFrame, an arrow Table or a mapping of columns, got "
                f"{type(table).__name__}; pass a dict of arrays"
            )
        if len(set(names)) < len(names):
            raise ValueError(f"columns must have different names, got {list(names)}; rename them")
        columns = {name: table[name] for name in names}
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise ValueError(f"columns must be of one length, got {sorted(lengths)}; align them")
    if lengths in (set(), {0}):
        raise ValueError("table must have rows and columns, got none; pass at least one of each")
    return columns


def read_domain(columns: Mapping[Hashable, Any], bins: int = 32) -> dict[Hashable, Any]:
    """The domain that the data show: not private."""
    return {name: _shown(name, column, bins) for name, column in columns.items()}


def _shown(name: Hashable, column: Any, bins: int) -> Categories | Interval:
    declared = getattr(getattr(column, "dtype", None), "categories", None)
    if declared is not None:
        return Categories(declared.tolist())
    cells = _cells(name, column)
    if all(isinstance(cell, (int, float)) and not isinstance(cell, bool) for cell in cells):
        integer = all(isinstance(cell, int) for cell in cells)
        low, high = min(cells), max(cells)
        if low < high and (not integer or len(set(cells)) > bins):
            return Interval(low, high, bins=bins, integer=integer)
    try:
        return Categories(sorted(set(cells)))
    except TypeError:
        return Categories(sorted(set(cells), key=str))


def like(table: Any, values: Mapping[Hashable, Any], domain: Domain) -> Any:
    """A table of the kind of `table`, its types of columns kept; categories are the domain's."""
    if isinstance(table, Mapping):
        return {name: _array(values[name], column) for name, column in table.items()}
    if hasattr(type(table), "column_names"):
        fields = {name: table.schema.field(name).type for name in table.column_names}
        listed = {name: _whole(values[name], str(kind)) for name, kind in fields.items()}
        return type(table).from_pydict(listed, schema=table.schema)
    frame = {}
    for name in table.columns:
        column, one = table[name], domain[name]
        dtype = column.dtype
        if hasattr(dtype, "categories") and isinstance(one, Categories):
            # Those of the table may be known from its rows alone.
            dtype = type(dtype)(list(one.values), ordered=dtype.ordered)
        frame[name] = type(column)(_whole(values[name], str(dtype).lower()), dtype=dtype)
    return type(table)(frame)


def _array(values: Any, column: Any) -> Any:
    if isinstance(column, np.ndarray):
        return np.array(_whole(values, column.dtype.name), dtype=column.dtype)
    return type(column)(values) if isinstance(column, list) else np.array(values)


def _whole(values: Any, kind: str) -> list[Any]:
    """A list, of integers where the column holds such: arrow does not cast floats."""
    listed = values.tolist() if isinstance(values, np.ndarray) else list(values)
    if isinstance(values, np.ndarray) and kind.startswith(("int", "uint")):
        return [int(value) for value in listed]
    return listed


def _checked(name: Hashable, column: Any) -> Any:
    """The column, if no cell is missing by the column's own account."""
    missing = column.isna().any() if hasattr(column, "isna") else getattr(column, "null_count", 0)
    if missing:
        raise _missing(name)
    return column


def _cells(name: Hashable, column: Any) -> list[Any]:
    """The cells as Python objects, none of them missing."""
    column = _checked(name, column)
    for method in ("to_pylist", "tolist"):
        if hasattr(column, method):
            column = getattr(column, method)()
            break
    cells = list(column)
    # A NaN differs from itself.
    if any(cell is None or (isinstance(cell, float) and cell != cell) for cell in cells):
        raise _missing(name)
    return cells


def _missing(name: Hashable) -> ValueError:
    return ValueError(
        f"column {name!r} holds missing cells; fill them, or make missing a category of its own"
    )


def names_of(marginals: int | Sequence[Sequence[Hashable]], names: Sequence[Hashable]) -> Any:
    """Marginals as tuples of known names, all of a number of columns where that is given."""
    if isinstance(marginals, (int, np.integer)):
        if not 1 <= marginals <= len(names):
            raise ValueError(
                f"marginals must be in [1, {len(names)}], got {marginals}; a usual value is 2"
            )
        return list(combinations(names, int(marginals)))
    listed = [tuple(one) if not isinstance(one, str) else (one,) for one in marginals]
    if not listed or len(set(map(frozenset, listed))) < len(listed):
        raise ValueError(f"marginals must be different sets, got {listed}; list each once")
    for one in listed:
        for name in one:
            if name not in names:
                raise ValueError(
                    f"marginals must name columns of the domain {list(names)}, got {name!r}; "
                    "spell it as in the table"
                )
    return listed
