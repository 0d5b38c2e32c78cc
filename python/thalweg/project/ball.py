"""Balls around a centre, of matrices too."""

from __future__ import annotations

from typing import Any

from thalweg.project._engine import Set, number, run, vector


def l2_ball(x: Any, radius: float = 1.0, center: Any = 0.0, axis: int = -1, out: Any = None) -> Any:
    """Project onto a Euclidean ball.

    Use it to bound the length of gradients, weights or perturbations.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    radius : float, default 1.0
        Radius, >= 0.
    center : float or array_like of shape (n,), default 0.0
        Centre.
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
        If x holds NaN or infinity, or radius is negative.

    Notes
    -----
    c + r (x - c) / |x - c| outside, x inside. Lengths neither overflow nor underflow. Time O(n) for
    each point.

    Examples
    --------
    >>> l2_ball([3.0, 4.0], 2.5).tolist()
    [1.5, 2.0]
    """
    what = Set("l2_ball", (number(radius, "radius"),), (vector(center, "center"),))
    return run(what, x, axis=axis, out=out)


def frobenius_ball(
    x: Any, radius: float = 1.0, axes: tuple[int, int] = (-2, -1), out: Any = None
) -> Any:
    """Project onto matrices of bounded Frobenius norm.

    Use it to bound all entries of a matrix together.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., p, q)
        Matrices, float32 or float64. Not modified.
    radius : float, default 1.0
        Bound on the root of the sum of squares, >= 0.
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
    The Euclidean ball of the entries. Time O(p q).

    Examples
    --------
    >>> frobenius_ball([[3.0, 0.0], [0.0, 4.0]], 2.5).tolist()
    [[1.5, 0.0], [0.0, 2.0]]
    """
    what = Set("l2_ball", (number(radius, "radius"),), (vector(0.0, "center"),), matrix=True)
    return run(what, x, axis=axes, out=out)
