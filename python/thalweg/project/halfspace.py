"""Sets between parallel hyperplanes, and affine sets."""

from __future__ import annotations

import math
from typing import Any

from thalweg.project._engine import Set, number, run, size, system, vector


def halfspace(x: Any, a: Any, b: float, axis: int = -1, out: Any = None) -> Any:
    """Project onto the half-space a.x <= b.

    Use it for one linear inequality.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    a : array_like of shape (n,)
        Normal, not zero.
    b : float
        Offset.
    axis : int, default -1
        Axis along which the entries of one point lie.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor, shape (..., n)
        Nearest points.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, or a is zero.

    Notes
    -----
    x - max(a.x - b, 0) a / |a|^2. Time O(n) for each point.

    Examples
    --------
    >>> halfspace([2.0, 0.0], [1.0, 0.0], 1.0).tolist()
    [1.0, 0.0]
    """
    return slab(x, a, -math.inf, b, axis, out)


def hyperplane(x: Any, a: Any, b: float, axis: int = -1, out: Any = None) -> Any:
    """Project onto the hyperplane a.x = b.

    Use it for one linear equation.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    a : array_like of shape (n,)
        Normal, not zero.
    b : float
        Offset, finite.
    axis : int, default -1
        Axis along which the entries of one point lie.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor, shape (..., n)
        Nearest points.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, or a is zero.

    Notes
    -----
    x - (a.x - b) a / |a|^2. Time O(n) for each point.

    Examples
    --------
    >>> hyperplane([2.0, 5.0], [1.0, 0.0], 1.0).tolist()
    [1.0, 5.0]
    """
    return slab(x, a, b, b, axis, out)


def slab(x: Any, a: Any, lo: float, hi: float, axis: int = -1, out: Any = None) -> Any:
    """Project onto the slab lo <= a.x <= hi.

    Use it for a linear quantity between two values.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    a : array_like of shape (n,)
        Normal, not zero.
    lo, hi : float
        Sides; an infinite one is none.
    axis : int, default -1
        Axis along which the entries of one point lie.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor, shape (..., n)
        Nearest points.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, lo > hi or a is zero.

    Notes
    -----
    x - (a.x - clip(a.x, lo, hi)) a / |a|^2. Time O(n) for each point.

    Examples
    --------
    >>> slab([2.0, 0.0], [1.0, 0.0], -1.0, 1.0).tolist()
    [1.0, 0.0]
    """
    sides = (number(lo, "lo"), number(hi, "hi"))
    return run(Set("slab", sides, (vector(a, "a"),)), x, axis=axis, out=out)


def affine(x: Any, A: Any, b: Any, axis: int = -1, out: Any = None) -> Any:
    """Project onto the affine set A x = b.

    Use it for linear equations; rows may depend on one another.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    A : array_like of shape (k, n)
        Coefficients.
    b : float or array_like of shape (k,)
        Right-hand sides.
    axis : int, default -1
        Axis along which the entries of one point lie.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor, shape (..., n)
        Nearest points.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, or the equations contradict one another.

    Notes
    -----
    x - A^T (A A^T)^+ (A x - b), through an orthonormal basis of the rows. Time O(k^2 n) once, then
    O(k n) for each point.

    Examples
    --------
    >>> affine([0.0, 0.0], [[1.0, 1.0]], [1.0]).tolist()
    [0.5, 0.5]
    """
    rows, sides = system(A, b, size(x, axis), ("A", "b"))
    return run(Set("affine", (), (rows, sides)), x, axis=axis, out=out)
