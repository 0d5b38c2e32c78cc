"""Gradient sliding in formulas: the parameters of a step, and the step on lists of arrays.

The arrays may be numpy's or torch's: nothing but arithmetic is asked of them.

  x centre   xbar average (the result)   L = 1 / lr, f is L-smooth   M Lipschitz constant of h
  R distance to a minimiser   mu strong convexity   V(x, u) = |x - u|^2 / 2

  x_md = (1 - gamma) xbar + gamma x,   g = grad f(x_md),   u_0 = utilde_0 = x
  u_t  = argmin <g + h'(u_{t-1}), u> + chi(u) + beta V(x, u) + w p_t V(u_{t-1}, u)
  utilde_t = (1 - theta_t) utilde_{t-1} + theta_t u_t,   p_t = t/2,  theta_t = 2 (t+1) / (t (t+3))
  x = u_T,   xbar = (1 - gamma) xbar + gamma utilde_T

With P_T = 2 / ((T+1) (T+2)) and w = beta + mu, where chi is mu-strongly convex, the inner loop
gives, for phi(u) = <g, u> + h(u) + chi(u) + beta V(x, u) and all u,

  phi(utilde) - phi(u) <= w P_T / (1-P_T) V(x, u) - w / (1-P_T) V(u_T, u) + 4 M^2 / (w (T+3)),

and smoothness of f with L gamma <= beta turns that into a recursion for Psi(xbar) - Psi*.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

SEQUENCES = ("convex", "multiphase", "restart_free")


@dataclass(frozen=True)
class Plan:
    """The scalars of one step; `beta` and `w` have an entry for each rate."""

    gamma: float
    beta: list[float]
    w: list[float]
    inner: int
    # Whether the centre moves to the average first.
    restart: bool = False


def plan(
    k: int,
    rates: Sequence[float],
    lipschitz: float,
    distance: float,
    mu: float,
    sequence: str,
    horizon: int,
) -> Plan:
    """The scalars of step k = 1, 2, ...

    Several rates are a diagonal metric: f is 1-smooth in |x|^2 = sum L_i |x_i|^2.
    """
    curvatures = [1 / rate for rate in rates]
    high, low = max(curvatures), min(curvatures)
    if sequence == "restart_free":
        # The largest gamma with mu (1 - P_T) >= gamma (L gamma + mu) for all T >= 1: then
        # Psi(xbar) - Psi* + gamma w / (1-P_T) V(x, x*) shrinks by 1 - gamma in each step, but for
        # gamma times the error, which T lets shrink by 1 - gamma / 2.
        gamma = (math.sqrt(mu * mu + 8 / 3 * high * mu) - mu) / (2 * high)
        beta = [curvature * gamma for curvature in curvatures]
        error = mu * distance**2 / 2 * (1 - gamma / 2) ** k
        inner = 4 * lipschitz**2 / ((low * gamma + mu) * error) - 3
        return Plan(gamma, beta, [b + mu for b in beta], max(1, math.ceil(inner)))
    # Lan's bound: Psi(xbar_N) - Psi* <= 2 L / (N (N+1)) (3 V(x_0, x*) + 2 D).
    total, gap = horizon, 0.75 * distance**2
    phase = 0
    if sequence == "multiphase":
        # With D = v/2 for V(x_0, x*) <= v, N phases of this length halve v.
        total = math.ceil(4 * math.sqrt(high / mu))
        phase, k = divmod(k - 1, total)
        k += 1
        gap = 0.25 * distance**2 * 0.5**phase
    beta = [2 * curvature / k for curvature in curvatures]
    inner = lipschitz**2 * total * k * k / (gap * low * high)
    return Plan(2 / (k + 1), beta, beta, max(1, math.ceil(inner)), phase > 0 and k == 1)


def outer(
    average: list[Any],
    centre: list[Any],
    gradient: Callable[[list[Any]], list[Any]],
    subgradient: Callable[[list[Any]], list[Any]],
    plan: Plan,
    prox: Callable[[int, Any, float], Any],
) -> tuple[list[Any], list[Any]]:
    """One step: the new average and the new centre.

    What has no gradient at all (None from both functions) comes back as the object that it was.
    """
    gamma = plan.gamma
    if plan.restart:
        centre = average
    smooth = gradient([(1 - gamma) * a + gamma * c for a, c in zip(average, centre)])
    u, mean = list(centre), list(centre)
    for t in range(1, plan.inner + 1):
        theta = 2 * (t + 1) / (t * (t + 3))
        rough = subgradient(u)
        for i, (g, s) in enumerate(zip(smooth, rough)):
            if g is None and s is None and u[i] is centre[i]:
                continue
            beta, pull = plan.beta[i], plan.w[i] * t / 2
            scale = 1 / (beta + pull)
            point = (beta * scale) * centre[i] + (pull * scale) * u[i]
            for slope in (g, s):
                if slope is not None:
                    point = point - scale * slope
            u[i] = prox(i, point, scale)
            mean[i] = (1 - theta) * mean[i] + theta * u[i]
    averages = [
        a if v is c else (1 - gamma) * a + gamma * m for a, c, v, m in zip(average, centre, u, mean)
    ]
    return averages, u


__all__ = ["SEQUENCES", "Plan", "outer", "plan"]
