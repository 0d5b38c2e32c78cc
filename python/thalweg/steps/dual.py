"""The dual of a model with several values: a small quadratic program in a box or a simplex."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg import project

Floats = NDArray[np.float64]

# Where the multiplier of a single value lies.
INTERVALS = {"abs": (-1.0, 1.0), "hinge": (0.0, 1.0), "max": (1.0, 1.0)}


def dual(values: Floats, gram: Floats, outer: str) -> Floats:
    """Find argmin of s^T G s / 2 - c^T s in the box, or for "max" in the simplex.

    Proximal points of the dual: with H = G + delta I = L L^T each is the nearest point, in z = L^T
    s, of a polyhedron, which the active set of `thalweg.project.polyhedron` finds. What it says of
    the bounds that hold is then solved for directly, and the first solution that satisfies the
    optimality conditions is the answer.
    """
    m = len(values)
    reach = np.abs(gram).sum(axis=1)
    size = float(reach.max())
    if size == 0:
        # Nothing moves whatever s is.
        return np.zeros(m)
    # Beyond these bounds larger values change nothing but the rounding.
    if outer == "max":
        values = np.maximum(values - values.max(), -4 * size)
    else:
        values = np.clip(values, -2 * reach, 2 * reach)
    gram, values = gram / size, values / size
    delta = 1e-6
    back = np.linalg.inv(np.linalg.cholesky(gram + delta * np.eye(m))).T
    low, high = (0.0, 1.0) if outer == "max" else INTERVALS[outer]
    if outer == "max":
        ones = np.ones((1, m))
        sides: dict[str, Any] = {"A": -back, "b": np.zeros(m), "E": ones @ back, "f": [1.0]}
        s = np.full(m, 1 / m)
    else:
        bounds = np.concatenate([np.full(m, high), np.full(m, -low)])
        sides = {"A": np.concatenate([back, -back]), "b": bounds}
        s = np.full(m, (low + high) / 2)
    for _ in range(100):
        point = back.T @ (values + delta * s)
        nearest = project.polyhedron(point, **sides, method="active_set")
        new: Floats = np.clip(back @ nearest, low, high)
        exact = _solved(new, values, gram, outer == "max", low, high)
        if exact is not None:
            return exact
        if np.abs(new - s).max() <= 1e-14:
            break
        s = new
    return new


def _solved(
    s: Floats, c: Floats, gram: Floats, simplex: bool, low: float, high: float
) -> Floats | None:
    """The solution with the bounds of `s`, if it is optimal."""
    near, tol = 1e-9, 1e-12
    at_low, at_high = s <= low + near, (s >= high - near) & (not simplex)
    free = ~(at_low | at_high)
    s = np.where(at_low, low, np.where(at_high, high, s))
    n = int(free.sum())
    matrix, right = gram[np.ix_(free, free)], (c - gram[:, ~free] @ s[~free])[free]
    if simplex:
        ones = np.ones((n, 1))
        matrix = np.block([[matrix, ones], [ones.T, np.zeros((1, 1))]])
        right = np.append(right, 1.0)
    solution = np.linalg.lstsq(matrix, right, rcond=None)[0]
    s[free] = solution[:n]
    slope = c - gram @ s - (solution[n] if simplex else 0.0)
    wrong = [np.abs(slope[free]), slope[at_low], -slope[at_high], low - s, s - high]
    if max(float(part.max(initial=0.0)) for part in wrong) > tol:
        return None
    return np.clip(s, low, high)


__all__ = ["INTERVALS", "dual"]
