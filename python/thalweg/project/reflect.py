"""Reflection into a convex set."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from thalweg.project._engine import (
    ConvergenceWarning,
    Set,
    check_out,
    checked,
    is_tensor,
    number,
    run,
    vector,
)


def reflect(
    x: Any,
    set: str | Callable[[Any], Any] = "box",
    *,
    lo: Any = None,
    hi: Any = None,
    radius: float | None = None,
    center: Any = None,
    axis: int = -1,
    max_iter: int = 1000,
    out: Any = None,
) -> Any:
    """Reflect points into a convex set.

    Use it for diffusions and samplers that live in a set: reflected noise keeps its density there.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    set : {"box", "ball"} or callable, default "box"
        Which set. A callable projects all points at once onto a convex set, as the functions of
        this module do: `lambda z: polyhedron(z, A, b)`.
    lo, hi : float or array_like of shape (n,), optional
        Sides of the box, 0.0 and 1.0 if None; an infinite one does not reflect.
    radius : float, optional
        Radius of the ball, > 0; 1.0 if None.
    center : float or array_like of shape (n,), optional
        Centre of the ball, 0.0 if None.
    axis : int, default -1
        Axis along which the entries of one point lie, for boxes and balls.
    max_iter : int, default 1000
        Most reflections at a set given as a callable.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor, shape (..., n)
        Points inside, each at the end of the straight path folded at the walls.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, the box is empty, the radius is not positive, or a parameter
        belongs to another kind of set.

    Notes
    -----
    Box: the triangle wave of period 2 (hi - lo). Ball: the same wave of the signed radius along the
    ray. The gradient follows the path; its sign turns at each wall. Time O(n) for each point.
    Any other set C: x <- 2 P(x) - x until x is inside, then P(x), with P the projection; for boxes
    and centred balls this is the same. A set without interior has no inside to be reflected to: the
    result is the projection. Warns where `max_iter` reflections were not enough.

    References
    ----------
    Lou and Ermon 2023, "Reflected diffusion models", ICML, arXiv:2304.04740.

    Examples
    --------
    >>> reflect([-0.25, 0.5, 1.25, 2.5]).tolist()
    [0.25, 0.5, 0.75, 0.5]
    """
    if callable(set):
        _refuse(set="a callable", lo=lo, hi=hi, radius=radius, center=center)
        if axis != -1:
            raise ValueError(f"axis must be -1 for a callable, got {axis}; let the callable use it")
        return _bounced(x, set, max_iter, out)
    if set == "box":
        _refuse(set="a box", radius=radius, center=center)
        sides = (0.0 if lo is None else lo, 1.0 if hi is None else hi)
        what = Set("reflect_box", (), (vector(sides[0], "lo"), vector(sides[1], "hi")))
    elif set == "ball":
        _refuse(set="a ball", lo=lo, hi=hi)
        r = number(1.0 if radius is None else radius, "radius")
        what = Set("reflect_ball", (r,), (vector(0.0 if center is None else center, "center"),))
    else:
        raise ValueError(
            f"set must be 'box', 'ball' or a callable, got {set!r}; choose one of these"
        )
    return run(what, x, axis=axis, out=out)


def _refuse(set: str, **parameters: Any) -> None:
    for name, value in parameters.items():
        if value is not None:
            raise ValueError(f"{name} must be None for {set}, got {value!r}; leave it out")


def _bounced(x: Any, project: Callable[[Any], Any], max_iter: int, out: Any) -> Any:
    x = checked(x)
    if out is not None:
        check_out(x, out)
    y, before = x, float("inf")
    for _ in range(max_iter + 1):
        near = project(y)
        if tuple(near.shape) != tuple(x.shape):
            raise ValueError(
                f"set must keep the shape {tuple(x.shape)} of x, got {tuple(near.shape)}; "
                "give a projection"
            )
        gap, size = _largest(near - y), max(1.0, _largest(y))
        # Outside of a set with an interior every reflection comes nearer.
        if gap <= 1e-12 * size or gap >= (1 - 1e-9) * before:
            break
        y, before = 2 * near - y, gap
    else:
        warnings.warn(
            f"reflect: {max_iter} reflections end {gap:.1e} outside; raise max_iter",
            ConvergenceWarning,
            stacklevel=3,
        )
    if out is None:
        return near
    if is_tensor(out):
        return out.copy_(near)
    out[...] = near
    return out


def _largest(x: Any) -> float:
    x = x.detach() if is_tensor(x) else x
    return float(abs(x).max()) if 0 not in x.shape else 0.0
