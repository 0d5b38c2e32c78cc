"""Proximal points of a cheap proxy, around few gradients of the dear objective."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from thalweg.optim.closures import Closure, Wrapper, away, gradients, norm
from thalweg.optim.composite import finite, put
from thalweg.optim.optimizer import Params
from thalweg.steps.proxy_prox import FIRST, adapt, check_proxy

State = tuple[dict[Tensor, dict[str, Any]], list[dict[str, Any]]]


class ProxyProx(Wrapper):
    """Proximal steps on a cheap proxy h, corrected by one gradient of the dear objective f each.

    Use it when gradients of f are dear (labels, simulators, private data) and a similar function is
    cheap: synthetic or public data, a smaller model, a sample of the data.

    Parameters
    ----------
    base : Optimizer, or iterable of Tensor, of (name, Tensor), or of dict
        The inner solver: any optimizer whose step needs no closure. Given parameters instead,
        adaptive gradient descent, which finds its own rate; `lr` in its groups is a factor.
    eta : float, default 1.0
        Step of the proximal term, > 0; about 1 / delta where f - h is delta-smooth. Groups may have
        their own.
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

    Notes
    -----
    With g a (stochastic) gradient of f at x, a step goes to about `argmin over y of <g - grad h(x),
    y> + h(y) + |y - x|^2 / (2 eta)`, from y = x. h = f is an inexact proximal point method, h = 0
    gradient descent with rate eta. Where f - h is delta-smooth and eta about 1 / delta, the calls
    of f are those of gradient descent on a delta-smooth function. State of `base` goes on from step
    to step; so does the rate of the default.

    A step calls the closure once, the proxy once an inner step and once more to see that it is
    done. Memory: four buffers inside a step and a copy of the state of `base`, which comes back if
    a closure raises.

    References
    ----------
    Woodworth, Mishchenko, Bach 2023, "Two losses are better than one: faster optimization using a
    cheaper proxy", ICML, arXiv:2302.03542.
    Malitsky, Mishchenko 2020, "Adaptive gradient descent without descent", ICML, arXiv:1910.09529,
    for the default inner solver.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.tensor([4.0, -4.0]))
    >>> optimizer = ProxyProx([w], eta=10.0, tol=1e-3)
    >>> for _ in range(20):
    ...     loss = optimizer.step(
    ...         lambda: (1.05 * w.square() - w).sum(),  # dear
    ...         lambda: w.square().sum(),  # cheap
    ...     )
    >>> bool((w * 2.1 - 1).abs().max() < 1e-3)
    True
    """

    def __init__(
        self,
        base: torch.optim.Optimizer | Params,
        eta: float = 1.0,
        tol: float = 0.1,
        max_inner: int = 100,
    ) -> None:
        hyper = {"eta": eta, "tol": tol, "max_inner": max_inner}
        check_proxy(hyper)
        if not isinstance(base, torch.optim.Optimizer):
            base = AdaptiveDescent(base)
        self.inner_steps = 0
        super().__init__(base, hyper)

    @override
    def _check(self, group: dict[str, Any]) -> None:
        check_proxy(group)

    @override
    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("inner_steps", 0)

    @override
    def step(self, closure: Closure | None = None, proxy: Closure | None = None) -> Any:
        """Take one step: one call of `closure`, and of `proxy` until the subproblem is solved.

        Parameters
        ----------
        closure : callable
            Returns the dear loss f where the parameters are.
        proxy : callable
            Returns the cheap loss h there, of the same minibatch at every call of one step.

        Returns
        -------
        loss : Tensor
            f before the step.

        Raises
        ------
        ValueError, TypeError
            For closures or hyperparameters that do not fit; parameters and state are then as
            before, as when a closure raises.
        """
        for group in self.param_groups:
            self._check(group)
        params = self.params()
        starts = [p.detach().clone() for p in params]
        loss, slopes = self._derivative(closure, params, "closure")
        before = self._saved()
        try:
            with away(params, [start.clone() for start in starts]):
                count = self._solve(params, starts, slopes, proxy)
                points = [p.detach().clone() for p in params]
            finite(points, "inner steps")
        except BaseException:
            self._restore(before)
            raise
        finally:
            for p in params:
                p.grad = None
            if isinstance(self.base, AdaptiveDescent):
                self.base.last = None
        put(params, points)
        self.inner_steps = count
        return loss

    def _solve(
        self,
        params: list[Tensor],
        starts: list[Tensor],
        slopes: list[Tensor | None],
        proxy: Closure | None,
    ) -> int:
        """Take the inner steps; return how many."""
        first = self.param_groups[0]
        tol, most = float(first["tol"]), int(first["max_inner"])
        etas = [float(group["eta"]) for group in self.param_groups for _ in group["params"]]
        cheap = self._derivative(proxy, params, "proxy")[1]
        # g - grad h(x); None where neither depends on the parameter.
        shifts = [_sum(g, None if h is None else -h) for g, h in zip(slopes, cheap)]
        for count in range(most):
            if count:
                cheap = self._derivative(proxy, params, "proxy")[1]
            pulls = [(p.detach() - x) / eta for p, x, eta in zip(params, starts, etas, strict=True)]
            for p, h, shift, pull in zip(params, cheap, shifts, pulls):
                total = _sum(h, shift)
                p.grad = None if total is None else total + pull
            size = norm([p.grad for p in params if p.grad is not None])
            if not math.isfinite(size):
                raise ValueError(
                    "inner steps must stay finite, got NaN or infinity; lower the rate of base"
                )
            if size <= tol * norm(pulls):
                return count
            self.base.step()
        return most

    @staticmethod
    def _derivative(
        closure: Closure | None, params: list[Tensor], name: str
    ) -> tuple[Tensor, list[Tensor | None]]:
        loss = gradients(closure, params)
        found = [p.grad for p in params]
        for p in params:
            p.grad = None
        finite(found, name)
        return loss, found

    def _saved(self) -> State:
        state = {p: copy.deepcopy(dict(entry)) for p, entry in self.base.state.items()}
        groups = [{**group} for group in self.base.param_groups]
        return state, groups

    def _restore(self, saved: State) -> None:
        state, groups = saved
        self.base.state.clear()
        self.base.state.update(state)
        for group, old in zip(self.base.param_groups, groups):
            group.clear()
            group.update(old)


class AdaptiveDescent(torch.optim.Optimizer):
    """Gradient descent whose rate comes from the curvature along the last move.

    Inside `ProxyProx` alone: the first rate is a fraction of `eta`, and the last point is forgotten
    between steps, where the function changes. The rates are in the groups, for checkpoints.
    """

    def __init__(self, params: Params) -> None:
        self.last: tuple[list[Tensor], list[Tensor | None]] | None = None
        super().__init__(params, {"lr": 1.0, "rate": None, "growth": math.inf})

    @override
    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.last = None

    @override
    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> None:  # type: ignore[override]
        """Take one step with the gradients that are there."""
        params = [p for group in self.param_groups for p in group["params"]]
        grads = [p.grad for p in params]
        lead = self.param_groups[0]
        rate, growth = lead["rate"], lead["growth"]
        if rate is None:
            rate = FIRST * min(float(group["eta"]) for group in self.param_groups)
        if self.last is not None:
            points, slopes = self.last
            move = norm([p.detach() - q for p, q in zip(params, points)])
            changes = [_sum(g, None if h is None else -h) for g, h in zip(grads, slopes)]
            rate, growth = adapt(rate, growth, move, norm([c for c in changes if c is not None]))
        self.last = ([p.detach().clone() for p in params], grads)
        for group in self.param_groups:
            group["rate"], group["growth"] = rate, growth
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(p.grad, alpha=rate * float(group["lr"]))


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b


__all__ = ["ProxyProx"]
