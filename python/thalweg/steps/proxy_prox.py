"""Proximal points of a cheap proxy on numpy arrays, around few gradients of the dear objective."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from thalweg.steps.method import Array, Gradient, Method, at, number, parameters
from thalweg.steps.rule import Rule

# The first rate of the adaptive method, in units of eta; the second one is already measured.
FIRST = 1e-3


def adapt(rate: float, growth: float, move: float, change: float) -> tuple[float, float]:
    """The next rate of adaptive gradient descent, and by what it grew.

    Malitsky, Mishchenko 2020, "Adaptive gradient descent without descent", ICML: at most
    sqrt(1 + growth) times the last one, and at most 1 / (2 L) for L measured along the last move.
    """
    limit = math.sqrt(1 + growth) * rate
    new = min(limit, move / (2 * change)) if change > 0 else limit
    if not (0 < new < math.inf):
        return rate, 1.0
    return new, new / rate


def check_proxy(hyper: dict[str, Any]) -> None:
    """Raise for hyperparameters of ProxyProx outside their range."""
    number("eta", hyper["eta"], 0.0, True, "a usual value is 1 / delta, f - h being delta-smooth")
    number("tol", hyper["tol"], 0.0, False, "a usual value is 0.1")
    most = hyper["max_inner"]
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise ValueError(f"max_inner must be an int >= 1, got {most!r}; a usual value is 100")


class ProxyProx(Method):
    """Proximal steps on a cheap proxy h, corrected by one gradient of the dear objective f each.

    Use it when gradients of f are dear and a similar function is cheap; `thalweg.optim` has the
    same for torch, and says more.

    Parameters
    ----------
    eta : float, default 1.0
        Step of the proximal term, > 0; about 1 / delta where f - h is delta-smooth.
    inner : Rule, optional
        What solves the subproblem, for instance ``thalweg.steps.Adam(lr=0.01)``; by default
        adaptive gradient descent, which has no rate to choose.
    tol : float, default 0.1
        The inner steps end where the gradient of the subproblem is at most ``tol |y - x| / eta``.
    max_inner : int, default 100
        Most inner steps, >= 1.

    Attributes
    ----------
    inner_steps : int
        Inner steps of the last step.

    Raises
    ------
    ValueError, TypeError
        If a hyperparameter is outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> x = [np.array([4.0, -4.0])]
    >>> method = ProxyProx(eta=10.0, tol=1e-3)
    >>> for _ in range(20):
    ...     method.step(x, lambda x: [2.1 * x[0] - 1.0], lambda x: [2.0 * x[0]])
    >>> np.round(x[0] * 2.1, 3).tolist()
    [1.0, 1.0]
    """

    hyper = ("eta", "tol", "max_inner")

    def __init__(
        self, eta: float = 1.0, inner: Rule | None = None, tol: float = 0.1, max_inner: int = 100
    ) -> None:
        if inner is not None and not isinstance(inner, Rule):
            raise TypeError(
                f"inner must be a rule of thalweg.steps, got {type(inner).__name__}; try "
                "thalweg.steps.Adam(lr=0.01)"
            )
        self.eta, self.inner, self.tol, self.max_inner = eta, inner, tol, max_inner
        self.inner_steps = 0
        super().__init__()

    def _check(self) -> None:
        check_proxy({name: getattr(self, name) for name in self.hyper})

    def state_dict(self) -> dict[str, Any]:
        """Return copies of hyperparameters and state, those of `inner` among them."""
        inner = None if self.inner is None else self.inner.state_dict()
        return {**super().state_dict(), "inner": inner}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned, possibly of another object.

        Raises
        ------
        ValueError
            If it belongs to another method or has another inner rule; nothing is then loaded.
        """
        inner = state_dict.get("inner")
        if (inner is None) != (self.inner is None):
            raise ValueError(
                "state_dict must be of a ProxyProx with the same inner rule, got one "
                f"{'without' if inner is None else 'with'} it; build this object like that one"
            )
        old = None if self.inner is None else self.inner.state_dict()
        if self.inner is not None and inner is not None:
            self.inner.load_state_dict(inner)
        try:
            super().load_state_dict(state_dict)
        except Exception:
            if self.inner is not None and old is not None:
                self.inner.load_state_dict(old)
            raise

    def step(self, params: Sequence[Array], gradient: Gradient, proxy: Gradient) -> None:
        """Take one step: one call of `gradient`, and of `proxy` until the subproblem is solved.

        Parameters
        ----------
        params : list of ndarray
            float32 or float64, of any shape, and the same list at every step. Changed in place.
        gradient, proxy : callable
            From a list like `params` to the gradients of f and h; None for a parameter on which a
            function does not depend. What depends on neither stays as it is.

        Raises
        ------
        ValueError, TypeError
            For arguments or returned arrays that do not fit, NaN and infinity among them;
            parameters and state are then as before, as when a function raises.
        """
        self._check()
        arrays = parameters(params)
        state, inner = deepcopy(self.state), deepcopy(self.inner)
        points, count = self._solve(
            arrays, at(gradient, "gradient", arrays), at(proxy, "proxy", arrays), state, inner
        )
        for p, point in zip(arrays, points):
            p[...] = point
        self.inner_steps, self.state = count, state
        if self.inner is not None and inner is not None:
            self.inner.state, self.inner._shapes = inner.state, inner._shapes

    def _solve(
        self, arrays: list[Array], gradient: Any, proxy: Any, state: dict[str, Any], inner: Any
    ) -> tuple[list[Array], int]:
        eta = float(self.eta)
        start = [p.copy() for p in arrays]
        slopes, base = gradient(start), proxy(start)
        shift = [
            None if g is None and h is None else _value(g, p) - _value(h, p)
            for g, h, p in zip(slopes, base, start)
        ]
        points = [p.copy() for p in start]
        last: tuple[list[Array], list[Any]] | None = None
        for count in range(self.max_inner):
            cheap = base if count == 0 else proxy(points)
            total = [
                None if d is None and h is None else _value(h, y) + _value(d, y) + (y - x) / eta
                for h, d, y, x in zip(cheap, shift, points, start)
            ]
            size = _norm(total)
            apart = _norm([(y - x) / eta for y, x in zip(points, start)])
            if not math.isfinite(size):
                raise ValueError(
                    "inner steps must stay finite, got NaN or infinity; lower the inner rate"
                )
            if size <= float(self.tol) * apart:
                return points, count
            if inner is not None:
                inner.step(points, total)
                continue
            rate, growth = state.get("rate", FIRST * eta), state.get("growth", math.inf)
            if last is not None:
                move = _norm([y - z for y, z in zip(points, last[0])])
                change = _norm(
                    [_value(g, y) - _value(h, y) for g, h, y in zip(total, last[1], points)]
                )
                rate, growth = adapt(rate, growth, move, change)
            state["rate"], state["growth"] = rate, growth
            last = (points, total)
            points = [y if g is None else y - rate * g for y, g in zip(points, total)]
        if not all(np.isfinite(y).all() for y in points):
            raise ValueError(
                "inner steps must stay finite, got NaN or infinity; lower the inner rate"
            )
        return points, self.max_inner


def _value(g: Array | None, like: Array) -> Array:
    return np.zeros_like(like) if g is None else g


def _norm(arrays: Sequence[Array | None]) -> float:
    return math.sqrt(
        sum(float(np.sum(np.square(a, dtype=np.float64))) for a in arrays if a is not None)
    )


__all__ = ["FIRST", "ProxyProx", "adapt", "check_proxy"]
