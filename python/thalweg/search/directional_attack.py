"""Directional attacks with covering direct search, for a cost behind a trained network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalweg._extras import require
from thalweg.search._arguments import as_choice, as_costs
from thalweg.search._around import Around
from thalweg.search._evaluating import evaluating
from thalweg.search.minimize import _REASONS, _Run

torch = require("torch")

from thalweg.search._attack import (  # noqa: E402
    RULES,
    as_input,
    as_module,
    attack,
    costs,
    output_gradient,
)

__all__ = ["DirectionalAttack"]

Array = NDArray[np.float64]
# Relative gain that makes an attack enough; factors of its radius; as published.
_ENOUGH, _GOOD, _SMALL, _BAD = 1e-3, 1.3, 1.1, 1 / 1.3


class DirectionalAttack(Around):
    """Minimize ``loss(network(x))`` by attacks on the network and covering direct search.

    Use it for a trained network as a surrogate of a process, with constraints that have no
    gradient: attacks descend fast, direct search goes on where they are stuck.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start.
    network : torch.nn.Module
        Maps (n, d) to outputs (n, ...). Its weights, gradients and training flags stay as they
        are; it is evaluated in evaluation mode.
    loss : callable
        Outputs (n, ...) to costs (n,), differentiable; lower is better.
    feasible : callable, optional
        ``feasible(x, outputs) -> (n,)`` of bool for tensors: where False the cost is infinite.
    mask : array_like of bool, of the shape of one output, optional
        Outputs that the attack steers; leave out those that only constrain. Default all.
    rule : {"fgsm", "pgd"}, default "fgsm"
        The attack, see `thalweg.search.attack`.
    attack_radius : float, optional
        First radius of an attack; default `radius`, within the limits.
    attack_radius_min, attack_radius_max : float, default 1e-5, 1.0
        Its limits, > 0.
    radius, radius_min, radius_max, poll, batch, bounds, boundary, seed
        As in `CoveringDirectSearch`, with polls of d + 1 points by default. An attack that leaves
        the box is clipped to it.

    Attributes
    ----------
    x, best, population, step, evaluations, nonfinite
        As in `CoveringDirectSearch`.
    radius, attack_radius : float
        Radii of the next poll and the next attack.
    phase : str
        What is asked next: "start", "attack", "covering", "search" or "poll".

    Raises
    ------
    ValueError, TypeError
        For settings out of range, before anything happens; in `ask`, for a network or loss without
        gradients.

    Notes
    -----
    An iteration asks for ``x + delta``, delta an attack along minus the gradient of the loss at the
    outputs, ``|delta| <= attack_radius``. A relative gain of 1e-3 ends it: the attack radius grows
    by 1.3, and a radius at its floor doubles. A smaller gain grows it by 1.1, none divides it by
    1.3, and covering, search and poll follow. Here a search doubles the radius too, and at its
    floor search and poll rest. The end is where both radii are at their floors.

    Without attacks `CoveringDirectSearch` minimizes ``evaluate``; an attack costs one forward and
    one backward pass more, and one evaluation.

    References
    ----------
    Bouchet, Vidal 2025, "Optimization by Directional Attacks: Solving Problems with Neural Network
    Surrogates", arXiv:2510.01461.

    Examples
    --------
    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> network = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    >>> search = DirectionalAttack(
    ...     [0.0] * 4, network=network, loss=lambda y: y[:, 0], bounds=[(-1, 1)] * 4, seed=0,
    ...     feasible=lambda x, y: x.sum(dim=1) <= 1.0,
    ... )
    >>> result = search.run(300)
    >>> bool(result.fun < search.evaluate([[0.0] * 4])[0] - 0.3)
    True
    >>> float(result.x.sum()) <= 1.0
    True
    """

    method: ClassVar[str] = "covering_direct_search"

    def __init__(
        self,
        x0: ArrayLike,
        *,
        network: Any,
        loss: Callable[[Any], Any],
        feasible: Callable[[Any, Any], Any] | None = None,
        mask: ArrayLike | None = None,
        rule: str = "fgsm",
        attack_radius: float | None = None,
        attack_radius_min: float = 1e-5,
        attack_radius_max: float = 1.0,
        radius: float = 1.0,
        radius_min: float = 1e-5,
        radius_max: float | None = None,
        poll: str = "n+1",
        batch: int | None = 1,
        bounds: Any = None,
        boundary: str = "reflect",
        seed: int | np.random.Generator | None = None,
    ) -> None:
        as_module(network)
        as_choice("rule", rule, RULES)
        for name, function in (("loss", loss), ("feasible", feasible)):
            if not callable(function) and (name == "loss" or function is not None):
                raise TypeError(f"{name} must be callable, got {function!r}; pass a function")
        settings = {
            "radius": radius, "radius_min": radius_min, "radius_max": radius_max, "poll": poll,
            "batch": batch, "whole": batch is None, "hybrid": True,
        }  # fmt: skip
        super().__init__(x0, settings, bounds, boundary, seed)
        self.network, self.loss, self.feasible, self.rule = network, loss, feasible, rule
        self._mask = None if mask is None else torch.as_tensor(np.asarray(mask, dtype=bool))
        self._least = radius_min
        self._limits = _limits(attack_radius_min, attack_radius_max)
        if attack_radius is None:
            attack_radius = min(max(radius, self._limits[0]), self._limits[1])
        elif not self._limits[0] <= attack_radius <= self._limits[1]:
            raise ValueError(
                f"attack_radius must be in [attack_radius_min, attack_radius_max] = "
                f"{list(self._limits)}, got {attack_radius}; move one of the three"
            )
        self.attack_radius = float(attack_radius)
        self._due = False
        self._trial: Array | None = None

    def evaluate(self, points: ArrayLike) -> Array:
        """Costs of points, infinite where they are not feasible.

        Parameters
        ----------
        points : array_like, shape (n, d)

        Returns
        -------
        ndarray, shape (n,)
        """
        return costs(self.network, self.loss, self.feasible, np.asarray(points, dtype=float))

    def ask(self) -> Array:
        """Open a step: one attack, or up to `batch` points of direct search, shape (n, d)."""
        if self._trial is not None:
            raise ValueError(
                "ask must be called once before tell, got a second call; "
                "tell the costs of the last candidates first"
            )
        if not self._due:
            return super().ask()
        self._trial = self._attacked()
        return self._trial[None].copy()

    def _attacked(self) -> Array:
        x = as_input(self.network, self.x)
        with evaluating(self.network), torch.no_grad():
            output = self.network(x[None])[0]
        direction = -output_gradient(self.loss, output)
        if self._mask is not None:
            if self._mask.shape != direction.shape:
                raise ValueError(
                    f"mask of shape {tuple(self._mask.shape)} does not match an output of shape "
                    f"{tuple(direction.shape)}; pass one truth value for each output"
                )
            direction = torch.where(self._mask.to(direction.device), direction, 0.0)
        delta = attack(self.network, x, direction, self.attack_radius, rule=self.rule)
        point = self.x + np.asarray(delta.cpu().numpy(), dtype=float)
        return point if self._box is None else np.asarray(np.clip(point, *self._box))

    def tell(self, costs: ArrayLike) -> None:
        """Move by the costs of the candidates, in their order, as in `CoveringDirectSearch`."""
        if self._trial is None:
            super().tell(costs)
            # A new iteration begins where covering is next.
            self._due = self._core.phase() == "covering"
            return
        told = as_costs(costs)
        if told.shape != (1,):
            raise ValueError(
                f"costs of shape {told.shape} does not match the candidates of shape (1,); "
                "return one cost for each candidate"
            )
        old, new = self.best.cost, float(told[0])
        enough = new <= old - _ENOUGH * (abs(old) + 1e-10) if old < np.inf else new < np.inf
        self._due = bool(enough and new > -np.inf)
        moved = self._core.place(self._trial, new, self._due)
        factor = _GOOD if self._due else _SMALL if moved else _BAD
        self.attack_radius = min(max(self.attack_radius * factor, self._limits[0]), self._limits[1])
        self._trial = None

    def run(
        self, maxfev: int | None = None, *, maxiter: int | None = None, tol: float = 0.0
    ) -> Any:
        """Ask, `evaluate` and tell until both radii are at their floors or a budget is spent.

        Parameters
        ----------
        maxfev, maxiter : int, optional
            Budgets of evaluations and of steps, of this call; default none.
        tol : float, default 0.0
            Both radii below it end the search too.

        Returns
        -------
        OptimizeResult
            As `thalweg.search.minimize`; Ctrl-C returns the best so far. In every case the search
            stands between two steps, and may go on.
        """
        run = _Run(self, maxfev, maxiter, tol, None)
        run.x, run.fun = self.best
        before = self.state_dict()
        try:
            while run.status is None and not run.exhausted(self.population):
                before = self.state_dict()
                points = self.ask()
                values = self.evaluate(points)
                run.note(points, values)
                self.tell(values)
                run.stop_rules()
        except BaseException as error:
            self.load_state_dict(before)
            if not isinstance(error, KeyboardInterrupt):
                raise
            run.status, run.message = 4, _REASONS[4]
        return run.result()

    @property
    def population(self) -> int:
        """Candidates of the next step, or of the one that is open."""
        return 1 if self._due else super().population

    @property
    def radius(self) -> float:
        """Radius of the poll."""
        return self._core.reach()

    @property
    def phase(self) -> str:
        """What is asked next, or in the open step."""
        return "attack" if self._due else self._core.phase()

    def converged(self, tol: float) -> str | None:
        """Says so when both radii are at their floors, or below `tol`."""
        if self.radius <= self._least and self.attack_radius <= self._limits[0]:
            return f"radii at their floors, {self._least:.1e} and {self._limits[0]:.1e}"
        longest = max(self.radius, self.attack_radius)
        return f"radii {longest:.1e} < tol {tol:.1e}" if longest < tol else None

    def state_dict(self) -> dict[str, Any]:
        """Everything but the network that a resumed run needs; it goes on bit for bit."""
        trial = np.zeros(0) if self._trial is None else self._trial
        state = np.array([self.attack_radius, self._due])
        return {**super().state_dict(), "attack": state, "trial": trial}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the state of a search with the same settings.

        Raises
        ------
        ValueError
            If the state does not fit; nothing has changed then.
        """
        radius, trial = (np.asarray(state.get(name, [])) for name in ("attack", "trial"))
        if radius.shape != (2,) or trial.shape not in ((0,), (self._dim,)):
            raise ValueError(
                "state must be one of a search with the same settings, got one without its attack; "
                "build the search as before and load again"
            )
        super().load_state_dict(state)
        self.attack_radius, self._due = float(radius[0]), bool(radius[1])
        self._trial = trial.copy() if trial.size else None


def _limits(least: float, most: float) -> tuple[float, float]:
    if not 0 < least <= most < np.inf:
        raise ValueError(
            f"attack_radius_min must be in (0, attack_radius_max], got {least} and {most}; "
            "swap them"
        )
    return float(least), float(most)
