"""Orthonormal matrices."""

from __future__ import annotations

from typing import Any

from thalweg.project._engine import Set, run, shape


def stiefel(x: Any, axes: tuple[int, int] = (-2, -1), out: Any = None) -> Any:
    """Project onto matrices with orthonormal columns (rows, where there are fewer of them).

    Use it to keep weights orthogonal, and for Procrustes problems.

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
        Polar factors U W^T of X = U S W^T.

    Raises
    ------
    ValueError
        If x holds NaN or infinity.

    Notes
    -----
    Unique where no singular value is 0; elsewhere one of the nearest points, with a warning. Time
    O(p q min(p, q)).

    Examples
    --------
    >>> stiefel([[0.0, 2.0], [-3.0, 0.0]]).round(12).tolist()
    [[0.0, 1.0], [-1.0, 0.0]]
    """
    return run(Set("stiefel", (*shape(x, axes), 0.0), matrix=True), x, axis=axes, out=out)


def rotation(x: Any, axes: tuple[int, int] = (-2, -1), out: Any = None) -> Any:
    """Project onto the rotations: orthogonal matrices of determinant 1.

    Use it for orientations and rigid alignments.

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
        Nearest rotations.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, or it is not square.

    Notes
    -----
    The polar factor, with the direction of the smallest singular value flipped where the
    determinant would be -1. Time O(p^3).

    References
    ----------
    Umeyama 1991, "Least-squares estimation of transformation parameters between two point
    patterns", IEEE Trans. Pattern Anal. Mach. Intell. 13.

    Examples
    --------
    >>> rotation([[2.0, 0.0], [0.0, -1.0]]).round(12).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return run(Set("stiefel", (*shape(x, axes), 1.0), matrix=True), x, axis=axes, out=out)
