"""Plain torch forms of the sets whose points are found by iteration; see `_reference`.

Monotone vectors and total variation pool neighbours, all at once in every round, and autograd
differentiates the formula on the blocks; polyhedra carry their vector-Jacobian product along.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from thalweg.project._duals import correlation, transport
from thalweg.project._engine import carried

ROUNDS = 500
Scalars = Sequence[float]
Vectors = Sequence[Any]


def _torch() -> Any:
    return sys.modules["torch"]


def _sums(x: Any, label: Any) -> Any:
    return _torch().zeros_like(x).scatter_add(-1, label, x)


def isotonic(x: Any, s: Scalars, v: Vectors) -> Any:
    """Pool every block with its neighbour where they violate the order, until none does."""
    torch = _torch()
    sign = 1.0 if s[0] else -1.0
    w = v[0].expand(x.shape[-1]).expand(x.shape).contiguous()
    start = torch.ones_like(x, dtype=torch.bool)

    def levels(x: Any) -> tuple[Any, Any]:
        label = start.long().cumsum(-1) - 1
        weight = _sums(w, label)
        mean = _sums(sign * w * x, label) / torch.where(weight > 0, weight, 1.0)
        return mean.gather(-1, label), label

    with torch.no_grad():
        while True:
            level, _ = levels(x)
            drop = start[..., 1:] & (level[..., 1:] <= level[..., :-1])
            if not bool(drop.any()):
                break
            start[..., 1:] &= ~drop
    return (sign * levels(x)[0]).clamp(s[1], s[2])


def tv1d(x: Any, s: Scalars, v: Vectors) -> Any:
    """Primal-dual active sets (Hintermueller, Ito, Kunisch 2002) on the dual of total variation.

    y = x - D^T z, |z_i| <= lam_i: where z is at a bound neighbours may differ; between such edges y
    is constant. Edges enter where z is past its bound and leave where y steps the other way.
    """
    torch = _torch()
    n = x.shape[-1]
    if n < 2:
        return _soft(x, s[0])
    size = x.detach().abs().amax(-1, keepdim=True)
    lam = v[0].expand(n - 1).expand(*x.shape[:-1], n - 1)
    lam = torch.minimum(lam, 2 * n * size + 1)
    slack = 1e-13 * n * size
    fixed = lam == 0
    side = torch.zeros_like(lam)

    def levels(x: Any) -> tuple[Any, Any]:
        open_ = (side != 0) | fixed
        start = torch.nn.functional.pad(open_, (1, 0), value=False)
        label = start.long().cumsum(-1)
        bound = torch.nn.functional.pad(side * lam, (1, 1))
        total = _sums(x + bound[..., 1:] - bound[..., :-1], label)
        count = _sums(torch.ones_like(x), label)
        y = (total / count.clamp(min=1)).gather(-1, label)
        return y, torch.where(open_, bound[..., 1:-1], (y - x).cumsum(-1)[..., :-1])

    with torch.no_grad():
        for _ in range(ROUNDS):
            y, z = levels(x)
            step = y.diff(dim=-1)
            kept = side * (side * step > -slack)
            new = torch.where(z > lam + slack, 1.0, torch.where(z < -lam - slack, -1.0, 0.0))
            new = torch.where(side != 0, kept, new) * ~fixed
            if bool((new == side).all()):
                break
            side = new
        else:
            return None
    return _soft(levels(x)[0], s[0])


def _soft(x: Any, t: float) -> Any:
    return x - x.clamp(-t, t)


def polyhedron(x: Any, _: Scalars, v: Vectors) -> Any:
    """Accelerated gradient steps on the multipliers (Beck and Teboulle 2009), finished exactly.

    The rows that bind are guessed from the multipliers, their equations solved and the conditions
    of optimality checked. None where 20000 steps were not enough.
    """
    torch = _torch()
    n = x.shape[-1]
    equations = v[2].reshape(-1, n)
    cross = torch.linalg.pinv(equations)
    flat = torch.eye(n, dtype=x.dtype, device=x.device) - cross @ equations
    z = (x.detach() - (x.detach() @ equations.T - v[3]) @ cross.T).reshape(-1, n)
    used = v[1].isfinite()
    a, b = v[0].reshape(-1, n)[used], v[1][used]
    point, a0 = z, a
    shift = (v[3] @ cross.T) if len(v[3]) else z.new_zeros(n)
    a, b = a @ flat, b - a @ shift
    length = a.norm(dim=-1)
    some = length > 1e-12 * a0.norm(dim=-1).clamp(min=1e-300)
    a, b = a[some] / length[some].unsqueeze(-1), b[some] / length[some]
    gram, rest = a @ a.T, (z - shift) @ a.T - b
    size = torch.maximum(z.norm(dim=-1), rest.abs().amax(-1) if len(b) else z.norm(dim=-1))
    size = size.clamp(min=1e-300).unsqueeze(-1)
    mu = ahead = torch.zeros_like(rest)
    rate = 1 / torch.linalg.matrix_norm(gram, 2).clamp(min=1e-300) if len(b) else 1.0
    momentum, done = 1.0, None
    for k in range(20001 if len(b) else 0):
        if k % 50 == 0:
            exact, active = _binding(gram, rest, mu)
            over = rest - exact @ gram
            if bool(((over <= 1e-12 * size) & (exact >= -1e-12 * size)).all()):
                point, done = z - exact.clamp(min=0) @ a, active
                break
        new = (ahead + rate * (rest - ahead @ gram)).clamp(min=0)
        if bool(((ahead - new) * (new - mu)).sum() > 0):
            momentum = 1.0
        following = 0.5 + (0.25 + momentum * momentum) ** 0.5
        ahead = new + (momentum - 1) / following * (new - mu)
        mu, momentum = new, following
    else:
        if len(b):
            return None
        done = torch.zeros_like(rest)
    matrix = gram * done.unsqueeze(-1) * done.unsqueeze(-2)
    inverse = torch.linalg.pinv(matrix, hermitian=True, rtol=1e-10)

    def pull(v: Any) -> Any:
        v = v.reshape(-1, n) @ flat
        along = (inverse @ ((v @ a.T) * done).unsqueeze(-1)).squeeze(-1)
        return ((v - along @ a) @ flat).reshape(x.shape)

    return carried(point.reshape(x.shape), x, pull)


def _binding(gram: Any, rest: Any, mu: Any) -> tuple[Any, Any]:
    """Multipliers that make the rows with positive ones hold with equality."""
    torch = _torch()
    for _ in range(4):
        active = (mu > 1e-9 * mu.amax(-1, keepdim=True)).to(mu.dtype)
        matrix = gram * active.unsqueeze(-1) * active.unsqueeze(-2)
        inverse = torch.linalg.pinv(matrix, hermitian=True, rtol=1e-12)
        mu = (inverse @ (rest * active).unsqueeze(-1)).squeeze(-1)
        if bool((mu >= 0).all()):
            break
    return mu, active


FORMS: dict[str, Callable[[Any, Scalars, Vectors], Any]] = {
    "isotonic": isotonic,
    "prox_tv1d": tv1d,
    "transport": transport,
    "correlation": correlation,
    "polyhedron": polyhedron,
}
