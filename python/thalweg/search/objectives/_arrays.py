"""Arrays as the native objectives take them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Bits = NDArray[np.bool_]


def as_assignments(assignment: Any, variables: int) -> Bits:
    """0/1 values of shape (n,) or (k, n) as contiguous booleans."""
    given = np.asarray(assignment)
    if given.dtype.kind not in "biu":
        raise TypeError(
            f"assignment must be boolean or 0/1 integers, got {given.dtype}; "
            "decode real coordinates with x > 0"
        )
    if given.ndim not in (1, 2) or given.shape[-1] != variables:
        raise ValueError(
            f"assignment must be of shape ({variables},) or (k, {variables}), got {given.shape}; "
            "give one value a variable"
        )
    if given.dtype.kind != "b" and not np.isin(given, (0, 1)).all():
        raise ValueError(
            "assignment must be boolean or 0/1 integers, got other integers; "
            "decode signed literals with literals > 0"
        )
    return np.ascontiguousarray(given, dtype=np.bool_)


def as_ragged(rows: Any, name: str) -> tuple[NDArray[np.int64], NDArray[np.uintp]]:
    """Integers of all rows one after the other, and where each row starts and ends."""
    if isinstance(rows, np.ndarray) and rows.ndim == 2:
        if rows.dtype.kind not in "iu":
            raise TypeError(
                f"{name} must hold integers, got {rows.dtype}; convert with astype(int)"
            )
        ends = np.arange(1, len(rows) + 1, dtype=np.uintp) * np.uintp(rows.shape[1])
        flat = rows.ravel().astype(np.int64)
    else:
        parts = [np.asarray(row) for row in rows]
        for part in parts:
            if part.ndim != 1 or (part.size and part.dtype.kind not in "iu"):
                raise TypeError(
                    f"{name} must be rows of integers, got a row of shape {part.shape} and type "
                    f"{part.dtype}; give a list of lists or a 2-D integer array"
                )
        flat = np.concatenate([np.empty(0, np.int64), *parts]).astype(np.int64)
        ends = np.cumsum([len(part) for part in parts], dtype=np.uintp)
    return flat, np.concatenate([np.zeros(1, np.uintp), ends])


def as_flips(flips: Any) -> tuple[NDArray[np.uint32], NDArray[np.uintp]]:
    """Probes, each a row of variables, as the core takes them."""
    flat, offsets = as_ragged(flips, "flips")
    if flat.size and not (flat.min() >= 0 and flat.max() < 2**32):
        raise ValueError(
            f"flips must be variables counted from 0, got {flat.min()} to {flat.max()}; "
            "count variables from 0"
        )
    return flat.astype(np.uint32), offsets


def as_weights(
    weights: ArrayLike | None, hard: ArrayLike | None, clauses: int
) -> NDArray[np.uint64]:
    """A weight a clause, 0 for hard ones; empty when all weigh 1."""
    if weights is None and hard is None:
        return np.empty(0, np.uint64)
    given = np.asarray(np.ones(clauses, np.int64) if weights is None else weights)
    must = np.asarray(np.zeros(clauses, np.bool_) if hard is None else hard)
    if given.size and given.dtype.kind not in "iu":
        raise TypeError(
            f"weights must be integers, got {given.dtype}; scale them up and round, "
            "costs are exact integers"
        )
    if must.size and must.dtype.kind != "b":
        raise TypeError(f"hard must be boolean, got {must.dtype}; pass a mask, a value a clause")
    for name, array in (("weights", given), ("hard", must)):
        if array.shape != (clauses,):
            raise ValueError(
                f"{name} of shape {array.shape} does not match the clauses of shape ({clauses},); "
                "give one value a clause"
            )
    if (given < 1).any():
        raise ValueError(
            f"weights must be above 0, got {given.min()}; leave clauses without weight out"
        )
    return np.where(must, 0, given).astype(np.uint64)
