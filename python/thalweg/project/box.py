"""Boxes."""

from __future__ import annotations

import math
from typing import Any

from thalweg.project._engine import Set, radius_of, run, vector


def box(x: Any, lo: Any = -math.inf, hi: Any = math.inf, axis: int = -1, out: Any = None) -> Any:
    """Project onto the box lo <= x <= hi.

    Use it for bounds on single entries.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    lo, hi : float or array_like of shape (n,), default -inf and inf
        Bounds; infinite ones are none.
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
        If x holds NaN or infinity, or lo > hi somewhere.

    Notes
    -----
    min(max(x, lo), hi); the gradient passes strictly inside. Time O(n) for each point.

    Examples
    --------
    >>> box([-1.0, 0.5, 3.0], 0.0, 1.0).tolist()
    [0.0, 0.5, 1.0]
    """
    return run(Set("box", (), (vector(lo, "lo"), vector(hi, "hi"))), x, axis=axis, out=out)


def linf_ball(x: Any, radius: float = 1.0, axis: int = -1, out: Any = None) -> Any:
    """Project onto the ball of the largest absolute value.

    Use it for a bound that is the same for all entries.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    radius : float, default 1.0
        Bound on every |x_i|, >= 0.
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
    clip(x, -r, r). Time O(n) for each point.

    Examples
    --------
    >>> linf_ball([-3.0, 0.5], 1.0).tolist()
    [-1.0, 0.5]
    """
    r = radius_of(radius)
    return run(Set("box", (), (vector(-r, "radius"), vector(r, "radius"))), x, axis=axis, out=out)
