"""Denominators: positive convex functions, and concave ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from thalweg.coordinate._matrix import Array, count, in_range
from thalweg.coordinate.fractional._parts import Columns, diagonal, finite, part


class TopK:
    """g(x) = scale * (sum of the k largest |x_j|).

    With `LeastSquares` and `l1 = scale` the ratio l1 norm over top-k sum, which is 1 for a point
    of at most k nonzeros: sparse recovery.

    Parameters
    ----------
    k : int
        Between 1 and the number of coordinates.
    scale : float, default 1.0
        Factor, > 0.

    Examples
    --------
    >>> TopK(2)([1.0, -3.0, 2.0])
    5.0
    """

    def __init__(self, k: int, scale: float = 1.0) -> None:
        self._k = count("k", k)
        self._scale = in_range("scale", scale, 0.0, strict=True)

    def __call__(self, x: ArrayLike) -> float:
        """g(x)."""
        return self._scale * float(np.sort(np.abs(x))[::-1][: self._k].sum())

    def _part(self, n: int) -> dict[str, Any]:
        return part("top_k", number=self._scale, k=self._k)


class _Norm:
    """A norm of D x; D is the identity where it is None."""

    _name = ""

    def __init__(self, D: Any = None) -> None:
        self._D = None if D is None else Columns(D, "D")

    def _image(self, x: ArrayLike) -> Array:
        x = np.asarray(x, dtype=np.float64)
        return x if self._D is None else self._D.times(x)

    def _part(self, n: int) -> dict[str, Any]:
        buffers = diagonal(n, 1.0) if self._D is None else self._D.buffers
        return part(self._name, buffers, k=1 + getattr(self, "_squared", False))


class L1(_Norm):
    """g(x) = ||D x||_1, or its square.

    Parameters
    ----------
    D : array or scipy.sparse matrix, shape (m, n), optional
        Default the identity.
    squared : bool, default False
        Whether to square.

    Examples
    --------
    >>> L1()([1.0, -3.0]), L1(squared=True)([1.0, -3.0])
    (4.0, 16.0)
    """

    _name = "l1"

    def __init__(self, D: Any = None, *, squared: bool = False) -> None:
        super().__init__(D)
        self._squared = bool(squared)

    def __call__(self, x: ArrayLike) -> float:
        """g(x)."""
        norm = float(np.abs(self._image(x)).sum())
        return norm**2 if self._squared else norm


class L2(_Norm):
    """g(x) = ||D x||_2, or its square.

    With `Quadratic` and the square, a generalised eigenvalue problem.

    Parameters
    ----------
    D : array or scipy.sparse matrix, shape (m, n), optional
        Default the identity.
    squared : bool, default False
        Whether to square.

    Examples
    --------
    >>> L2()([3.0, -4.0]), L2(squared=True)([3.0, -4.0])
    (5.0, 25.0)
    """

    _name = "l2"

    def __init__(self, D: Any = None, *, squared: bool = False) -> None:
        super().__init__(D)
        self._squared = bool(squared)

    def __call__(self, x: ArrayLike) -> float:
        """g(x)."""
        d = self._image(x)
        return float(d @ d) if self._squared else float(np.sqrt(d @ d))


class SquaredL4(_Norm):
    """g(x) = ||D x||_4^2.

    With `SquaredNorm`, the contrast of independent component analysis.

    Parameters
    ----------
    D : array or scipy.sparse matrix, shape (m, n), optional
        Default the identity.

    Examples
    --------
    >>> SquaredL4()([2.0, 0.0])
    4.0
    """

    _name = "squared_l4"

    def __call__(self, x: ArrayLike) -> float:
        """g(x)."""
        return float(np.sqrt((self._image(x) ** 4).sum()))


class LInf(_Norm):
    """g(x) = ||D x||_inf.

    Parameters
    ----------
    D : array or scipy.sparse matrix, shape (m, n), optional
        Default the identity.

    Examples
    --------
    >>> LInf()([1.0, -3.0])
    3.0
    """

    _name = "l_inf"

    def __call__(self, x: ArrayLike) -> float:
        """g(x)."""
        return float(np.abs(self._image(x)).max())


class Lowest:
    """g(x) = min_j (D x + offset)_j: concave; affine where D has one row.

    Only points with g > 0 count.

    Parameters
    ----------
    D : array or scipy.sparse matrix, shape (m, n)
        float32 or float64.
    offset : array_like, shape (m,), optional
        Default zeros.

    Examples
    --------
    >>> import numpy as np
    >>> Lowest(np.eye(2), [1.0, 5.0])([2.0, -1.0])
    3.0
    """

    def __init__(self, D: Any, offset: ArrayLike | None = None) -> None:
        self._D = Columns(D, "D")
        m = self._D.rows
        if m == 0:
            raise ValueError("D must have at least one row, got none; check its shape")
        self._offset = np.zeros(m) if offset is None else finite(offset, "offset", m)

    def __call__(self, x: ArrayLike) -> float:
        """g(x)."""
        return float((self._D.times(np.asarray(x, dtype=np.float64)) + self._offset).min())

    def _part(self, n: int) -> dict[str, Any]:
        return part("lowest", self._D.buffers, self._offset)
