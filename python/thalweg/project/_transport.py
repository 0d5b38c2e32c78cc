"""What transport methods share: results, masses, batches, and the native calls with gradients."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from thalweg import _core
from thalweg._extras import require
from thalweg.project._engine import ConvergenceWarning, Floats, is_tensor, once


@dataclass(frozen=True)
class Transport:
    """A plan and how it was found.

    Attributes
    ----------
    plan : ndarray or Tensor, shape (..., n, m)
        The coupling P; differentiable for tensors.
    f, g : ndarray of shape (..., n) and (..., m)
        Potentials, float64: P = exp((f_i + g_j - C_ij) / eps). -inf (entropic) or 0 (exact) where
        there is no mass.
    residual : float
        Largest error of the marginals over the batch (sum of absolute values, relative to the
        mass); for unbalanced problems the largest change of a potential in the last sweep.
    n_iter : int
        Most sweeps, or Newton steps, over the batch.
    success : bool
        Whether `residual` is at most `tol`.
    message : str
        How it ended, in words.
    """

    plan: Any
    f: Floats
    g: Floats
    residual: float
    n_iter: int
    success: bool
    message: str


@dataclass(frozen=True)
class Options:
    eps: float
    newton: bool
    tol: float
    max_iter: int
    rho: tuple[float, float]
    anneal: bool
    warm_up: int
    start: Any


def as_array(x: Any) -> Floats:
    if is_tensor(x):
        x = x.detach().cpu().double().numpy()
    return np.ascontiguousarray(x, dtype=np.float64)


def masses_like(C: Any, mass: Any, side: int, name: str) -> Any:
    """Masses of the kind and batch of C."""
    n = C.shape[side]
    shape = (*C.shape[:-2], n)
    if mass is None:
        value = 1.0 / max(n, 1)
        return C.new_full(shape, value) if is_tensor(C) else np.full(shape, value)
    given = tuple(np.shape(mass))
    if not given or given[-1] != n or (len(given) > 1 and given != shape):
        raise ValueError(
            f"{name} of shape {given} does not match C of shape {tuple(C.shape)}; "
            "give one mass for each row (a) or column (b)"
        )
    if is_tensor(C):
        return require("torch").as_tensor(mass).to(C).expand(shape)
    return np.broadcast_to(as_array(mass), shape)


def check(C: Any, a: Any, b: Any, options: Options) -> None:
    """What the core checks, for tensors that stay on their device."""
    balanced = all(math.isinf(rho) for rho in options.rho)
    for name, mass in (("a", a), ("b", b)):
        bad = mass[~((mass >= 0) & mass.isfinite())]
        if bad.numel():
            raise ValueError(
                f"{name} must be finite and >= 0, got {float(bad[0]):g}; a mass is not negative"
            )
    if not 0 < options.eps < math.inf:
        raise ValueError(f"eps must be positive, got {options.eps:g}; try 0.05 of the median cost")
    for rho in options.rho:
        if not rho > 0:
            raise ValueError(f"rho must be positive, got {rho:g}; None asks for exact marginals")
    if not bool(C.isfinite().all()):
        raise ValueError("C holds NaN or infinity; replace such costs by large ones")
    left, right = a.double().sum(-1).flatten(), b.double().sum(-1).flatten()
    apart = (left - right).abs() > 1e-6 * left.maximum(right)
    if balanced and bool(apart.any()):
        k = int(apart.nonzero()[0])
        raise ValueError(
            f"b must be of sum {float(left[k]):g}, the sum of a, got {float(right[k]):g}; "
            "scale it, or give rho"
        )


def solve(C: Any, a: Any, b: Any, options: Options) -> tuple[Any, Any]:
    """The plan in the dtype of C, and (f, g, residual, iterations)."""
    cost, left, right = (as_array(t) for t in (C, a, b))
    batch, (n, m) = cost.shape[:-2], cost.shape[-2:]
    cost, left, right = cost.reshape(-1, n, m), left.reshape(-1, n), right.reshape(-1, m)
    start = options.start
    if start is not None:
        start = np.broadcast_to(as_array(start), (*batch, m)).reshape(-1, m)
    # Rows and columns without mass take no part; a batch that shares them is solved at once.
    plan = np.zeros_like(cost)
    f, g = np.full(left.shape, -math.inf), np.full(right.shape, -math.inf)
    residual, steps = 0.0, 0
    for k in _alike(left, right):
        rows, columns = np.flatnonzero(left[k[0]]), np.flatnonzero(right[k[0]])
        pick = np.ix_(k, rows, columns)
        part = np.ascontiguousarray(cost[pick])
        aa, bb = np.ascontiguousarray(left[np.ix_(k, rows)]), right[np.ix_(k, columns)]
        ff, gg, pp = np.empty_like(aa), np.empty_like(bb), np.empty_like(part)
        if start is None:
            begin = None
        else:
            begin = np.nan_to_num(start[np.ix_(k, columns)], neginf=0.0)
        errors, counts = _core.project_sinkhorn(
            part,
            aa,
            np.ascontiguousarray(bb),
            options.eps,
            options.rho,
            (options.tol, options.max_iter, options.anneal, options.warm_up),
            options.newton,
            begin,
            ff,
            gg,
            pp,
        )
        plan[pick], f[np.ix_(k, rows)], g[np.ix_(k, columns)] = pp, ff, gg
        residual, steps = max(residual, *errors), max(steps, *counts)
    dtype = C.dtype if isinstance(C, np.ndarray) else np.float64
    found = (f.reshape(*batch, n), g.reshape(*batch, m), residual, steps)
    return plan.reshape(*batch, n, m).astype(dtype, copy=False), found


def _alike(left: Floats, right: Floats) -> list[Any]:
    """Indices of problems with the same empty rows and columns."""
    groups: dict[bytes, list[int]] = {}
    for k in range(len(left)):
        key = (left[k] == 0).tobytes() + (right[k] == 0).tobytes()
        groups.setdefault(key, []).append(k)
    return list(groups.values())


def result(plan: Any, found: Any, options: Options) -> Transport:
    f, g, residual, steps = found
    success = bool(residual <= options.tol)
    what = "Newton steps" if options.newton else "sweeps"
    message = f"residual {residual:.1e} after {steps} {what}"
    if not success:
        message = (
            f"residual {residual:.1e} > tol {options.tol:.1e} after {steps} {what}; "
            "raise max_iter, eps or tol, or try method='newton_sparse'"
        )
        warnings.warn(message, ConvergenceWarning, stacklevel=3)
    return Transport(plan, f, g, float(residual), int(steps), success, message)


def plan_of_tensors(C: Any, a: Any, b: Any, options: Options) -> tuple[Any, Any]:
    found: list[Any] = []
    plan = _function().apply(C, a, b, options, found)
    return plan, found[0]


@cache
def _function() -> Any:
    torch = require("torch")

    class Plan(torch.autograd.Function):  # type: ignore[misc, name-defined, unused-ignore]
        """An entropic plan with its implicit gradient."""

        @staticmethod
        def forward(ctx: Any, C: Any, a: Any, b: Any, options: Options, found: list[Any]) -> Any:
            cost, left, right = C.detach().numpy(), a.detach().numpy(), b.detach().numpy()
            plan, rest = solve(cost, left, right, options)
            found.append(rest)
            plan = torch.from_numpy(plan)
            ctx.options = options
            ctx.save_for_backward(plan, a, b, C)
            return plan

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            plan, a, b, C = ctx.saved_tensors
            plan, left, right, cotangent = (t.detach().numpy() for t in (plan, a, b, v))
            grads = _pull(plan, left, right, cotangent, ctx.options)
            dC, da, db = (once(torch.from_numpy(g).to(C), C, a, b, v) for g in grads)
            return dC, da, db, None, None

    return Plan


def _pull(plan: Any, a: Any, b: Any, v: Any, options: Options) -> tuple[Floats, Floats, Floats]:
    plan, a, b, v = (as_array(t) for t in (plan, a, b, v))
    batch, (n, m) = plan.shape[:-2], plan.shape[-2:]
    plan, v = plan.reshape(-1, n, m), v.reshape(-1, n, m)
    a, b = a.reshape(-1, n), b.reshape(-1, m)
    dC, da, db = np.zeros_like(plan), np.zeros_like(a), np.zeros_like(b)
    for k in _alike(a, b):
        rows, columns = np.flatnonzero(a[k[0]]), np.flatnonzero(b[k[0]])
        pick, left, right = np.ix_(k, rows, columns), np.ix_(k, rows), np.ix_(k, columns)
        part, masses = np.ascontiguousarray(plan[pick]), (a[left], b[right])
        outs = np.empty_like(part), np.empty(masses[0].shape), np.empty(masses[1].shape)
        sides = [np.ascontiguousarray(mass) for mass in masses]
        cotangent = np.ascontiguousarray(v[pick])
        _core.project_sinkhorn_pull(
            sides[0], sides[1], options.eps, options.rho, part, cotangent, outs[0], outs[1], outs[2]
        )
        dC[pick], da[left], db[right] = outs
    return dC.reshape(*batch, n, m), da.reshape(*batch, n), db.reshape(*batch, m)
