"""Multipliers of constrained learning, for torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from thalweg._extras import require


class DualAscent:
    """Multipliers of constrained learning: min loss subject to l_i <= c_i.

    Use it around any training loop: back-propagate `lagrangian`, step your optimizer, call `ascend`
    with the constraints on the same or a fresh batch.

    Parameters
    ----------
    bounds : sequence of float
        Bounds c of the constraints.
    lr : float or sequence of float, default 0.1
        Step of the multipliers, > 0; one number, or one for each constraint.
    momentum : float, default 0.0
        Weight in [0, 1) of the running mean of the slacks that drives the multipliers.
    max_multiplier : float, default inf
        Cap on every multiplier.
    rho : float, default 0.0
        Weight >= 0 of the augmented term rho / 2 max(0, l - c + lam / rho)^2.
    slack_cost : float, default 0.0
        Resilience: where > 0, a constraint may be exceeded by u = lam / slack_cost.

    Attributes
    ----------
    multipliers : Tensor, shape (m,)
        Multipliers lam, float64.

    Raises
    ------
    ValueError
        If a number is outside its range.

    Notes
    -----
    lam <- max(0, lam + lr (l - c - u)). No trainer: it holds m numbers and never touches
    parameters.

    References
    ----------
    Elenter, Chamon, Ribeiro 2024, "Near-optimal solutions of constrained learning problems", ICLR,
    arXiv:2403.11844.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor(0.0, requires_grad=True)  # min (x - 2)^2 subject to x <= 1
    >>> optimizer, dual = torch.optim.SGD([x], 0.1), DualAscent([1.0], lr=0.2)
    >>> for _ in range(300):
    ...     optimizer.zero_grad()
    ...     dual.lagrangian((x - 2) ** 2, [x]).backward()
    ...     optimizer.step()
    ...     dual.ascend([x])
    >>> round(x.item(), 4), round(dual.multipliers.item(), 4)
    (1.0, 2.0)
    """

    def __init__(
        self,
        bounds: Sequence[float],
        lr: float | Sequence[float] = 0.1,
        momentum: float = 0.0,
        max_multiplier: float = math.inf,
        rho: float = 0.0,
        slack_cost: float = 0.0,
    ) -> None:
        torch = require("torch")
        self.bounds = torch.as_tensor(list(bounds), dtype=torch.float64)
        m = len(self.bounds)
        self.lr = torch.as_tensor(lr, dtype=torch.float64).expand(m).clone()
        if m == 0 or not bool(self.bounds.isfinite().all()):
            raise ValueError(f"bounds must be finite numbers, at least one, got {bounds!r}; see c")
        if not bool((self.lr > 0).all()):
            raise ValueError(f"lr must be positive, got {lr!r}; a usual value is 0.1")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {momentum!r}; 0 is none")
        for name, value in (
            ("max_multiplier", max_multiplier),
            ("rho", rho),
            ("slack_cost", slack_cost),
        ):
            if not value >= 0:
                raise ValueError(f"{name} must be >= 0, got {value!r}; see the class")
        self.momentum, self.max_multiplier = float(momentum), float(max_multiplier)
        self.rho, self.slack_cost = float(rho), float(slack_cost)
        self.multipliers = torch.zeros(m, dtype=torch.float64)
        self._mean: Any = None

    def lagrangian(self, loss: Any, constraints: Any) -> Any:
        """Return loss + lam.(l - c), or its augmented form; the multipliers are constants."""
        slack = self._slack(constraints)
        lam = self.multipliers.to(slack)
        if self.rho == 0:
            return loss + (lam * slack).sum()
        shifted = (slack + lam / self.rho).clamp(min=0)
        return loss + 0.5 * self.rho * (shifted**2 - (lam / self.rho) ** 2).sum()

    def ascend(self, constraints: Any) -> None:
        """Move the multipliers by the constraints' values; non-finite values are an error."""
        slack = self._slack(constraints).detach().cpu().double()
        if not bool(slack.isfinite().all()):
            raise ValueError("constraints holds NaN or infinity; skip this batch")
        mean = slack if self._mean is None else self._mean
        self._mean = self.momentum * mean + (1 - self.momentum) * slack
        give = self.multipliers / self.slack_cost if self.slack_cost > 0 else 0.0
        moved = self.multipliers + self.lr * (self._mean - give)
        self.multipliers = moved.clamp(0, self.max_multiplier)

    def state_dict(self) -> dict[str, Any]:
        """Return the multipliers and the running mean."""
        return {"multipliers": self.multipliers.clone(), "mean": self._mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        if state["multipliers"].shape != self.multipliers.shape:
            raise ValueError(
                f"multipliers must be {len(self.multipliers)}, got "
                f"{tuple(state['multipliers'].shape)}; load the state of the same constraints"
            )
        self.multipliers = state["multipliers"].clone()
        self._mean = state["mean"]

    def _slack(self, constraints: Any) -> Any:
        torch = require("torch")
        if not isinstance(constraints, torch.Tensor):
            constraints = torch.stack([torch.as_tensor(value) for value in constraints])
        if constraints.shape != self.bounds.shape:
            raise ValueError(
                f"constraints must be of shape {tuple(self.bounds.shape)}, got "
                f"{tuple(constraints.shape)}; give one value for each bound"
            )
        return constraints - self.bounds.to(constraints)
