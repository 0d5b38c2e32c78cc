"""Sets of matrices given by singular values."""

from __future__ import annotations

from typing import Any

from thalweg.project._engine import Set, integer, number, run, shape


def spectral_ball(
    x: Any, radius: float = 1.0, axes: tuple[int, int] = (-2, -1), out: Any = None
) -> Any:
    """Project onto matrices with singular values <= radius.

    Use it to bound the Lipschitz constant of a linear layer.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., p, q)
        Matrices, float32 or float64. Not modified.
    radius : float, default 1.0
        Bound, >= 0.
    axes : pair of int, default (-2, -1)
        Axes of the rows and columns of one matrix.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor, shape (..., p, q)
        Nearest matrices.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, or radius is negative.

    Notes
    -----
    Clips the singular values. Time O(p q min(p, q)).

    Examples
    --------
    >>> spectral_ball([[3.0, 0.0], [0.0, 0.5]], 1.0).round(12).tolist()
    [[1.0, 0.0], [0.0, 0.5]]
    """
    what = Set("spectral_ball", (*shape(x, axes), number(radius, "radius")), matrix=True)
    return run(what, x, axis=axes, out=out)


def nuclear_ball(
    x: Any, radius: float = 1.0, axes: tuple[int, int] = (-2, -1), out: Any = None
) -> Any:
    """Project onto matrices whose singular values sum to at most radius.

    Use it for low-rank solutions with a budget.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., p, q)
        Matrices, float32 or float64. Not modified.
    radius : float, default 1.0
        Bound, >= 0.
    axes : pair of int, default (-2, -1)
        Axes of the rows and columns of one matrix.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor, shape (..., p, q)
        Nearest matrices.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, or radius is negative.

    Notes
    -----
    The l1 ball of the singular values. Time O(p q min(p, q)).

    Examples
    --------
    >>> nuclear_ball([[3.0, 0.0], [0.0, 1.0]], 2.0).round(12).tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """
    what = Set("nuclear_ball", (*shape(x, axes), number(radius, "radius")), matrix=True)
    return run(what, x, axis=axes, out=out)


def rank(x: Any, k: int, axes: tuple[int, int] = (-2, -1), out: Any = None) -> Any:
    """Project onto matrices of rank at most k.

    Use it for the best approximation of a fixed rank.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., p, q)
        Matrices, float32 or float64. Not modified.
    k : int
        Rank, >= 0.
    axes : pair of int, default (-2, -1)
        Axes of the rows and columns of one matrix.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor, shape (..., p, q)
        Nearest matrices.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, or k is negative.

    Notes
    -----
    Keeps the k largest singular values. Not convex. Time O(p q min(p, q)).

    References
    ----------
    Eckart and Young 1936, "The approximation of one matrix by another of lower rank", Psychometrika
    1.

    Examples
    --------
    >>> rank([[3.0, 0.0], [0.0, 1.0]], 1).round(12).tolist()
    [[3.0, 0.0], [0.0, 0.0]]
    """
    what = Set("rank", (*shape(x, axes), float(integer(k, "k"))), matrix=True)
    return run(what, x, axis=axes, out=out)
