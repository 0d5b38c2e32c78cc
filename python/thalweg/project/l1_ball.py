"""The l1 ball, plain and weighted."""

from __future__ import annotations

from typing import Any

from thalweg.project._engine import Set, number, run, vector


def l1_ball(
    x: Any, radius: float = 1.0, weights: Any = 1.0, axis: int = -1, out: Any = None
) -> Any:
    """Project onto the l1 ball, sum w_i |x_i| <= radius.

    Use it for sparse solutions with a budget.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    radius : float, default 1.0
        Budget, >= 0.
    weights : float or array_like of shape (n,), default 1.0
        Positive weights w.
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
    sign(x) max(|x| - tau w, 0), tau as for the simplex. Expected time O(n).

    References
    ----------
    Condat 2016, "Fast projection onto the simplex and the l1 ball", Math. Program. 158.

    Examples
    --------
    >>> l1_ball([3.0, 1.0], 2.0).tolist()
    [2.0, 0.0]
    """
    what = Set("l1_ball", (number(radius, "radius"),), (vector(weights, "weights"),))
    return run(what, x, axis=axis, out=out)
