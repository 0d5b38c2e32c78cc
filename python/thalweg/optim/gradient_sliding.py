"""Gradient sliding: few gradients of the smooth part of a sum, many of the rough one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from typing_extensions import override

from thalweg.optim.closures import Closure
from thalweg.optim.composite import Composite, Prox, put, slopes
from thalweg.optim.optimizer import Params
from thalweg.steps.gradient_sliding import check_sliding
from thalweg.steps.sliding import outer, plan

_COMMON = ("lipschitz", "distance", "mu", "sequence", "horizon")


class GradientSliding(Composite):
    """Gradient sliding: minimize f + h + chi with few gradients of the smooth f.

    Use it when a gradient of f is dear (a simulator, all data, other machines) and a subgradient of
    h is cheap, such as a rough regulariser or a loss on little data.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`. They hold the average, the point with the guarantee.
    lr : float
        1 / L for L-smooth f, > 0. Groups with rates of their own are a diagonal metric.
    lipschitz : float
        Bound M of the norm of the subgradients of h, >= 0; sqrt(M^2 + sigma^2) for stochastic ones
        with variance sigma^2.
    distance : float
        Bound R of the distance from the start to a minimiser, > 0.
    mu : float, default 0.0
        Strong convexity, >= 0; see `sequence`.
    sequence : {"convex", "multiphase", "restart_free"}, default "convex"
        Which parameters: for convex f; phases that restart, where f + h + chi is mu-strongly
        convex; without restarts, where chi is (experimental, see Notes).
    horizon : int, default 100
        Steps that are planned with "convex", >= 1.
    prox : callable or mapping from parameters to callables, optional
        ``prox(v, step)``, argmin over u of chi(u) + |u - v|^2 / (2 step), for instance
        ``lambda v, step: thalweg.project.prox.l1(v, 0.1 * step)``.

    Attributes
    ----------
    gradient_calls, subgradient_calls : int
        Calls of the two closures so far; checkpoints hold them.

    Raises
    ------
    ValueError, TypeError
        If a hyperparameter is outside its range.

    Notes
    -----
    With x the centre and xbar the average, a step takes `g = grad f` at `(1-gamma) xbar + gamma x`
    and then T times `u_t = argmin <g + h'(u_{t-1}), u> + chi(u) + beta V(x, u) + w p_t V(u_{t-1},
    u)` from `u_0 = x`, with `V(x, u) = |x-u|^2/2`, `p_t = t/2`, `w = beta + mu` ("restart_free") or
    beta; then `x = u_T` and `xbar` moves by gamma to the average of the u_t with `theta_t = 2 (t+1)
    / (t (t+3))`.

    "convex" (Lan): `beta = 2 L / k`, `gamma = 2 / (k+1)`, `T = ceil(M^2 N k^2 / (D L^2))` with
    `D = 3 R^2 / 4`; after N steps the objective is within `6 L R^2 / (N (N+1))` of its least
    value. "multiphase": phases of `ceil(4 sqrt(L / mu))` such steps, with D halved in each; each
    halves the bound of the squared distance. "restart_free": constant `gamma`, the positive root of
    `L gamma^2 + mu gamma = 2 mu / 3`, `beta = L gamma`, and T growing by `1 / (1 - gamma/2)`; the
    error shrinks by `1 - gamma/2` in each step. Both take O(sqrt(L / mu) log(1 / eps)) gradients of
    f and O(M^2 / (mu eps)) of h.

    The restart-free sequence has the complexity that Wu, Xu and Zhang claim for theirs; its
    constants are derived in this package and may differ from theirs, hence "experimental".
    Memory: two buffers, four inside a step.

    References
    ----------
    Lan 2016, "Gradient sliding for composite optimization", Math. Program. 159, arXiv:1406.0919.
    Wu, Xu, Zhang 2026, "Restart-free (accelerated) gradient sliding methods for strongly convex
    composite optimization", arXiv:2602.04161.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.tensor([4.0, -4.0]))
    >>> optimizer = GradientSliding(
    ...     [w], lr=1.0, lipschitz=1.5, distance=6.0, mu=1.0, sequence="multiphase"
    ... )
    >>> for _ in range(30):
    ...     loss = optimizer.step(lambda: (w - 2).square().sum() / 2, lambda: w.abs().sum())
    >>> bool((w - 1).abs().max() < 0.1)
    True
    """

    def __init__(
        self,
        params: Params,
        lr: float,
        lipschitz: float,
        distance: float,
        mu: float = 0.0,
        sequence: Literal["convex", "multiphase", "restart_free"] = "convex",
        horizon: int = 100,
        prox: Prox | Mapping[Tensor, Prox] | None = None,
    ) -> None:
        hyper = {
            "lr": lr,
            "lipschitz": lipschitz,
            "distance": distance,
            "mu": mu,
            "sequence": sequence,
            "horizon": horizon,
        }
        super().__init__(params, hyper, prox)

    @override
    def _check(self, group: dict[str, Any]) -> None:
        lr = group["lr"]
        check_sliding({**group, "lr": float(lr) if isinstance(lr, Tensor) else lr})

    @property
    def gradient_calls(self) -> int:
        """Calls of the first closure so far."""
        return self._count()

    @property
    def subgradient_calls(self) -> int:
        """Calls of the second closure so far."""
        return max((int(s["subgradient_calls"]) for s in self.state.values() if s), default=0)

    @override
    def step(self, closure: Closure | None = None, rough: Closure | None = None) -> Any:
        """Take one step: one call of `closure`, as many of `rough` as the theory asks for.

        Parameters
        ----------
        closure : callable
            Returns the smooth loss f where the parameters are.
        rough : callable
            Returns the rough loss h there, or a stochastic estimate.

        Returns
        -------
        loss : Tensor
            f where its gradient was taken.

        Raises
        ------
        ValueError, TypeError
            For closures or hyperparameters that do not fit; parameters and state are then as
            before, as when a closure raises.
        """
        params, groups = self._rows()
        common = self._common(_COMMON)
        k, before = self._count() + 1, self.subgradient_calls
        rates = [float(group["lr"]) for group in groups]
        scalars = plan(k, rates, **common)
        homes = [p.detach() for p in params]
        centres = [
            self.state[p]["centre"] if self.state.get(p) else home for p, home in zip(params, homes)
        ]
        losses: list[Tensor] = []
        with torch.no_grad():
            averages, points = outer(
                homes,
                centres,
                slopes(closure, params, "closure", losses),
                slopes(rough, params, "rough", []),
                scalars,
                lambda i, v, step: self._map(params[i], v, step),
            )
        put(params, averages)
        for p, home, point in zip(params, homes, points):
            if point is home:
                # No gradients so far: nothing to remember.
                continue
            self.state[p] = {
                "step": torch.tensor(float(k)),
                "subgradient_calls": before + scalars.inner,
                "centre": point,
            }
        return losses[0]


__all__ = ["GradientSliding"]
