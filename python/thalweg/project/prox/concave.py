"""Penalties that leave large entries alone."""

from __future__ import annotations

from typing import Any

from thalweg.project._engine import Set, number, run


def mcp(x: Any, lam: float = 1.0, gamma: float = 3.0, axis: int = -1, out: Any = None) -> Any:
    """Proximal map of the minimax concave penalty.

    Use it for sparse solutions without shrinking what is large.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    lam : float, default 1.0
        Strength, >= 0, finite.
    gamma : float, default 3.0
        Concavity, > 1.
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
        If x holds NaN or infinity, lam is negative or gamma <= 1.

    Notes
    -----
    0 up to lam, soft(x, lam) / (1 - 1 / gamma) up to gamma lam, x beyond. Time O(n) for each point.

    References
    ----------
    Zhang 2010, "Nearly unbiased variable selection under minimax concave penalty", Ann. Stat. 38.

    Examples
    --------
    >>> mcp([0.5, 1.5, 4.0], gamma=2.0).tolist()
    [0.0, 1.0, 4.0]
    """
    return run(Set("prox_mcp", (number(lam, "lam"), number(gamma, "gamma"))), x, axis=axis, out=out)


def scad(x: Any, lam: float = 1.0, a: float = 3.7, axis: int = -1, out: Any = None) -> Any:
    """Proximal map of the smoothly clipped absolute deviation.

    Use it as `mcp`, with a gentler transition.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    lam : float, default 1.0
        Strength, >= 0, finite.
    a : float, default 3.7
        Shape, > 2.
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
        If x holds NaN or infinity, lam is negative or a <= 2.

    Notes
    -----
    soft(x, lam) up to 2 lam, ((a - 1) x - sign(x) a lam) / (a - 2) up to a lam, x beyond. Time O(n)
    for each point.

    References
    ----------
    Fan and Li 2001, "Variable selection via nonconcave penalized likelihood", J. Am. Stat. Assoc.
    96.

    Examples
    --------
    >>> scad([0.5, 2.0, 4.0], a=3.0).tolist()
    [0.0, 1.0, 4.0]
    """
    return run(Set("prox_scad", (number(lam, "lam"), number(a, "a"))), x, axis=axis, out=out)
