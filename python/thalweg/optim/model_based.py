"""Model-based steps: the loss is replaced by a model and a proximal term."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from thalweg.optim.closures import Closure, differentiate, look
from thalweg.optim.composite import Composite, Prox, finite, put
from thalweg.optim.optimizer import Params
from thalweg.steps.model_based import check_models, checked_values, needs_prox_alone
from thalweg.steps.models import outer_of, several, single

_COMMON = ("model", "outer", "lower", "power")


class ModelBased(Composite):
    """Model-based step: minimize a convex model of the loss plus a proximal term.

    Use it where the right step size is unknown: all models but "subgradient" stand steps that are
    far too long, and one rate serves many problems.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 0.1
        Step size 1 / beta, >= 0; groups may have their own.
    model : {"subgradient", "truncated", "prox_linear", "proximal_point"}, default "truncated"
        The model, see Notes; the closure returns the loss for the first two, else the values c.
    outer : {"abs", "hinge", "max", "square", "logistic"} or callable, optional
        h of the last two models, by default "abs" and "square"; a callable is the derivative of a
        convex h of one value, and must be given anew with a checkpoint.
    lower : float, default 0.0
        Lower bound of the loss, for "truncated".
    power : float, default 0.0
        Step k uses `lr / k**power`, >= 0; the theory has 0.5, schedulers want 0.
    prox : callable or mapping from parameters to callables, optional
        ``prox(v, step)``, argmin over u of r(u) + |u - v|^2 / (2 step), for a regulariser r, for
        instance ``lambda v, step: thalweg.project.prox.l1(v, 0.1 * step)``.

    Raises
    ------
    ValueError, TypeError
        If a hyperparameter is outside its range.

    Notes
    -----
    A step is `argmin over y of m(y) + r(y) + |y - x|^2 / (2 lr)`, exactly, with the model m

    ================  =============================================  ===============================
    subgradient       f + g.(y - x)                                  `x - lr g` (without r)
    truncated         max(f + g.(y - x), lower)                      `x - min(lr, f' / |g|^2) g`
    prox_linear       h(c + J (y - x))                               `x - lr J^T s`
    proximal_point    the loss h(c(y)) itself, for c affine          the same formulas
    ================  =============================================  ===============================

    with `f' = f - lower`. The multiplier s of one value is `clip(c / (lr |a|^2), -1, 1)` for "abs",
    clipped to [0, 1] for "hinge" (max(c, 0)); the root of `s = h'(c - s lr |a|^2)` for "square"
    (c^2/2), "logistic" (log(1 + exp(-c))) and callables. For a vector c of m values h is the sum,
    or the largest of them ("max"): "abs", "hinge" and "max" are a quadratic program in m
    multipliers, solved by an active set; "square" is a Gauss-Newton step with damping 1 / lr. Pass
    c / m for the mean. With a regulariser and one value the root is found with a proximal map in
    each of some ten evaluations; with several values it is refused.

    One evaluation of the closure, and m backward passes. No state but a counter.

    References
    ----------
    Davis, Drusvyatskiy 2019, "Stochastic model-based minimization of weakly convex functions", SIAM
    J. Optim. 29, arXiv:1803.06523.
    Asi, Duchi 2019, "Stochastic (approximate) proximal point methods: convergence, optimality, and
    adaptivity", SIAM J. Optim. 29, arXiv:1810.05633.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.tensor([3.0, 1.0]))
    >>> optimizer = ModelBased([w], lr=1e6, model="prox_linear")
    >>> c = optimizer.step(lambda: w[0] - 2 * w[1])
    >>> bool((w[0] - 2 * w[1]).abs() < 1e-6)
    True
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 0.1,
        model: Literal["subgradient", "truncated", "prox_linear", "proximal_point"] = "truncated",
        outer: str | Callable[[float], float] | None = None,
        lower: float = 0.0,
        power: float = 0.0,
        prox: Prox | Mapping[Tensor, Prox] | None = None,
    ) -> None:
        self.slope = outer if callable(outer) else None
        hyper = {
            "lr": lr,
            "model": model,
            # Checkpoints hold the groups, and a function does not belong there.
            "outer": "callable" if callable(outer) else outer,
            "lower": lower,
            "power": power,
        }
        super().__init__(params, hyper, prox)

    @override
    def _check(self, group: dict[str, Any]) -> None:
        lr = group["lr"]
        lr = float(lr) if isinstance(lr, Tensor) else lr
        check_models({**group, "lr": lr, "outer": self._outer(group)})

    def _outer(self, group: dict[str, Any]) -> Any:
        if group["outer"] != "callable":
            return group["outer"]
        if self.slope is None:
            raise ValueError(
                "outer must be given anew with a checkpoint that had a callable, got none; set "
                "optimizer.slope"
            )
        return self.slope

    @override
    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "slope": self.slope}

    @override
    def step(self, closure: Closure | None = None) -> Any:
        """Take one step.

        Parameters
        ----------
        closure : callable
            Returns the loss of a minibatch, or the values c of shape () or (m,).

        Returns
        -------
        Tensor
            What the closure returned, without its graph.

        Raises
        ------
        ValueError, TypeError, NotImplementedError
            For closures or hyperparameters that do not fit; parameters and state are then as
            before, as when the closure raises.
        """
        params, groups = self._rows()
        common = self._common(_COMMON)
        outer = outer_of(common["model"], self._outer(groups[0]))
        k = self._count() + 1
        rates = [float(group["lr"]) / k ** float(common["power"]) for group in groups]
        inner = common["model"] in ("prox_linear", "proximal_point")
        values, rows = _evaluate(closure, params, inner)
        c = checked_values(values.numpy(force=True), common)
        needs_prox_alone(len(c), outer, self.prox)
        for row in rows:
            finite(row, "closure")
        live = [any(row[i] is not None for row in rows) for i in range(len(params))]
        points = self._solve(params, live, rates, rows, c, outer)
        put(params, points)
        for p, alive in zip(params, live):
            if alive:
                self.state[p] = {"step": torch.tensor(float(k))}
        return values

    @torch.no_grad()
    def _solve(
        self,
        params: list[Tensor],
        live: list[bool],
        rates: list[float],
        rows: list[list[Tensor | None]],
        c: Any,
        outer: Any,
    ) -> list[Tensor]:
        """The minimiser of the model; what has no gradient comes back itself."""

        def moved(s: Any) -> list[Tensor]:
            points = []
            for i, p in enumerate(params):
                if not live[i]:
                    points.append(p)
                    continue
                point = p.detach().clone()
                for weight, row in zip(s, rows):
                    g = row[i]
                    if g is not None:
                        point -= (rates[i] * float(weight)) * g
                points.append(self._map(p, point, rates[i]))
            return points

        def along(s: float) -> float:
            if self.prox is None:
                return float(c[0]) - s * float(gram[0, 0])
            shifts = (
                _dot(g, y - p) for y, p, g in zip(moved([s]), params, rows[0]) if g is not None
            )
            return float(c[0]) + sum(shifts)

        gram = np.zeros((len(c), len(c)))
        for i, j in zip(*np.tril_indices(len(c))):
            gram[i, j] = gram[j, i] = sum(
                rate * _dot(a, b)
                for rate, a, b in zip(rates, rows[i], rows[j])
                if a is not None and b is not None
            )
        if len(c) > 1:
            return moved(several(outer, c, gram))
        square = float(gram[0, 0]) if self.prox is None else None
        return moved([single(outer, along, float(c[0]), square)])


def _dot(a: Tensor, b: Tensor) -> float:
    return float(torch.dot(a.reshape(-1).double(), b.reshape(-1).double()))


def _evaluate(
    closure: Closure | None, params: list[Tensor], inner: bool
) -> tuple[Tensor, list[list[Tensor | None]]]:
    """What the closure returned, without graph, and the gradients of each entry."""
    vector: list[Tensor] = []

    def first() -> Any:
        # `look` takes scalars: it gets the sum, and checks the rest.
        assert closure is not None
        found = closure()
        if isinstance(found, Tensor) and found.ndim == 1 and found.numel() > 1:
            vector.append(found)
            return found.sum()
        return found

    loss = look(None if closure is None else first if inner else closure, params)
    if not vector:
        differentiate(loss, params)
        rows = [[p.grad for p in params]]
        for p in params:
            p.grad = None
        return loss.detach(), rows
    values = vector[0]
    if not values.requires_grad:
        raise ValueError(
            "closure must return values that depend on the parameters, got a vector without graph; "
            "compute it from them"
        )
    wanted = [p for p in params if p.requires_grad]
    rows = []
    for number, value in enumerate(values):
        keep = number + 1 < len(values)
        found = iter(torch.autograd.grad(value, wanted, retain_graph=keep, allow_unused=True))
        rows.append([next(found) if p.requires_grad else None for p in params])
    return values.detach(), rows


__all__ = ["ModelBased"]
