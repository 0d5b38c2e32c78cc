"""Simplexes: plain, weighted, capped, and in the Kullback-Leibler divergence."""

from __future__ import annotations

import math
from typing import Any

from thalweg.project._engine import Set, number, run, vector


def simplex(x: Any, radius: float = 1.0, axis: int = -1, out: Any = None) -> Any:
    """Project onto the probability simplex.

    Use it to keep mixture or task weights non-negative with a fixed sum.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    radius : float, default 1.0
        Sum of every projected point, >= 0.
    axis : int, default -1
        Axis along which the entries of one point lie.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor, shape (..., n)
        Nearest points: entries >= 0, sum `radius` along `axis`.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, radius is negative or n = 0.

    Notes
    -----
    max(x - tau, 0); tau by Newton steps over a list that only keeps what can still be positive,
    relative to the largest entry, so that large entries cost no digits. Expected time O(n).

    References
    ----------
    Condat 2016, "Fast projection onto the simplex and the l1 ball", Math. Program. 158.

    Examples
    --------
    >>> simplex([0.5, 1.0]).tolist()
    [0.25, 0.75]
    """
    return run(Set("simplex", (number(radius, "radius"),)), x, axis=axis, out=out)


def weighted_simplex(
    x: Any, weights: Any, radius: float = 1.0, axis: int = -1, out: Any = None
) -> Any:
    """Project onto the simplex w.x = radius, x >= 0.

    Use it for budgets in which entries have different prices.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    weights : array_like of shape (n,)
        Positive prices w.
    radius : float, default 1.0
        Budget, >= 0.
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
        If x holds NaN or infinity, radius is negative or a weight is not positive.

    Notes
    -----
    max(x - tau w, 0), tau by Newton on a piecewise linear function. Time O(n) for each of a few
    steps.

    Examples
    --------
    >>> weighted_simplex([1.0, 1.0], [1.0, 2.0], 1.0).tolist()
    [0.6, 0.2]
    """
    return box_section(x, weights, 0.0, math.inf, radius, axis, out)


def capped_simplex(
    x: Any, upper: Any = 1.0, radius: float = 1.0, axis: int = -1, out: Any = None
) -> Any:
    """Project onto 0 <= x <= upper, sum x = radius.

    Use it for soft choices of `radius` items out of n.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    upper : float or array_like of shape (n,), default 1.0
        Caps, >= 0.
    radius : float, default 1.0
        Sum, at most that of the caps.
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
        If x holds NaN or infinity, or the caps do not allow the sum.

    Notes
    -----
    clip(x - tau, 0, upper). Time O(n) for each of a few steps.

    Examples
    --------
    >>> capped_simplex([2.0, 1.0, 0.0], 1.0, 2.0).tolist()
    [1.0, 1.0, 0.0]
    """
    return box_section(x, 1.0, 0.0, upper, radius, axis, out)


def box_section(
    x: Any, weights: Any, lo: Any, hi: Any, radius: float, axis: int = -1, out: Any = None
) -> Any:
    """Project onto lo <= x <= hi, w.x = radius.

    Use it for one linear equation together with bounds.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    weights : float or array_like of shape (n,)
        Positive weights w.
    lo, hi : float or array_like of shape (n,)
        Bounds; infinite ones are none.
    radius : float
        Value of w.x, between w.lo and w.hi.
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
        If x holds NaN or infinity, or the bounds do not allow the sum.

    Notes
    -----
    clip(x - tau w, lo, hi); safeguarded Newton for tau, finished in closed form on the final active
    set. Time O(n) for each of a few steps, O(n log n) at worst.

    Examples
    --------
    >>> box_section([2.0, 0.0], 1.0, 0.0, 1.0, 1.0).tolist()
    [1.0, 0.0]
    """
    spread = (vector(weights, "weights"), vector(lo, "lo"), vector(hi, "hi"))
    return run(Set("section", (number(radius, "radius"),), spread), x, axis=axis, out=out)


def kl_simplex(
    x: Any, radius: float = 1.0, upper: Any = math.inf, axis: int = -1, out: Any = None
) -> Any:
    """Project exp(x) onto the capped simplex in the Kullback-Leibler divergence.

    Use it for mirror descent: a step is `kl_simplex(log(w) - lr * g)`.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    radius : float, default 1.0
        Sum, >= 0.
    upper : float or array_like of shape (n,), default inf
        Caps, positive.
    axis : int, default -1
        Axis along which the entries of one point lie.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor, shape (..., n)
        min(upper, c exp(x)), with c such that the sum is `radius`; the softmax without caps.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, or the caps do not allow the sum.

    Notes
    -----
    x are log-weights. The largest of them is taken off first, so nothing overflows. Time O(n log n)
    with caps, O(n) without.

    Examples
    --------
    >>> import numpy as np
    >>> np.round(kl_simplex([0.0, np.log(3.0)]), 12).tolist()
    [0.25, 0.75]
    """
    what = Set("kl", (number(radius, "radius"),), (vector(upper, "upper"),))
    return run(what, x, axis=axis, out=out)
