"""Schedules and solvers: settings with numbers of their own, all keyword-only."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

__all__ = [
    "Cosine",
    "KLSoftmax",
    "Linear",
    "Power",
    "Progressive",
    "Sinkhorn",
    "Tempered",
    "TopK",
]


@dataclass(frozen=True, kw_only=True)
class _Choice:
    def _setting(self) -> tuple[str, list[float]]:
        values = [float(getattr(self, field.name)) for field in fields(self)]
        return type(self).__name__.lower(), values


@dataclass(frozen=True, kw_only=True)
class Linear(_Choice):
    """``max(init - decay * t, target)`` at step ``t``.

    Parameters
    ----------
    init : float, default 1.0
        Value at step 0, > 0.
    target : float, default 1e-3
        Lowest value, >= 0.
    decay : float, default 0.01
        Decrease a step, >= 0.
    """

    init: float = 1.0
    target: float = 1e-3
    decay: float = 0.01


@dataclass(frozen=True, kw_only=True)
class Power(_Choice):
    """``max(init * (t + 1) ** -(0.5 + gamma), target)`` at step ``t``.

    Parameters
    ----------
    init, target : float, default 1.0 and 0.0
        First and lowest value.
    gamma : float, default 0.1
        Exponent beyond one half, >= 0.
    """

    init: float = 1.0
    target: float = 0.0
    gamma: float = 0.1


@dataclass(frozen=True, kw_only=True)
class Cosine(_Choice):
    """Half a cosine wave from ``init`` to ``target``, once or with warm restarts.

    Parameters
    ----------
    init, target : float, default 1.0 and 1e-3
        First and last value.
    decay : float, default 0.01
        Sets the period ``(init - target) / decay`` where `total_steps` is 0.
    total_steps : int, default 0
        Period.
    restart_mult : float, default 1.0
        Growth of the period at a restart, >= 1; 1 for no restart.
    """

    init: float = 1.0
    target: float = 1e-3
    decay: float = 0.01
    total_steps: int = 0
    restart_mult: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Progressive(_Choice):
    """Temperature that follows the convergence of Sinkhorn; for `epsilon` with that solver only.

    Parameters
    ----------
    init, target : float, default 1.0 and 0.01
        First and lowest value, > 0. It never exceeds 5.
    """

    init: float = 1.0
    target: float = 0.01


@dataclass(frozen=True, kw_only=True)
class Sinkhorn(_Choice):
    """Balanced entropic transport: every vertex index gets the same total weight.

    With random rotations an index has no meaning across blocks; softmax is the better default.

    Parameters
    ----------
    max_iter : int, default 2000
        Iterations of a solve, >= 1.
    tol : float, default 1e-6
        Largest absolute error of a marginal; 0 runs all iterations.
    omega : float, default 1.0
        Relaxation, in [0.5, 1.95].
    adaptive_omega : bool, default False
        Choose the relaxation from the measured rate.
    momentum : float, default 0.0
        Extrapolation of the warm start, in [0, 1).
    anderson : int, default 0
        Iterations that Anderson acceleration of the duals looks back on, 0 to 32.
    """

    max_iter: int = 2000
    tol: float = 1e-6
    omega: float = 1.0
    adaptive_omega: bool = False
    momentum: float = 0.0
    anderson: int = 0


@dataclass(frozen=True, kw_only=True)
class KLSoftmax(_Choice):
    """One-sided transport between softmax (``lam=0``) and Sinkhorn (``lam=inf``).

    Parameters
    ----------
    lam : float, default inf
        Penalty on unequal column sums, >= 0.
    """

    lam: float = math.inf

    def _setting(self) -> tuple[str, list[float]]:
        return "kl_softmax", [float(self.lam)]


@dataclass(frozen=True, kw_only=True)
class TopK(_Choice):
    """Equal weight on the `k` cheapest vertices (default 3)."""

    k: int = 3

    def _setting(self) -> tuple[str, list[float]]:
        return "top_k", [float(self.k)]


@dataclass(frozen=True, kw_only=True)
class Tempered(_Choice):
    """Softmax at its own temperature `tau` (default 1.0), whatever the step's is."""

    tau: float = 1.0
