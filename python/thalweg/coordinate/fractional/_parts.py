"""What numerators and denominators share: a matrix by columns, and how the core is told of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from thalweg.coordinate._matrix import Array, matrix, vector

_NO_MATRIX = np.zeros((0, 0), order="F")
_NO_VECTOR = np.zeros(0)


class Columns:
    """A matrix whose columns the core reads: dense in Fortran order, or CSC.

    C-ordered and CSR matrices are converted once, here.
    """

    def __init__(self, A: Any, name: str) -> None:
        buffers, self.rows, self.cols, _ = matrix(A, name=name)
        if isinstance(buffers, np.ndarray):
            buffers = np.asfortranarray(buffers)
        values = buffers[0] if isinstance(buffers, tuple) else buffers
        if not np.isfinite(values).all():
            raise ValueError(f"{name} holds NaN or infinity; remove or impute these entries")
        self.buffers = buffers

    def times(self, x: Array) -> Array:
        """The matrix times `x`, in float64."""
        if isinstance(self.buffers, tuple):
            data, indices, starts, rows = self.buffers
            weights = data * np.repeat(x, np.diff(starts))
            sums = np.bincount(indices, weights=weights, minlength=rows)
            return sums.astype(np.float64)
        return np.asarray(self.buffers @ x, dtype=np.float64)


def diagonal(n: int, value: float) -> Any:
    """The buffers of `value` times the identity."""
    return np.full(n, value), np.arange(n), np.arange(n + 1), n


def finite(values: ArrayLike, name: str, length: int) -> Array:
    """`values` as a float64 vector of a length."""
    array = vector(values, name=name)
    if array.shape != (length,):
        raise ValueError(
            f"{name} of shape {array.shape} does not match its matrix of shape ({length},); "
            "pass one number a row"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity; remove or impute these entries")
    return array


def part(
    name: str,
    matrix: Any = _NO_MATRIX,
    vector: Array = _NO_VECTOR,
    number: float = 0.0,
    k: int = 1,
) -> dict[str, Any]:
    """The description that the core expects."""
    return {"name": name, "matrix": matrix, "vector": vector, "number": number, "k": k}
