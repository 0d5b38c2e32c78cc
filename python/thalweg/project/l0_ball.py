"""Vectors with few entries."""

from __future__ import annotations

from typing import Any

from thalweg.project._engine import Set, integer, run


def l0_ball(x: Any, k: int, axis: int = -1, out: Any = None) -> Any:
    """Keep the k largest entries in absolute value.

    Use it for a fixed number of entries (iterative hard thresholding, pruning).

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    k : int
        Entries kept, >= 0; all of them where k > n.
    axis : int, default -1
        Axis along which the entries of one point lie.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor, shape (..., n)
        Nearest points with at most k entries; ties keep the lowest index.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, or k is negative.

    Notes
    -----
    The set is not convex. The gradient passes where entries were kept. Expected time O(n).

    Examples
    --------
    >>> l0_ball([3.0, -1.0, 2.0], 2).tolist()
    [3.0, 0.0, 2.0]
    """
    return run(Set("l0_ball", (float(integer(k, "k")),)), x, axis=axis, out=out)
