"""A float64 PolyStep read off the candidates: it sees what was probed and says where to go.

It shares no code with the product: directions are recovered from the candidates, so it holds
whatever the rotations are.
"""

from __future__ import annotations

import numpy as np


def counts(polytope, p):
    return {"orthoplex": 2 * p, "simplex": p + 1, "cube": 2**p}[polytope]


def scale(costs, how):
    c = np.asarray(costs, float)
    if how is None:
        return c
    if how == "mean":
        return (c - c.min()) / (c - c.min()).mean()
    if how == "max_cost":
        return (c - c.min()) / np.ptp(c)
    if how == "row_std":
        return (c - c.mean(1, keepdims=True)) / c.std(1, keepdims=True)
    if how == "global_std":
        c = c - c.mean(1, keepdims=True)
        return c / np.sqrt((c**2).mean())
    if how == "ranks":
        ranks = np.argsort(np.argsort(c, axis=1), axis=1).astype(float)
        return scale(ranks, "row_std")
    return c / how


def weigh(costs, solver, eps):
    if solver == "softmax":
        e = np.exp(-(costs - costs.min(1, keepdims=True)) / eps)
        return e / e.sum(1, keepdims=True)
    if solver == "tempered":
        return weigh(costs, "softmax", 1.0)
    w = np.zeros_like(costs)
    rows = np.arange(len(costs))
    if solver == "greedy":
        w[rows, costs.argmin(1)] = 1.0
    elif solver == "top_k":
        order = np.argsort(costs, axis=1)[:, :3]
        for i in range(len(costs)):
            w[i, order[i]] = 1.0 / order.shape[1]
    elif solver == "sinkhorn":
        n, m = costs.shape
        kernel = np.exp(-costs / eps)
        u = np.ones(n)
        for _ in range(20000):
            v = (1 / m) / (kernel.T @ u)
            u = (1 / n) / (kernel @ v)
        plan = u[:, None] * kernel * v
        w = plan / plan.sum(1, keepdims=True)
    return w


def move(x, candidates, costs, *, p, v, k, eps, s, rho, how, solver):
    """The published displacement of one step; the dimension is a multiple of p."""
    rows = len(x) // p
    probes = (candidates - x).reshape(rows, v, k, -1)
    table = scale(costs.reshape(rows, v, k).mean(2), how)
    w = weigh(table, solver, eps)
    out = np.zeros_like(x)
    for i in range(rows):
        for a in range(v):
            # The first probe lies at rho / (k + 1) along the unit direction of the vertex.
            direction = probes[i, a, 0] / (rho / (k + 1))
            out += s * w[i, a] * direction
    return out
