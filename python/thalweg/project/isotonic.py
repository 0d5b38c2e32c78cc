"""Monotone vectors."""

from __future__ import annotations

import math
from typing import Any

from thalweg.project._engine import Set, number, run, vector


def isotonic(
    x: Any,
    weights: Any = 1.0,
    increasing: bool = True,
    lo: float = -math.inf,
    hi: float = math.inf,
    axis: int = -1,
    out: Any = None,
) -> Any:
    """Project onto monotone vectors, in a weighted norm and between bounds.

    Use it for calibration curves and other monotone responses.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    weights : float or array_like of shape (n,), default 1.0
        Positive weights of the squared errors.
    increasing : bool, default True
        Rising, or falling.
    lo, hi : float, default -inf and inf
        Bounds on all entries.
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
        If x holds NaN or infinity, lo > hi or a weight is not positive.

    Notes
    -----
    Pool adjacent violators, then a clip. The gradient is averaged inside each block. Time O(n).

    References
    ----------
    Best and Chakravarti 1990, "Active set algorithms for isotonic regression", Math. Program. 47.

    Examples
    --------
    >>> isotonic([1.0, 3.0, 2.0]).tolist()
    [1.0, 2.5, 2.5]
    """
    numbers = (float(increasing), number(lo, "lo"), number(hi, "hi"))
    return run(Set("isotonic", numbers, (vector(weights, "weights"),)), x, axis=axis, out=out)
