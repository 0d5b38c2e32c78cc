"""Linear subspaces of matrices."""

from __future__ import annotations

from typing import Any

from thalweg.project._engine import Set, run, shape


def symmetric(x: Any, axes: tuple[int, int] = (-2, -1), out: Any = None) -> Any:
    """Project onto symmetric matrices.

    Use it to remove asymmetry that rounding or noise left.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., p, q)
        Matrices, float32 or float64. Not modified.
    axes : pair of int, default (-2, -1)
        Axes of the rows and columns of one matrix.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor, shape (..., p, q)
        (X + X^T) / 2.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, or it is not square.

    Notes
    -----
    Time O(p^2).

    Examples
    --------
    >>> symmetric([[1.0, 2.0], [0.0, 1.0]]).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    return run(Set("symmetric", shape(x, axes), matrix=True), x, axis=axes, out=out)


def skew(x: Any, axes: tuple[int, int] = (-2, -1), out: Any = None) -> Any:
    """Project onto skew-symmetric matrices.

    Use it for generators of rotations.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., p, q)
        Matrices, float32 or float64. Not modified.
    axes : pair of int, default (-2, -1)
        Axes of the rows and columns of one matrix.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor, shape (..., p, q)
        (X - X^T) / 2.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, or it is not square.

    Notes
    -----
    Time O(p^2).

    Examples
    --------
    >>> skew([[1.0, 2.0], [0.0, 1.0]]).tolist()
    [[0.0, 1.0], [-1.0, 0.0]]
    """
    return run(Set("skew", shape(x, axes), matrix=True), x, axis=axes, out=out)


def toeplitz(x: Any, axes: tuple[int, int] = (-2, -1), out: Any = None) -> Any:
    """Project onto matrices with constant diagonals.

    Use it for stationary covariances and convolutions.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., p, q)
        Matrices, float32 or float64. Not modified.
    axes : pair of int, default (-2, -1)
        Axes of the rows and columns of one matrix.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor, shape (..., p, q)
        Each diagonal replaced by its mean.

    Raises
    ------
    ValueError
        If x holds NaN or infinity.

    Notes
    -----
    Time O(p q).

    Examples
    --------
    >>> toeplitz([[1.0, 2.0], [0.0, 3.0]]).tolist()
    [[2.0, 2.0], [0.0, 2.0]]
    """
    return run(Set("toeplitz", shape(x, axes), matrix=True), x, axis=axes, out=out)


def centered(x: Any, axes: tuple[int, int] = (-2, -1), out: Any = None) -> Any:
    """Project onto matrices whose rows sum to zero.

    Use it to remove row means.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., p, q)
        Matrices, float32 or float64. Not modified.
    axes : pair of int, default (-2, -1)
        Axes of the rows and columns of one matrix.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor, shape (..., p, q)
        Each row less its mean.

    Raises
    ------
    ValueError
        If x holds NaN or infinity.

    Notes
    -----
    Time O(p q).

    Examples
    --------
    >>> centered([[1.0, 3.0]]).tolist()
    [[-1.0, 1.0]]
    """
    return run(Set("centered", shape(x, axes), matrix=True), x, axis=axes, out=out)
