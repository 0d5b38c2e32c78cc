"""Huber's function."""

from __future__ import annotations

from typing import Any

from thalweg.project._engine import Set, number, run


def huber(x: Any, lam: float = 1.0, delta: float = 1.0, axis: int = -1, out: Any = None) -> Any:
    """Proximal map of lam sum h(x_i), Huber's function of width delta.

    Use it for residuals with outliers.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    lam : float, default 1.0
        Strength, >= 0; inf gives the minimiser of the function.
    delta : float, default 1.0
        Width of the quadratic part, > 0; h is x^2 / (2 delta) there, |x| - delta / 2 beyond.
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
        If x holds NaN or infinity, lam is negative or delta is not positive.

    Notes
    -----
    x / (1 + lam / delta) up to delta + lam, x - lam sign(x) beyond. Time O(n) for each point.

    Examples
    --------
    >>> huber([1.0, 5.0]).tolist()
    [0.5, 4.0]
    """
    return run(
        Set("prox_huber", (number(lam, "lam"), number(delta, "delta"))), x, axis=axis, out=out
    )
