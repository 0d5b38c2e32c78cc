"""Model-based steps in formulas: the multipliers of a convex model with a proximal term.

  y = argmin_d h(c + J d) + r(x + d) + sum_i |d_i|^2 / (2 lr_i)

has y(s) = prox_r(x - lr J^T s) for multipliers s in the domain of the conjugate of h, and s is the
subgradient of h at c + J (y(s) - x). For a single c that is a decreasing function of one variable:
for abs and hinge clipped to an interval, for smooth h a fixed point s = h'(...).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg.steps.dual import INTERVALS, dual

Floats = NDArray[np.float64]

MODELS = ("subgradient", "truncated", "prox_linear", "proximal_point")
OUTERS = ("abs", "hinge", "max", "square", "logistic")
_SLOPES: dict[str, Callable[[float], float]] = {
    "square": lambda z: z,
    "logistic": lambda z: -1 / (1 + math.exp(z)) if z < 700 else -math.exp(-z),
}


def outer_of(model: str, outer: Any) -> Any:
    """The outer function of a model, with its default.

    Raises
    ------
    ValueError
        If it is none, or the model has none.
    """
    if model not in MODELS:
        words = ", ".join(map(repr, MODELS))
        raise ValueError(f"model must be one of {words}, got {model!r}; choose one of these")
    if model in ("subgradient", "truncated"):
        if outer is not None:
            raise ValueError(
                f"outer must be None with model={model!r}, got {outer!r}; leave it out"
            )
        return "hinge" if model == "truncated" else "max"
    if outer is None:
        return "abs" if model == "prox_linear" else "square"
    if outer not in OUTERS and not callable(outer):
        words = ", ".join(map(repr, OUTERS))
        raise ValueError(
            f"outer must be one of {words} or the derivative of a convex function, got {outer!r}; "
            "choose one of these"
        )
    return outer


def single(
    outer: Any, along: Callable[[float], float], value: float, square: float | None
) -> float:
    """The multiplier of a single value.

    Parameters
    ----------
    outer : str or callable
        h, or its derivative.
    along : callable
        s -> c + J (y(s) - x), decreasing.
    value, square : float
        c, and lr |J|^2 where y(s) is linear, which has closed forms.
    """
    if not callable(outer) and outer in INTERVALS:
        low, high = INTERVALS[outer]
        if low == high:
            return low
        if square is not None:
            return min(max(value / square, low), high) if square > 0 else math.copysign(high, value)
        if along(high) >= 0:
            return high
        if along(low) <= 0:
            return low
        return root(along, low, high)
    slope = outer if callable(outer) else _SLOPES[outer]
    if outer == "square" and square is not None:
        return value / (1 + square)
    first = float(slope(along(0.0)))
    if not math.isfinite(first):
        raise ValueError(f"outer must return a finite slope, got {first} at 0; mend it")
    if first == 0.0:
        return 0.0
    # The slope decreases in s, so the root lies between 0 and the first slope.
    return root(lambda s: float(slope(along(s))) - s, min(0.0, first), max(0.0, first))


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a decreasing function that is >= 0 at `low` and <= 0 at `high` vanishes.

    Regula falsi with the Illinois weights; a step that does not halve the interval twice in a row
    is followed by bisection, so that the interval halves at least every three evaluations.
    """
    f_low, f_high = function(low), function(high)
    slow = 0
    for _ in range(400):
        width = high - low
        # Two units in the last place.
        if f_low == 0 or f_high == 0 or width <= 4.5e-16 * max(abs(low), abs(high)):
            break
        middle = low + width * f_low / (f_low - f_high)
        if slow >= 2 or not low < middle < high:
            middle, slow = low + width / 2, 0
            if not low < middle < high:
                break
        f = function(middle)
        if f >= 0:
            low, f_low, f_high = middle, f, f_high / 2 if f else f_high
        else:
            high, f_high, f_low = middle, f, f_low / 2
        slow = slow + 1 if high - low > width / 2 else 0
    return low if abs(f_low) <= abs(f_high) else high


def several(outer: Any, values: Floats, gram: Floats) -> Floats:
    """The multipliers of several values, sum h(c_i) or max c_i, where y(s) is linear.

    Parameters
    ----------
    outer : str
        h.
    values : ndarray, shape (m,)
        c.
    gram : ndarray, shape (m, m)
        J lr J^T.

    Raises
    ------
    NotImplementedError
        For outer functions without a solver.
    """
    if outer == "square":
        solved: NDArray[Any] = np.linalg.solve(np.eye(len(values)) + gram, values)
        return solved
    if callable(outer) or outer not in INTERVALS:
        raise NotImplementedError(
            f"outer={outer!r} takes one value, got {len(values)}; use 'abs', 'hinge', 'max' or "
            "'square'"
        )
    return dual(values, gram, outer)


__all__ = ["MODELS", "OUTERS", "outer_of", "root", "several", "single"]
