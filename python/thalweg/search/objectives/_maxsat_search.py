"""The native searches of `MaxSat`: a polytope search, and a walk that polishes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from thalweg.search._arguments import as_seed
from thalweg.search.objectives._arrays import as_assignments
from thalweg.search.objectives._run import Sweep, as_result, as_settings, check_limit

Callback = Callable[[int, int], Any]


class MaxSatSearch:
    """What `MaxSat` can do on its own; `variables`, `total_weight` and `split` are its."""

    _core: Any
    variables: Any
    total_weight: Any
    split: Any

    def polystep(
        self,
        max_steps: int | None = None,
        *,
        seconds: float | None = None,
        seed: int | np.random.Generator | None = 0,
        x0: ArrayLike | None = None,
        epsilon: Sweep = 10.0,
        step_radius: Sweep = 1.0,
        probe_radius: Sweep = float("inf"),
        forget: Sweep = (0.9, 0.05),
        momentum: Sweep = 0.0,
        sigma: float = 0.1,
        callback: Callback | None = None,
    ) -> Any:
        """Search by PolyStep, the whole loop native.

        Pairs of coordinates probe the four ends of a randomly turned cross and move to their
        cost-weighted centre. A setting that is a pair moves from its first to its second value
        over the run. With `max_steps` alone the result is the same for a seed and any number of
        threads; with `seconds` the sweeps follow the clock.

        Parameters
        ----------
        max_steps : int, optional
            Steps; each probes every pair four times.
        seconds : float, optional
            Time limit. One of the two is needed.
        seed : int or Generator or None, default 0
        x0 : array_like of bool or 0/1, shape (n,), optional
            Signs of the starting point; random by default.
        epsilon : float or pair, default 10.0
            Temperature of the softmax, in mean clause weights.
        step_radius : float or pair, default 1.0
            Longest move of a pair.
        probe_radius : float or pair, default inf
            Distance of the probes. Infinite: both values of every variable are tried.
        forget : float or pair in [0, 1), default (0.9, 0.05)
            Share of the position that a step forgets. The same as radii that grow by
            1 / (1 - forget) a step; 0 for radii that stay.
        momentum : float or pair in [0, 1), default 0.0
        sigma : float, default 0.1
            Standard deviation of the starting coordinates.
        callback : callable ``(step, best_cost) -> bool or None``, optional
            Hears of improvements, at most 50 times a second; stops the search by a true value.

        Returns
        -------
        OptimizeResult
            `x` best assignment (bool), `fun` its cost, `satisfied` share of the weight, `hard` and
            `soft` parts of the cost, `nit` steps, `nfev` probes, `flips`, `seconds`, `status`,
            `success`, `message`. Ctrl-C ends the search and returns the best so far (status 4).

        References
        ----------
        Le 2026, arXiv:2605.01928.
        """
        start = None if x0 is None else as_assignments(x0, self.variables)
        settings = as_settings(
            max_steps=max_steps,
            seconds=seconds,
            seed=seed,
            epsilon=epsilon,
            step_radius=step_radius,
            probe_radius=probe_radius,
            forget=forget,
            momentum=momentum,
            sigma=sigma,
        )
        report = self._core.polystep(settings, start, callback)
        return self._result(report, 4 * -(-self.variables // 2) * report["steps"])

    def polish(
        self,
        x0: ArrayLike,
        max_flips: int | None = None,
        *,
        seconds: float | None = None,
        seed: int | np.random.Generator | None = 0,
        exponent: float = 3.0,
        callback: Callback | None = None,
    ) -> Any:
        """Improve an assignment by flips in unsatisfied clauses that break little else.

        Not a polytope step: the walk of probSAT, on one thread.

        Parameters
        ----------
        x0 : array_like of bool or 0/1, shape (n,)
            Where to start.
        max_flips : int, optional
        seconds : float, optional
            Time limit. One of the two is needed.
        seed : int or Generator or None, default 0
        exponent : float, default 3.0
            How much a break is shunned, >= 0. The paper tunes 2.06 to satisfy every clause of
            3-SAT; where that is out of reach, more pays.
        callback : callable ``(flip, best_cost) -> bool or None``, optional

        Returns
        -------
        OptimizeResult
            As `polystep`.

        References
        ----------
        Balint & Schoening 2012, "Choosing probability distributions for stochastic local search
        and the role of make versus break", SAT 2012.
        """
        check_limit("max_flips", max_flips)
        start = as_assignments(x0, self.variables)
        report = self._core.polish(
            as_seed(seed), max_flips, seconds, float(exponent), start, callback
        )
        return self._result(report, report["flips"])

    def _result(self, report: dict[str, Any], probes: int) -> Any:
        hard, soft = self.split(report["cost"])
        satisfied = 1.0 - report["cost"] / max(self.total_weight, 1)
        return as_result(report, probes, satisfied=satisfied, hard=hard, soft=soft)
