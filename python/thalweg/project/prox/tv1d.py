"""Total variation in one dimension."""

from __future__ import annotations

from typing import Any

from thalweg.project._engine import Set, number, run, vector


def tv1d(x: Any, lam: Any = 1.0, l1: float = 0.0, axis: int = -1, out: Any = None) -> Any:
    """Proximal map of sum lam_i |x_{i+1} - x_i| + l1 |x|_1: total variation, the fused lasso.

    Use it for signals that are constant in pieces.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    lam : float or array_like of shape (n - 1,), default 1.0
        Strength of each edge, >= 0; inf joins its ends.
    l1 : float, default 0.0
        Strength of the l1 part, >= 0.
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
        If x holds NaN or infinity, or a strength is negative.

    Notes
    -----
    Johnson's dynamic program, O(n) whatever the data; levels are recomputed from the sums of their
    segments. The gradient is averaged inside each segment.

    References
    ----------
    Johnson 2013, "A dynamic programming algorithm for the fused lasso and l0-segmentation", J.
    Comput. Graph. Stat. 22.

    Examples
    --------
    >>> tv1d([0.0, 0.0, 6.0, 6.0], 2.0).tolist()
    [1.0, 1.0, 5.0, 5.0]
    """
    return run(Set("prox_tv1d", (number(l1, "l1"),), (vector(lam, "lam"),)), x, axis=axis, out=out)
