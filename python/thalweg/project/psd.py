"""Positive semidefinite and correlation matrices."""

from __future__ import annotations

from typing import Any

from thalweg.project._engine import Set, run, shape


def psd(x: Any, axes: tuple[int, int] = (-2, -1), out: Any = None) -> Any:
    """Project onto the positive semidefinite matrices.

    Use it to repair a covariance or kernel matrix.

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
        Nearest symmetric matrices without negative eigenvalues.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, or it is not square.

    Notes
    -----
    Of the symmetric part, U diag(max(l, 0)) U^T. Time O(p^3).

    Examples
    --------
    >>> psd([[1.0, 0.0], [0.0, -1.0]]).tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    return run(Set("psd", shape(x, axes), matrix=True), x, axis=axes, out=out)


def correlation(x: Any, axes: tuple[int, int] = (-2, -1), out: Any = None) -> Any:
    """Project onto the correlation matrices: semidefinite with unit diagonal.

    Use it to repair a matrix of estimated correlations.

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
        Nearest correlation matrices.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, or it is not square.

    Notes
    -----
    Newton's method on the dual; each step takes some eigendecompositions. Warns with the residual
    where it does not converge.

    References
    ----------
    Qi and Sun 2006, "A quadratically convergent Newton method for computing the nearest correlation
    matrix", SIAM J. Matrix Anal. Appl. 28.

    Examples
    --------
    >>> correlation([[2.0, 0.5], [0.5, 2.0]]).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    return run(Set("correlation", shape(x, axes), matrix=True), x, axis=axes, out=out)
