"""The second-order cone."""

from __future__ import annotations

from typing import Any

from thalweg.project._engine import Set, run


def soc(x: Any, axis: int = -1, out: Any = None) -> Any:
    """Project onto the second-order cone |z| <= t, x = (z, t).

    Use it for bounds on lengths that are variables themselves.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    axis : int, default -1
        Axis along which the entries of one point lie.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor, shape (..., n)
        Nearest points; t is the last entry along `axis`.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, or n = 0.

    Notes
    -----
    Three cases: inside, in the polar cone (0), else ((|z| + t) / 2) (z / |z|, 1). Time O(n) for
    each point.

    Examples
    --------
    >>> soc([3.0, 4.0, 0.0]).tolist()
    [1.5, 2.0, 2.5]
    """
    return run(Set("soc"), x, axis=axis, out=out)
