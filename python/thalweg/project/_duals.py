"""Plain torch forms of couplings and correlation matrices: Newton steps on the dual.

What is found carries its vector-Jacobian product along; see `_reference`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from thalweg.project._engine import Set, carried, warn

ROUNDS = 500
Scalars = Sequence[float]
Vectors = Sequence[Any]


def _torch() -> Any:
    return sys.modules["torch"]


def _newton(d: Any, dual: Any, solve: Any, goal: Any) -> Any:
    """Newton steps on a convex dual, halved where a whole one does not help.

    `dual(d)` is (image, minus the gradient, value, ...), `solve(found, error)` the step from there.
    Ends where no entry of the gradient is above `goal`, or no step helps; returns the last dual.
    """
    torch = _torch()
    found = dual(d)
    for _ in range(ROUNDS):
        rest, value = found[1:3]
        error = rest.abs().amax(-1)
        if bool((error <= goal).all()):
            break
        step = solve(found, error)
        rate = (step * rest).sum(-1)
        t = torch.ones_like(rate)
        for _ in range(40):
            ahead = d + t.unsqueeze(-1) * step
            there = dual(ahead)
            left = there[1].abs().amax(-1)
            good = (there[2] <= value - 1e-4 * t * rate) & (rate > 1e-12 * value.abs())
            good |= left < 0.5 * error
            if bool(good.all()):
                break
            t = torch.where(good, t, 0.5 * t)
        better = good | (left < error)
        if not bool(better.any()):
            break
        d = torch.where(better.unsqueeze(-1), ahead, d)
        found = dual(d)
    return found


def transport(x: Any, s: Scalars, v: Vectors) -> Any:
    """Semismooth Newton steps on the dual of the projection onto couplings (Li, Sun, Toh 2020)."""
    torch = _torch()
    a, b = v
    plan = x.detach()
    size = torch.cat([t.abs().flatten() for t in (plan, a, b)]).max().clamp(min=1e-300)
    masses = torch.cat([a, b], -1)

    def dual(d: Any) -> tuple[Any, Any, Any]:
        f, g = d.split(plan.shape[-2:], -1)
        p = (plan + f.unsqueeze(-1) + g.unsqueeze(-2)).clamp(min=0)
        rest = masses - torch.cat([p.sum(-1), p.sum(-2)], -1)
        return p, rest, 0.5 * p.square().sum((-2, -1)) - (masses * d).sum(-1)

    def solve(found: Any, error: Any) -> Any:
        extra = (error / size).clamp(max=1e-3) * 1e-2 + 1e-14
        return laplacian((found[0] > 0).to(x.dtype), found[1], extra.unsqueeze(-1))

    start = plan.new_zeros((*plan.shape[:-2], sum(plan.shape[-2:])))
    here, rest, _ = _newton(start, dual, solve, 1e-14 * size * sum(plan.shape[-2:]))
    warn(Set("transport"), float((rest.abs().amax() / size).detach()))
    support = (here > 0).to(x.dtype)

    def pull(v: Any) -> Any:
        v = support * v
        shift = laplacian(support, torch.cat([v.sum(-1), v.sum(-2)], -1), None)
        alpha, beta = shift.split(plan.shape[-2:], -1)
        return v - support * (alpha.unsqueeze(-1) + beta.unsqueeze(-2))

    return carried(here, x, pull)


def laplacian(weights: Any, rest: Any, extra: Any) -> Any:
    """Solve [[diag(r), M], [M^T, diag(c)]] d = rest, the diagonal raised by its share `extra`.

    With None the shortest solution: the matrix is singular along each component of the graph.
    """
    torch = _torch()
    degrees = torch.cat([weights.sum(-1), weights.sum(-2)], -1)
    p = weights.shape[-2]
    matrix = torch.diag_embed(degrees)
    matrix[..., :p, p:] = weights
    matrix[..., p:, :p] = weights.mT
    if extra is None:
        inverse = torch.linalg.pinv(matrix, hermitian=True, rtol=1e-13)
        return (inverse @ rest.unsqueeze(-1)).squeeze(-1)
    lift = extra * degrees + torch.where(degrees == 0, 1.0, 0.0)
    matrix = matrix + torch.diag_embed(lift)
    return torch.linalg.solve(matrix, rest.unsqueeze(-1)).squeeze(-1)


def correlation(x: Any, s: Scalars, v: Vectors) -> Any:
    """Newton's method on the dual of the nearest correlation matrix (Qi and Sun 2006)."""
    torch = _torch()
    point = 0.5 * (x.detach() + x.detach().mT)
    size = point.abs().amax((-2, -1)).clamp(min=1)
    n = point.shape[-1]
    d = 1 - point.diagonal(dim1=-2, dim2=-1)

    def dual(d: Any) -> tuple[Any, ...]:
        values, u = torch.linalg.eigh(point + torch.diag_embed(d))
        kept = values.clamp(min=0)
        y = (u * kept.unsqueeze(-2)) @ u.mT
        rest = 1 - y.diagonal(dim1=-2, dim2=-1)
        return y, rest, 0.5 * kept.square().sum(-1) - d.sum(-1), values, u

    def solve(found: Any, error: Any) -> Any:
        extra = (error / size).clamp(max=1e-2) * 1e-3
        return _solve(_slopes(*found[3:]), found[1], extra)

    y, rest, _, values, u = _newton(d, dual, solve, 1e-15 * n * n * size)
    warn(Set("correlation"), float((rest.abs().amax(-1) / size).max()))
    y = y - torch.diag_embed(y.diagonal(dim1=-2, dim2=-1) - 1)

    def pull(v: Any) -> Any:
        v = _derivative(values, u, 0.5 * (v + v.mT))
        z = _solve(_slopes(values, u), v.diagonal(dim1=-2, dim2=-1), None)
        return v - _derivative(values, u, torch.diag_embed(z))

    return carried(y, x, pull)


def _ratios(values: Any) -> Any:
    """(max(l_i, 0) - max(l_j, 0)) / (l_i - l_j)."""
    torch = _torch()
    kept = values.clamp(min=0)
    gap = values.unsqueeze(-1) - values.unsqueeze(-2)
    same = gap == 0
    rise = (kept.unsqueeze(-1) - kept.unsqueeze(-2)) / torch.where(same, 1.0, gap)
    return torch.where(same, (values > 0).to(values.dtype).unsqueeze(-1), rise)


def _derivative(values: Any, u: Any, v: Any) -> Any:
    return u @ (_ratios(values) * (u.mT @ v @ u)) @ u.mT


def _slopes(values: Any, u: Any) -> Any:
    """Column j: the diagonal of the derivative in the direction of entry (j, j)."""
    pairs = (u.unsqueeze(-1) * u.unsqueeze(-2)).flatten(-2)
    return (pairs * _ratios(values).flatten(-2).unsqueeze(-2)) @ pairs.mT


def _solve(matrix: Any, rest: Any, extra: Any) -> Any:
    torch = _torch()
    if extra is None:
        return (torch.linalg.pinv(matrix, hermitian=True, rtol=1e-13) @ rest.unsqueeze(-1))[..., 0]
    matrix = matrix + torch.diag_embed((extra + 1e-14).unsqueeze(-1).expand(rest.shape))
    return torch.linalg.solve(matrix, rest.unsqueeze(-1)).squeeze(-1)
