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


def transport(x: Any, s: Scalars, v: Vectors) -> Any:
    """Semismooth Newton steps on the dual of the projection onto couplings (Li, Sun, Toh 2020)."""
    torch = _torch()
    a, b = v
    plan = x.detach()
    size = torch.cat([t.abs().flatten() for t in (plan, a, b)]).max().clamp(min=1e-300)
    f, g = plan.new_zeros(plan.shape[:-1]), plan.new_zeros(plan.shape[:-2] + plan.shape[-1:])

    def dual(f: Any, g: Any) -> tuple[Any, Any, Any]:
        p = (plan + f.unsqueeze(-1) + g.unsqueeze(-2)).clamp(min=0)
        rest = torch.cat([a - p.sum(-1), b - p.sum(-2)], -1)
        value = 0.5 * p.square().sum((-2, -1)) - (a * f).sum(-1) - (b * g).sum(-1)
        return p, rest, value

    here, rest, value = dual(f, g)
    for _ in range(ROUNDS):
        error = rest.abs().amax(-1)
        if bool((error <= 1e-14 * size * sum(plan.shape[-2:])).all()):
            break
        extra = (error / size).clamp(max=1e-3) * 1e-2 + 1e-14
        step = laplacian((here > 0).to(x.dtype), rest, extra.unsqueeze(-1))
        rate = (step * rest).sum(-1)
        t = torch.ones_like(rate)
        for _ in range(40):  # halve the steps that do not help
            df, dg = (t.unsqueeze(-1) * step).split(plan.shape[-2:], -1)
            _, left, lower = dual(f + df, g + dg)
            good = (lower <= value - 1e-4 * t * rate) & (rate > 1e-12 * value.abs())
            good |= left.abs().amax(-1) < 0.5 * error
            if bool(good.all()):
                break
            t = torch.where(good, t, 0.5 * t)
        better = good | (left.abs().amax(-1) < error)
        if not bool(better.any()):
            break
        f, g = (torch.where(better.unsqueeze(-1), o + d, o) for o, d in ((f, df), (g, dg)))
        here, rest, value = dual(f, g)
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

    y, rest, value, values, u = dual(d)
    for _ in range(ROUNDS):
        error = rest.abs().amax(-1)
        if bool((error <= 1e-15 * n * n * size).all()):
            break
        step = _solve(_slopes(values, u), rest, (error / size).clamp(max=1e-2) * 1e-3)
        rate = (step * rest).sum(-1)
        t = torch.ones_like(rate)
        for _ in range(40):
            found = dual(d + t.unsqueeze(-1) * step)
            left = found[1].abs().amax(-1)
            good = (found[2] <= value - 1e-4 * t * rate) & (rate > 1e-12 * value.abs())
            good |= left < 0.5 * error
            if bool(good.all()):
                break
            t = torch.where(good, t, 0.5 * t)
        better = good | (left < error)
        if not bool(better.any()):
            break
        d = torch.where(better.unsqueeze(-1), d + t.unsqueeze(-1) * step, d)
        y, rest, value, values, u = dual(d)
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
