"""Entropic transport in plain torch, for devices that the core does not reach.

    f = k_1 (eps log a - eps log sum_j exp((g_j - C_ij) / eps)),  k = rho / (rho + eps); g likewise
    Newton: [[diag(P 1), P], [P^T, diag(P^T 1)]] (df, dg) = eps (a - P 1, b - P^T 1)

The sweeps stay in the log domain and the Newton system is dense: plain, and good for what fits the
device. Gradients are those of the core, by the implicit function theorem.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from thalweg._extras import require
from thalweg.project._duals import laplacian
from thalweg.project._engine import once
from thalweg.project._transport import Options, as_array, check

LEVEL = 12  # sweeps at every level of eps but the last


class _Problem:
    def __init__(self, C: Any, a: Any, b: Any, options: Options) -> None:
        torch = require("torch")
        wide = torch.float32 if C.device.type == "mps" else torch.float64
        self.C, self.a, self.b = (t.detach().to(wide) for t in (C, a, b))
        self.mass = self.a.sum(-1).clamp(min=torch.finfo(wide).tiny)
        self.eps, self.options = options.eps, options
        self.balanced = all(math.isinf(rho) for rho in options.rho)

    def rows(self, g: Any, eps: float) -> Any:
        return self._update(self.a, (g.unsqueeze(-2) - self.C) / eps, -1, eps, 0)

    def columns(self, f: Any, eps: float) -> Any:
        return self._update(self.b, (f.unsqueeze(-1) - self.C) / eps, -2, eps, 1)

    def _update(self, mass: Any, scores: Any, dim: int, eps: float, side: int) -> Any:
        rho = self.options.rho[side]
        damping = 1.0 if math.isinf(rho) else rho / (rho + eps)
        return damping * eps * (mass.log() - scores.logsumexp(dim))

    def plan(self, f: Any, g: Any) -> Any:
        return ((f.unsqueeze(-1) + g.unsqueeze(-2) - self.C) / self.eps).exp()

    def rest(self, plan: Any) -> Any:
        torch = require("torch")
        return torch.cat([self.a - plan.sum(-1), self.b - plan.sum(-2)], -1)


def _sweep(p: _Problem, g: Any, eps: float, tol: float, most: int) -> tuple[Any, Any, float, int]:
    torch = require("torch")
    f, error, k = p.rows(g, eps), math.inf, 0
    for k in range(1, most + 1):
        before, g_before = f, g
        g = p.columns(f, eps)
        f = p.rows(g, eps)
        move = torch.where(p.a > 0, (before - f) / eps, 0.0)
        if p.balanced:  # the rows of the plan of (before, g) sum to a exp(move)
            left = (p.a * move.expm1().abs()).sum(-1) / p.mass
        else:
            also = torch.where(p.b > 0, (g - g_before) / eps, 0.0)
            left = torch.maximum(move.abs().amax(-1), also.abs().amax(-1))
        error = float(left.max()) if left.numel() else 0.0
        if error <= tol:
            return before if p.balanced else f, g, error, k
    return f, g, error, k


def _newton(p: _Problem, f: Any, g: Any) -> tuple[Any, Any, float, int]:
    torch = require("torch")
    options, eps = p.options, p.eps
    zero = torch.zeros((), dtype=f.dtype, device=f.device)

    def dual(f: Any, g: Any) -> tuple[Any, Any, Any]:
        plan = p.plan(f, g)
        rest = p.rest(plan)
        value = (p.a * torch.where(p.a > 0, f, zero)).sum(-1)
        value = value + (p.b * torch.where(p.b > 0, g, zero)).sum(-1) - eps * plan.sum((-2, -1))
        return plan, rest, value

    plan, rest, value = dual(f, g)
    shift, k = torch.zeros_like(value), 0
    for k in range(1, options.max_iter + 1):
        error = rest.abs().sum(-1)
        if bool((error <= options.tol * p.mass).all()):
            k -= 1
            break
        step = eps * laplacian(plan, rest, shift.unsqueeze(-1) + 1e-15)
        slope = (step * rest).sum(-1)
        t = torch.ones_like(slope)
        for _ in range(10):
            df, dg = (t.unsqueeze(-1) * step).split(plan.shape[-2:], -1)
            _, left, higher = dual(f + df, g + dg)
            after = left.abs().sum(-1)
            good = after.isfinite() & ((higher >= value + 1e-4 * t * slope) | (after < 0.5 * error))
            if bool(good.all()):
                break
            t = torch.where(good, t, 0.5 * t)
        f, g = (torch.where(good.unsqueeze(-1), o + d, o) for o, d in ((f, df), (g, dg)))
        # Levenberg's shift grows where no step helped, and five sweeps stand in for it.
        shift = torch.where(good, 0.1 * shift * (shift > 1e-10), (100 * shift).clamp(min=1e-6))
        if not bool(good.all()):
            swept = _sweep(p, g, eps, 0.0, 5)
            f, g = (torch.where(good.unsqueeze(-1), o, d) for o, d in zip((f, g), swept))
        plan, rest, value = dual(f, g)
    residual = rest.abs().sum(-1) / p.mass
    return f, g, float(residual.max()) if residual.numel() else 0.0, k


def solve(C: Any, a: Any, b: Any, options: Options) -> tuple[Any, Any]:
    """The plan on the device of C, and (f, g, residual, iterations)."""
    torch = require("torch")
    check(C, a, b, options)
    p = _Problem(C, a, b, options)
    g = torch.zeros_like(p.b)
    if options.start is not None:
        g = torch.as_tensor(as_array(options.start)).to(g).expand(g.shape)
    g = torch.where(p.b > 0, g, -math.inf)
    steps = 0
    if p.C.numel() and options.anneal:
        eps = 0.5 * float(p.C.max() - p.C.min())
        while eps > 1.5 * p.eps:
            _, g, _, count = _sweep(p, g, eps, max(options.tol, 1e-3), LEVEL)
            steps, eps = steps + count, 0.5 * eps
    sweeps = options.warm_up if options.newton else options.max_iter
    f, g, residual, count = (
        _sweep(p, g, p.eps, options.tol, sweeps)
        if p.C.numel()
        else (torch.zeros_like(p.a), g, 0.0, 0)
    )
    steps += count
    if options.newton:
        f, g, residual, steps = _newton(p, f, g) if residual > options.tol else (f, g, residual, 0)
    return p.plan(f, g).to(C.dtype), (as_array(f), as_array(g), residual, steps)


def plan_on_device(C: Any, a: Any, b: Any, options: Options) -> tuple[Any, Any]:
    found: list[Any] = []
    return _function().apply(C, a, b, options, found), found[0]


@cache
def _function() -> Any:
    torch = require("torch")

    class PlanOnDevice(torch.autograd.Function):  # type: ignore[misc, name-defined, unused-ignore]
        """An entropic plan with its implicit gradient, in torch alone."""

        @staticmethod
        def forward(ctx: Any, C: Any, a: Any, b: Any, options: Options, found: list[Any]) -> Any:
            plan, rest = solve(C, a, b, options)
            found.append(rest)
            ctx.options = options
            ctx.save_for_backward(plan, C, a, b)
            return plan

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            plan, C, a, b = ctx.saved_tensors
            p = _Problem(C, a, b, ctx.options)
            plan, v = plan.detach().to(p.C), v.detach().to(p.C)
            direct = -(plan * v) / p.eps
            sums = torch.cat([plan.sum(-1), plan.sum(-2)], -1)
            masses = torch.cat([p.a, p.b], -1)
            lift = None
            if not p.balanced:
                each = zip(ctx.options.rho, (p.a, p.b))
                lift = torch.cat([torch.full_like(m, p.eps / rho) for rho, m in each], -1)
            shifts = laplacian(plan, torch.cat([direct.sum(-1), direct.sum(-2)], -1), lift)
            alpha, beta = shifts.split(plan.shape[-2:], -1)
            cost = direct - plan * (alpha.unsqueeze(-1) + beta.unsqueeze(-2))
            used = masses > 0
            pulled = torch.where(used, -p.eps * shifts * sums / torch.where(used, masses, 1.0), 0.0)
            parts = []
            for part, mass in zip(pulled.split(plan.shape[-2:], -1), (p.a, p.b)):
                some = (mass > 0).to(part.dtype)
                mean = part.sum(-1, keepdim=True) / some.sum(-1, keepdim=True).clamp(min=1)
                parts.append(part - mean * some if p.balanced else part)
            grads = (cost.to(C), parts[0].to(a), parts[1].to(b))
            return (*(once(g, C, a, b, v) for g in grads), None, None)

    return PlanOnDevice
