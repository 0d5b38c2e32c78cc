"""Norms of whole vectors."""

from __future__ import annotations

from typing import Any

from thalweg.project._engine import Set, number, run


def l2(x: Any, lam: float = 1.0, axis: int = -1, out: Any = None) -> Any:
    """Proximal map of lam |x|_2.

    Use it to drop a whole vector or to shorten it.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    lam : float, default 1.0
        Strength, >= 0; inf gives the minimiser of the function.
    axis : int, default -1
        Axis along which the entries of one point lie.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor, shape (..., n)
        argmin over y of f(y) + |y - x|^2 / 2.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, or lam is negative.

    Notes
    -----
    max(1 - lam / |x|, 0) x. Time O(n) for each point.

    Examples
    --------
    >>> l2([3.0, 4.0], 2.5).tolist()
    [1.5, 2.0]
    """
    return run(Set("prox_l2", (number(lam, "lam"),)), x, axis=axis, out=out)


def linf(x: Any, lam: float = 1.0, axis: int = -1, out: Any = None) -> Any:
    """Proximal map of lam max |x_i|.

    Use it to level the largest entries.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    lam : float, default 1.0
        Strength, >= 0; inf gives the minimiser of the function.
    axis : int, default -1
        Axis along which the entries of one point lie.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor, shape (..., n)
        argmin over y of f(y) + |y - x|^2 / 2.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, or lam is negative.

    Notes
    -----
    x less its projection onto the l1 ball of radius lam (Moreau). Expected time O(n).

    Examples
    --------
    >>> linf([3.0, 1.0]).tolist()
    [2.0, 1.0]
    """
    return run(Set("prox_linf", (number(lam, "lam"),)), x, axis=axis, out=out)
