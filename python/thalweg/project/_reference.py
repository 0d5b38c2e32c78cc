"""Every set in plain torch: what runs on other devices, and what tests hold the core against.

A form takes `x` of shape (..., n), or (..., p, q) for matrices, the numbers and the vectors of the
registry line. Autograd differentiates it: thresholds are found without a graph, and the last,
closed-form step on the active set carries the gradient. Sets whose points are found by iteration
are in `_iterated`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from thalweg.project._iterated import FORMS

Scalars = Sequence[float]
Vectors = Sequence[Any]


def _torch() -> Any:
    return sys.modules["torch"]


def _box(x: Any, _: Scalars, v: Vectors) -> Any:
    torch = _torch()
    return torch.minimum(torch.maximum(x, v[0]), v[1])


def _norm(x: Any) -> Any:
    return x.norm(dim=-1, keepdim=True)


def _l2_ball(x: Any, s: Scalars, v: Vectors) -> Any:
    torch = _torch()
    u = x - v[0]
    n = _norm(u)
    outside = n > s[0]
    return torch.where(outside, v[0] + u * (s[0] / torch.where(outside, n, 1.0)), x)


def _slab(x: Any, s: Scalars, v: Vectors) -> Any:
    a = v[0]
    height = (x * a).sum(-1, keepdim=True)
    return x - (height - height.clamp(*s)) / (a * a).sum() * a


def _affine(x: Any, _: Scalars, v: Vectors) -> Any:
    torch = _torch()
    a = v[0].reshape(len(v[1]), x.shape[-1])
    return x - (x @ a.T - v[1]) @ torch.linalg.pinv(a).T


def _simplex(x: Any, s: Scalars, _: Vectors) -> Any:
    torch = _torch()
    if s[0] == 0:
        return x * 0
    d = x - x.amax(-1, keepdim=True).detach()
    u = d.sort(-1, descending=True).values
    steps = torch.arange(1, x.shape[-1] + 1, device=x.device, dtype=x.dtype)
    taus = (u.cumsum(-1) - s[0]) / steps
    last = (u > taus).sum(-1, keepdim=True) - 1
    return (d - taus.gather(-1, last)).clamp(min=0)


def _section(x: Any, s: Scalars, v: Vectors) -> Any:
    torch = _torch()
    w, lo, hi = (part.expand(x.shape[-1]) for part in v)
    with torch.no_grad():
        # Every breakpoint, sorted; the sum falls along them.
        points = torch.cat([(x - lo) / w, (x - hi) / w], -1).sort(-1).values
        points = points.clamp(-1e300, 1e300) if x.dtype == torch.float64 else points
        low = torch.zeros_like(points[..., :1], dtype=torch.long) - 1
        high = low + 1 + points.shape[-1]
        while bool((high - low > 1).any()):
            middle = (low + high) // 2
            tau = points.gather(-1, middle.clamp(0, points.shape[-1] - 1))
            total = (w * _between(x - tau * w, lo, hi)).sum(-1, keepdim=True)
            above = (total >= s[0]) & (high - low > 1)
            low = torch.where(above, middle, low)
            high = torch.where(above | (high - low <= 1), high, middle)
        edge = points.shape[-1] - 1
        left = points.gather(-1, low.clamp(0, edge))
        right = points.gather(-1, high.clamp(0, edge))
        left = torch.where(low < 0, right - right.abs() - 1, left)
        right = torch.where(high > edge, left + left.abs() + 1, right)
        z = x - 0.5 * (left + right) * w
        free = (lo < z) & (z < hi)
        fixed = torch.where(free, 0.0, _between(z, lo, hi))
    rest = s[0] - (w * fixed).sum(-1, keepdim=True)
    square = (w * w * free).sum(-1, keepdim=True)
    tau = ((w * x * free).sum(-1, keepdim=True) - rest) / torch.where(square > 0, square, 1.0)
    return torch.where(free, x - tau * w, fixed)


def _between(x: Any, lo: Any, hi: Any) -> Any:
    torch = _torch()
    return torch.minimum(torch.maximum(x, lo), hi)


def _l1_ball(x: Any, s: Scalars, v: Vectors) -> Any:
    torch = _torch()
    w = v[0].expand(x.shape[-1])
    size = x.abs()
    outside = (size * w).sum(-1, keepdim=True) > s[0]
    if s[0] == 0:
        return torch.where(outside, x * 0, x)
    bounds = [w, x.new_zeros(1), x.new_full((1,), float("inf"))]
    return torch.where(outside, x.sign() * _section(size, s, bounds), x)


def _soc(x: Any, _: Scalars, __: Vectors) -> Any:
    torch = _torch()
    z, t = x[..., :-1], x[..., -1:]
    n = _norm(z)
    middle = (n > t) & (n > -t)
    a = 0.5 * (n + t)
    moved = torch.cat([a * z / torch.where(middle, n, 1.0), a], -1)
    return torch.where(middle, moved, torch.where(n <= t, x, 0 * x))


def _l0_ball(x: Any, s: Scalars, _: Vectors) -> Any:
    torch = _torch()
    order = x.detach().abs().sort(dim=-1, descending=True, stable=True).indices
    keep = torch.zeros_like(x, dtype=torch.bool)
    return x * keep.scatter(-1, order[..., : int(s[0])], True)


def _kl(x: Any, s: Scalars, v: Vectors) -> Any:
    torch = _torch()
    cap = v[0].expand(x.shape[-1])
    with torch.no_grad():
        capped = torch.zeros_like(x, dtype=torch.bool)
        for _ in range(x.shape[-1]):
            rest = s[0] - (cap * capped).nan_to_num().sum(-1, keepdim=True)
            log = torch.log_softmax(x.masked_fill(capped, -torch.inf), -1)
            over = ~capped & (log.exp() * rest > cap)
            if not bool(over.any()):
                break
            capped |= over
    fixed = torch.where(capped, cap, 0.0)
    rest = s[0] - fixed.sum(-1, keepdim=True)
    free = torch.softmax(x.masked_fill(capped, -torch.inf), -1).nan_to_num()
    return torch.where(capped, fixed, rest.clamp(min=0) * free)


def _fold(u: Any, d: Any) -> Any:
    torch = _torch()
    u = torch.remainder(u, 2 * d)
    return torch.where(u <= d, u, 2 * d - u)


def _reflect_box(x: Any, _: Scalars, v: Vectors) -> Any:
    torch = _torch()
    lo, hi = v
    below, above = lo.isfinite(), hi.isfinite()
    low, high = torch.where(below, lo, 0.0), torch.where(above, hi, 1.0)
    wide = torch.where(high > low, high - low, 1.0)
    both = low + torch.where(high > low, _fold(x - low, wide), 0 * x)
    left, right = low + (x - low).abs(), high - (high - x).abs()
    one = torch.where(below, left, torch.where(above, right, x))
    return torch.where((lo < x) & (x < hi), x, torch.where(below & above, both, one))


def _reflect_ball(x: Any, s: Scalars, v: Vectors) -> Any:
    torch = _torch()
    u = x - v[0]
    n = _norm(u)
    outside = n > s[0]
    image = _fold(n + s[0], x.new_tensor(2 * s[0])) - s[0]
    return torch.where(outside, v[0] + u * (image / torch.where(outside, n, 1.0)), x)


def _soft(x: Any, t: Any) -> Any:
    return x - x.clamp(-t, t) if isinstance(t, float) else x - _between(x, -t, t)


def _prox_l1(x: Any, s: Scalars, v: Vectors) -> Any:
    torch = _torch()
    lam, ridge, positive = s
    t = torch.where(v[0] == 0, 0.0, v[0] * lam)
    y = (x - t).clamp(min=0) if positive else _soft(x, t)
    return y * (1 / (1 + lam * ridge) if ridge else 1.0)


def _shrink(x: Any, lam: Any) -> Any:
    torch = _torch()
    n = _norm(x)
    kept = n > lam
    return torch.where(kept, x * (1 - lam / torch.where(kept, n, 1.0)), 0 * x)


def _prox_l2(x: Any, s: Scalars, _: Vectors) -> Any:
    return x if s[0] == 0 else _shrink(x, x.new_tensor(s[0]))


def _prox_linf(x: Any, s: Scalars, _: Vectors) -> Any:
    if s[0] == float("inf"):
        return x * 0
    return x - _l1_ball(x, s, [x.new_ones(1)])


def _prox_l0(x: Any, s: Scalars, _: Vectors) -> Any:
    return x * (x * x > 2 * s[0]) if s[0] else x * 1


def _prox_huber(x: Any, s: Scalars, _: Vectors) -> Any:
    torch = _torch()
    lam, delta = s
    return torch.where(x.abs() <= delta + lam, x / (1 + lam / delta), x - lam * x.sign())


def _prox_mcp(x: Any, s: Scalars, _: Vectors) -> Any:
    torch = _torch()
    lam, gamma = s
    return torch.where(x.abs() > gamma * lam, x, _soft(x, lam) / (1 - 1 / gamma))


def _prox_scad(x: Any, s: Scalars, _: Vectors) -> Any:
    torch = _torch()
    lam, a = s
    middle = ((a - 1) * x - x.sign() * a * lam) / (a - 2)
    y = torch.where(x.abs() <= 2 * lam, _soft(x, lam), middle)
    return torch.where(x.abs() > a * lam, x, y)


def _prox_group(x: Any, s: Scalars, v: Vectors) -> Any:
    torch = _torch()
    lam, l1 = s
    labels, weights = v[0].long(), v[1]
    z = _soft(x, l1)
    square = torch.zeros(*x.shape[:-1], len(weights), dtype=x.dtype, device=x.device)
    n = square.index_add(-1, labels, z * z)
    t = torch.where(weights == 0, 0.0, lam * weights)
    kept = n > t * t
    scale = torch.where(kept, 1 - t / torch.where(kept, n, 1.0).sqrt(), 0.0)
    scale = torch.where(t == 0, 1.0, scale)
    return z * scale.index_select(-1, labels)


def _psd(x: Any, _: Scalars, __: Vectors) -> Any:
    torch = _torch()
    values, u = torch.linalg.eigh(0.5 * (x + x.mT))
    return (u * values.clamp(min=0).unsqueeze(-2)) @ u.mT


def _singular(h: Callable[[Any, float], Any]) -> Callable[[Any, Scalars, Vectors], Any]:
    def form(x: Any, s: Scalars, _: Vectors) -> Any:
        torch = _torch()
        u, values, wt = torch.linalg.svd(x, full_matrices=False)
        return (u * h(values, s[2]).unsqueeze(-2)) @ wt

    return form


def _largest(values: Any, k: float) -> Any:
    torch = _torch()
    return values * (torch.arange(values.shape[-1], device=values.device) < k)


def _stiefel(x: Any, s: Scalars, _: Vectors) -> Any:
    torch = _torch()
    u, values, wt = torch.linalg.svd(x, full_matrices=False)
    sign = torch.ones_like(values)
    if s[2]:
        sign = sign.clone()
        sign[..., -1] = torch.linalg.det(u.detach() @ wt.detach()).sign()
    # d(U W^T) through the definition Y = X (X^T X)^(-1/2) is unstable; U W^T itself is not.
    return (u * sign.unsqueeze(-2)) @ wt


def _toeplitz(x: Any, _: Scalars, __: Vectors) -> Any:
    torch = _torch()
    p, q = x.shape[-2:]
    place = torch.arange(q, device=x.device) - torch.arange(p, device=x.device)[:, None] + p - 1
    flat = place.reshape(-1)
    total = x.new_zeros(*x.shape[:-2], p + q - 1).index_add(-1, flat, x.flatten(-2))
    count = x.new_zeros(p + q - 1).index_add(0, flat, x.new_ones(p * q))
    return (total / count).index_select(-1, flat).reshape(x.shape)


MATRIX_FORMS = frozenset(
    {"psd", "spectral_ball", "nuclear_ball", "prox_nuclear", "rank", "stiefel"}
    | {"symmetric", "skew", "toeplitz", "centered", "transport", "correlation"}
)
REFERENCE: dict[str, Callable[[Any, Scalars, Vectors], Any]] = {
    "box": _box,
    "l2_ball": _l2_ball,
    "slab": _slab,
    "affine": _affine,
    "simplex": _simplex,
    "section": _section,
    "l1_ball": _l1_ball,
    "soc": _soc,
    "l0_ball": _l0_ball,
    "kl": _kl,
    "reflect_box": _reflect_box,
    "reflect_ball": _reflect_ball,
    "prox_l1": _prox_l1,
    "prox_l2": _prox_l2,
    "prox_linf": _prox_linf,
    "prox_l0": _prox_l0,
    "prox_huber": _prox_huber,
    "prox_mcp": _prox_mcp,
    "prox_scad": _prox_scad,
    "prox_group": _prox_group,
    "psd": _psd,
    "spectral_ball": _singular(lambda s, r: s.clamp(max=r)),
    "nuclear_ball": _singular(lambda s, r: _l1_ball(s, (r,), [s.new_ones(1)])),
    "prox_nuclear": _singular(lambda s, lam: (s - lam).clamp(min=0)),
    "rank": _singular(_largest),
    "stiefel": _stiefel,
    "symmetric": lambda x, _, __: 0.5 * (x + x.mT),
    "skew": lambda x, _, __: 0.5 * (x - x.mT),
    "toeplitz": _toeplitz,
    "centered": lambda x, _, __: x - x.mean(-1, keepdim=True),
    **FORMS,
}
