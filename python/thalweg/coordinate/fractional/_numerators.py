"""Numerators: convex quadratic functions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from thalweg.coordinate._matrix import Array, is_sparse
from thalweg.coordinate.fractional._parts import Columns, diagonal, finite, part


class LeastSquares:
    """f(x) = ||A x - y||^2 / 2.

    Parameters
    ----------
    A : array or scipy.sparse matrix, shape (m, n)
        float32 or float64; sums are float64. Fortran order and CSC are read in place.
    y : array_like, shape (m,)
        Targets.

    Examples
    --------
    >>> import numpy as np
    >>> LeastSquares(np.eye(2), [1.0, 0.0])(np.array([1.0, 2.0]))
    2.0
    """

    def __init__(self, A: Any, y: ArrayLike) -> None:
        self._A = Columns(A, "A")
        self._y = finite(y, "y", self._A.rows)

    def __call__(self, x: ArrayLike) -> float:
        """f(x)."""
        r = self._A.times(np.asarray(x, dtype=np.float64)) - self._y
        return float(r @ r) / 2

    def _part(self, n: int) -> dict[str, Any]:
        return part("least_squares", self._A.buffers, self._y)


class Quadratic:
    """f(x) = x' Q x / 2 + q' x + constant, convex and >= 0.

    Parameters
    ----------
    Q : array or scipy.sparse matrix, shape (n, n)
        Symmetric and positive semi-definite, float32 or float64.
    q : array_like, shape (n,), optional
        Default zeros.
    constant : float, default 0.0
        Makes f >= 0 where q is not zero.

    Examples
    --------
    >>> import numpy as np
    >>> Quadratic(2 * np.eye(2))(np.array([1.0, 2.0]))
    5.0
    """

    def __init__(self, Q: Any, q: ArrayLike | None = None, constant: float = 0.0) -> None:
        self._Q = Columns(Q, "Q")
        n = self._Q.cols
        if self._Q.rows != n:
            raise ValueError(
                f"Q of shape ({self._Q.rows}, {n}) does not match itself transposed; "
                "pass a square matrix"
            )
        Q = Q if is_sparse(Q) else np.asarray(Q)
        difference = abs(Q - Q.T)
        if n and difference.max() > 1e-6 * abs(Q).max():
            raise ValueError(
                f"Q must be symmetric, got entries that differ by {difference.max():.1e}; "
                "pass (Q + Q.T) / 2"
            )
        self._q = np.zeros(n) if q is None else finite(q, "q", n)
        self._constant = float(constant)
        if not np.isfinite(self._constant):
            raise ValueError(f"constant must be finite, got {constant}; a usual value is 0.0")

    def __call__(self, x: ArrayLike) -> float:
        """f(x)."""
        x = np.asarray(x, dtype=np.float64)
        return float(x @ (self._Q.times(x) / 2 + self._q)) + self._constant

    def _part(self, n: int) -> dict[str, Any]:
        return part("quadratic", self._Q.buffers, self._q, self._constant)


class SquaredNorm:
    """f(x) = ||x||^2.

    Examples
    --------
    >>> SquaredNorm()([3.0, 4.0])
    25.0
    """

    def __call__(self, x: ArrayLike) -> float:
        """f(x)."""
        x = np.asarray(x, dtype=np.float64)
        return float(x @ x)

    def _part(self, n: int) -> dict[str, Any]:
        zeros: Array = np.zeros(n)
        return part("quadratic", diagonal(n, 2.0), zeros)
