"""Exact transport for small problems."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg import _core
from thalweg._extras import require
from thalweg.project._engine import checked, is_tensor
from thalweg.project._transport import Transport, as_array, masses_like


def exact_transport(C: Any, a: Any = None, b: Any = None) -> Transport:
    """Exact transport, for small problems and checks.

    Use it for up to some hundreds of rows, and with unit masses for linear assignment.

    Parameters
    ----------
    C : array_like or Tensor, shape (n, m)
        Costs.
    a, b : array_like or Tensor of shape (n,) and (m,), optional
        Masses >= 0 of equal sums; 1 / n and 1 / m if None.

    Returns
    -------
    Transport
        The plan, with potentials that certify it: f_i + g_j <= C_ij, equal where P_ij > 0.

    Raises
    ------
    ValueError
        If C is not a finite matrix, a mass is negative or sums differ.

    Notes
    -----
    Successive shortest paths; O(n m) for each of about n + m paths. The plan is constant in C
    almost everywhere: no gradient flows through it.

    References
    ----------
    Edmonds and Karp 1972, "Theoretical improvements in algorithmic efficiency for network flow
    problems", J. ACM 19.

    Examples
    --------
    >>> exact_transport([[3.0, 1.0], [1.0, 3.0]], [1.0, 1.0], [1.0, 1.0]).plan.tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    C = checked(C, "C")
    if C.ndim != 2:
        raise ValueError(f"C must be of shape (n, m), got {tuple(C.shape)}; give one matrix")
    a, b = masses_like(C, a, -2, "a"), masses_like(C, b, -1, "b")
    cost, left, right = (as_array(t) for t in (C, a, b))
    rows, columns = np.flatnonzero(left), np.flatnonzero(right)
    kept = np.ascontiguousarray(cost[np.ix_(rows, columns)])
    plan, f, g = np.zeros(cost.shape), np.zeros(len(left)), np.zeros(len(right))
    part, f[rows], g[columns] = _core.project_exact_transport(kept, left[rows], right[columns])
    plan[np.ix_(rows, columns)] = part.reshape(kept.shape)
    out: Any = plan.astype(cost.dtype if is_tensor(C) else C.dtype)
    if is_tensor(C):
        out = require("torch").as_tensor(plan).to(C)
    return Transport(out, f, g, 0.0, 0, True, "optimal")
