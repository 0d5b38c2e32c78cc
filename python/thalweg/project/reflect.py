"""Reflection into a convex set."""

from __future__ import annotations

from typing import Any

from thalweg.project._engine import Set, number, run, vector


def reflect(
    x: Any,
    set: str = "box",
    *,
    lo: Any = 0.0,
    hi: Any = 1.0,
    radius: float = 1.0,
    center: Any = 0.0,
    axis: int = -1,
    out: Any = None,
) -> Any:
    """Reflect points into a box or a ball.

    Use it for diffusions and samplers that live in a set: reflected noise keeps its density there.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    set : {"box", "ball"}, default "box"
        Which set.
    lo, hi : float or array_like of shape (n,), default 0.0 and 1.0
        Sides of the box; an infinite one does not reflect.
    radius : float, default 1.0
        Radius of the ball, > 0.
    center : float or array_like of shape (n,), default 0.0
        Centre of the ball.
    axis : int, default -1
        Axis along which the entries of one point lie.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor, shape (..., n)
        Points inside, each at the end of the straight path folded at the walls.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, the box is empty or the radius is not positive.

    Notes
    -----
    Box: the triangle wave of period 2 (hi - lo). Ball: the same wave of the signed radius along the
    ray. The gradient follows the path; its sign turns at each wall. Time O(n) for each point.

    References
    ----------
    Lou and Ermon 2023, "Reflected diffusion models", ICML, arXiv:2304.04740.

    Examples
    --------
    >>> reflect([-0.25, 0.5, 1.25, 2.5]).tolist()
    [0.25, 0.5, 0.75, 0.5]
    """
    if set == "box":
        what = Set("reflect_box", (), (vector(lo, "lo"), vector(hi, "hi")))
    elif set == "ball":
        what = Set("reflect_ball", (number(radius, "radius"),), (vector(center, "center"),))
    else:
        raise ValueError(f"set must be 'box' or 'ball', got {set!r}; choose one of these")
    return run(what, x, axis=axis, out=out)
