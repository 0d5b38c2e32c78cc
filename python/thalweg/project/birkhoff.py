"""Couplings, in the Euclidean norm."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.project._engine import Set, run, shape, vector


def birkhoff(x: Any, axes: tuple[int, int] = (-2, -1), out: Any = None) -> Any:
    """Project onto the doubly stochastic matrices.

    Use it for soft permutations with exact zeros; `sinkhorn` has none.

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
        Nearest matrices with entries >= 0 whose rows and columns sum to 1.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, or it is not square.

    Notes
    -----
    As `transport` with unit masses.

    Examples
    --------
    >>> birkhoff([[1.0, 0.0], [0.0, 0.0]]).tolist()
    [[0.75, 0.25], [0.25, 0.75]]
    """
    rows, columns = shape(x, axes)
    if rows != columns:
        raise ValueError(
            f"x must be a square matrix, got {rows} x {columns}; use transport for other shapes"
        )
    return transport(x, np.ones(rows), np.ones(columns), axes, out)


def transport(x: Any, a: Any, b: Any, axes: tuple[int, int] = (-2, -1), out: Any = None) -> Any:
    """Project onto the couplings of two masses: P >= 0, P 1 = a, P^T 1 = b.

    Use it for quadratically regularised transport: project -C / eps.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., p, q)
        Matrices, float32 or float64. Not modified.
    a, b : array_like of shape (p,) and (q,)
        Masses >= 0 of the rows and columns, of equal sums.
    axes : pair of int, default (-2, -1)
        Axes of the rows and columns of one matrix.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor, shape (..., p, q)
        Nearest couplings.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, a mass is negative or the sums differ.

    Notes
    -----
    Semismooth Newton on the dual; a step factors a matrix of size min(p, q). Warns with the
    residual where it does not converge.

    References
    ----------
    Li, Sun, Toh 2020, "On the efficient computation of a generalized Jacobian of the projector over
    the Birkhoff polytope", Math. Program. 179.

    Examples
    --------
    >>> transport([[0.0, 0.0], [0.0, 0.0]], [1.0, 1.0], [0.5, 1.5]).tolist()
    [[0.25, 0.75], [0.25, 0.75]]
    """
    what = Set("transport", shape(x, axes), (vector(a, "a"), vector(b, "b")), matrix=True)
    return run(what, x, axis=axes, out=out)
