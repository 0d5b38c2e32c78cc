"""Entropic transport."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from thalweg._extras import require
from thalweg.project._engine import checked, integer, is_tensor, number
from thalweg.project._transport import (
    Options,
    Transport,
    masses_like,
    plan_of_tensors,
    result,
    solve,
)


def sinkhorn(
    C: Any,
    a: Any = None,
    b: Any = None,
    eps: float = 0.05,
    method: str = "sinkhorn",
    *,
    tol: float = 1e-9,
    max_iter: int | None = None,
    rho: float | tuple[float, float] | None = None,
    anneal: bool | None = None,
    warm_up: int = 30,
    start: Any = None,
) -> Transport:
    """Entropic transport: min <P, C> + eps sum P (log P - 1) over P 1 = a, P^T 1 = b.

    Use `method="newton_sparse"` for small `eps` or high accuracy, "sinkhorn" otherwise.

    Parameters
    ----------
    C : array_like or Tensor, shape (..., n, m)
        Costs, float32 or float64; a batch shares `eps`.
    a, b : array_like or Tensor of shape (n,) or (..., n), and (m,) or (..., m), optional
        Masses >= 0 of rows and columns, of equal sums unless `rho` is given; 1 / n and 1 / m if
        None.
    eps : float, default 0.05
        Weight of the entropy, > 0, in units of the cost.
    method : {"sinkhorn", "newton_sparse"}, default "sinkhorn"
        Scaling sweeps alone, or Newton steps on the sparsified Hessian after `warm_up` of them.
    tol : float, default 1e-9
        Error of the marginals at which to stop, relative to the mass.
    max_iter : int, optional
        Most sweeps (10000), or Newton steps (100).
    rho : float or pair of float, optional
        Unbalanced transport: weights of KL(P 1 | a) and KL(P^T 1 | b), in place of the constraints.
    anneal : bool, optional
        Come from larger eps, halved every 12 sweeps: fewer sweeps where eps is small. None does so
        before Newton steps alone, unless `start` is given.
    warm_up : int, default 30
        Sweeps before the first Newton step.
    start : ndarray of shape (m,) or (..., m), optional
        Potentials g of an earlier solution to start from.

    Returns
    -------
    Transport
        Plan, potentials and how they were reached. The plan of tensors is differentiable in C, a
        and b by the implicit function theorem: memory does not grow with the sweeps.

    Raises
    ------
    ValueError
        If C holds NaN or infinity, shapes do not fit, a mass is negative, sums differ or eps is not
        positive.
    NotImplementedError
        If `rho` is given with `method="newton_sparse"`.

    Notes
    -----
    Scalings are absorbed into the potentials before they overflow, so eps may be small. A sweep
    reads n m numbers once; a Newton step computes the plan and solves a sparse system. Results do
    not depend on the number of threads. Gradients in a and b of balanced problems are defined up to
    a constant and returned centred.

    References
    ----------
    Cuturi 2013, arXiv:1306.0895; Schmitzer 2019, SIAM J. Sci. Comput. 41; Tang et al. 2024,
    "Accelerating Sinkhorn algorithm with sparse Newton iterations", ICLR, arXiv:2401.12253;
    Eisenberger et al. 2022, "A unified framework for implicit Sinkhorn differentiation", CVPR.

    Examples
    --------
    >>> import numpy as np
    >>> found = sinkhorn(np.array([[0.0, 1.0], [1.0, 0.0]]), eps=0.5)
    >>> bool(found.success), np.round(found.plan.sum(0), 9).tolist()
    (True, [0.5, 0.5])
    """
    C = checked(C, "C")
    if C.ndim < 2:
        raise ValueError(
            f"C must be of shape (..., n, m), got {tuple(C.shape)}; give a matrix of costs"
        )
    if method not in ("sinkhorn", "newton_sparse"):
        raise ValueError(
            f"method must be 'sinkhorn' or 'newton_sparse', got {method!r}; choose one of these"
        )
    newton = method == "newton_sparse"
    if newton and rho is not None:
        raise NotImplementedError(
            "newton_sparse with rho is not supported; use method='sinkhorn' for unbalanced masses"
        )
    if not number(tol, "tol") > 0:
        raise ValueError(f"tol must be positive, got {tol!r}; a usual value is 1e-9")
    most = integer((100 if newton else 10000) if max_iter is None else max_iter, "max_iter", 1)
    weights = (math.inf, math.inf) if rho is None else _pair(rho)
    sweeps = integer(warm_up, "warm_up", 1)
    annealed = (newton and start is None) if anneal is None else bool(anneal)
    options = Options(float(eps), newton, float(tol), most, weights, annealed, sweeps, start)
    a, b = masses_like(C, a, -2, "a"), masses_like(C, b, -1, "b")
    if is_tensor(C):
        torch = require("torch")
        if C.device.type != "cpu":
            from thalweg.project._entropic import plan_on_device

            return result(*plan_on_device(C, a, b, options), options)
        if C.dtype not in (torch.float32, torch.float64):
            cost, left, right = (t.cpu().double() for t in (C, a, b))
            plan, found = plan_of_tensors(cost, left, right, options)
            return result(plan.to(C), found, options)
        return result(*plan_of_tensors(C, a, b, options), options)
    return result(*solve(C, a, b, options), options)


def _pair(rho: Any) -> tuple[float, float]:
    pair = (rho, rho) if np.ndim(rho) == 0 else tuple(rho)
    if len(pair) != 2:
        raise ValueError(f"rho must be a number or a pair, got {rho!r}; one weight for each side")
    return float(pair[0]), float(pair[1])
