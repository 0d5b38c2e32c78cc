"""The l1 norm and the elastic net."""

from __future__ import annotations

import math
from typing import Any

from thalweg.project._engine import Set, number, run, vector


def l1(
    x: Any,
    lam: float = 1.0,
    weights: Any = 1.0,
    positive: bool = False,
    axis: int = -1,
    out: Any = None,
) -> Any:
    """Proximal map of lam sum w_i |x_i|: soft thresholding.

    Use it for sparse solutions.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    lam : float, default 1.0
        Strength, >= 0; inf gives the minimiser of the function.
    weights : float or array_like of shape (n,), default 1.0
        Weights w >= 0.
    positive : bool, default False
        Also require entries >= 0.
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
        If x holds NaN or infinity, or lam or a weight is negative.

    Notes
    -----
    sign(x) max(|x| - lam w, 0). Time O(n) for each point.

    Examples
    --------
    >>> l1([3.0, -0.5]).tolist()
    [2.0, 0.0]
    """
    what = Set("prox_l1", (number(lam, "lam"), 0.0, float(positive)), (vector(weights, "weights"),))
    return run(what, x, axis=axis, out=out)


def elastic_net(
    x: Any, lam: float = 1.0, gamma: float = 1.0, axis: int = -1, out: Any = None
) -> Any:
    """Proximal map of lam (|x|_1 + gamma |x|^2 / 2).

    Use it for sparse solutions of correlated features.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    lam : float, default 1.0
        Strength, >= 0; inf gives the minimiser of the function.
    gamma : float, default 1.0
        Weight of the square, >= 0.
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
        If x holds NaN or infinity, or lam or gamma is negative.

    Notes
    -----
    soft(x, lam) / (1 + lam gamma). Time O(n) for each point.

    References
    ----------
    Zou and Hastie 2005, "Regularization and variable selection via the elastic net", J. R. Stat.
    Soc. B 67.

    Examples
    --------
    >>> elastic_net([3.0, -0.5]).tolist()
    [1.0, 0.0]
    """
    numbers = (number(lam, "lam"), number(gamma, "gamma"), 0.0)
    return run(Set("prox_l1", numbers, (vector(1.0, "weights"),)), x, axis=axis, out=out)


def ridge(x: Any, lam: float = 1.0, axis: int = -1, out: Any = None) -> Any:
    """Proximal map of lam |x|^2 / 2.

    Use it for weight decay as an implicit step.

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
    x / (1 + lam). Time O(n) for each point.

    Examples
    --------
    >>> ridge([3.0, -1.0]).tolist()
    [1.5, -0.5]
    """
    numbers = (1.0, number(lam, "lam"), 0.0)
    if numbers[1] == math.inf:
        return l1(x, math.inf, axis=axis, out=out)
    return run(Set("prox_l1", numbers, (vector(0.0, "lam"),)), x, axis=axis, out=out)
