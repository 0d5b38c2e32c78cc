"""The number of entries."""

from __future__ import annotations

from typing import Any

from thalweg.project._engine import Set, number, run


def l0(x: Any, lam: float = 1.0, axis: int = -1, out: Any = None) -> Any:
    """Proximal map of lam times the number of entries that are not 0.

    Use it for hard thresholding.

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
    Keeps x_i iff x_i^2 > 2 lam. Not convex. Time O(n) for each point.

    Examples
    --------
    >>> l0([3.0, 1.0]).tolist()
    [3.0, 0.0]
    """
    return run(Set("prox_l0", (number(lam, "lam"),)), x, axis=axis, out=out)
