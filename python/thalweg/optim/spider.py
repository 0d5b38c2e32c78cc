"""SPIDER: normalized steps along a gradient that is corrected by differences."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from thalweg.optim.closures import Closure, away, gradients
from thalweg.optim.optimizer import Params, state_dtype
from thalweg.optim.several import Several, blend, check_count, check_range, finite_norm


class SPIDER(Several):
    """Normalized steps along a gradient that is corrected by differences.

    Use it for finite sums and other losses of low noise whose curvature grows with the gradient.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1e-2
        Length of a step over all parameters, >= 0.
    q : int, default 10
        Every how many steps the large batch is asked for, >= 1.

    Raises
    ------
    ValueError
        If a hyperparameter is outside its range.
    NotImplementedError
        For complex or distributed parameters.

    Notes
    -----
    Every q steps `v` is the gradient of the large batch; in between, `v += g(x_t) - g(x_{t-1})`
    with both gradients from the same minibatch. `x -= lr * v / |v|` with the norm over all
    parameters; nothing moves where it is 0. For gradients smaller than eps, the theory takes q and
    the size of a minibatch of order 1 / eps, a large batch of order 1 / eps^2, `lr` of order eps,
    and needs of order 1 / eps^3 samples.

    Groups share the counter, and the large batch is due when it is for one of them; also where a
    parameter has a gradient for the first time. A parameter without gradient in a step is left out
    of it. State, in float32 or wider: `estimate`, v, and `previous`, x_{t-1}. A step that raises
    changes nothing. `torch.amp.GradScaler` refuses closures; steps do not depend on the scale of
    the loss as long as it is the same, so a constant one will do.

    References
    ----------
    Fang, Li, Lin, Zhang 2018, "SPIDER: near-optimal non-convex optimization via stochastic
    path-integrated differential estimator", NeurIPS, arXiv:1807.01695.
    Chen, Zhou, Liang, Lu 2023, "Generalized-smooth nonconvex optimization is as efficient as smooth
    nonconvex optimization", ICML, arXiv:2303.02854.

    Examples
    --------
    >>> import torch
    >>> data, w = torch.randn(64, 3), torch.nn.Parameter(torch.ones(3))
    >>> optimizer = SPIDER([w], lr=0.05, q=8)
    >>> for batch in data.split(4):
    ...     loss = optimizer.step(
    ...         lambda: (batch @ w).square().mean(), full=lambda: (data @ w).square().mean()
    ...     )
    >>> bool(w.detach().norm() < 1.5)
    True
    """

    def __init__(self, params: Params, lr: float | Tensor = 1e-2, q: int = 10) -> None:
        super().__init__(params, {"lr": lr, "q": q, "since": 0})

    @override
    def _check(self, group: dict[str, Any]) -> None:
        check_range("lr", group["lr"], 0.0, ends="[)")
        check_count("q", group["q"])

    @property
    def due(self) -> bool:
        """Whether the next step asks for the large batch."""
        return any(group["since"] % group["q"] == 0 for group in self.param_groups)

    @override
    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: Closure | None = None, full: Closure | None = None
    ) -> Tensor:
        """Step along the corrected gradient.

        Parameters
        ----------
        closure : callable
            Returns the loss of one minibatch wherever the parameters are. It is called once more at
            the parameters before the last step.
        full : callable, optional
            Returns the loss of the large batch; called instead where that is `due`, as `closure` is
            if there is none.

        Returns
        -------
        Tensor
            The loss before the step, of the batch that was looked at.

        Raises
        ------
        TypeError
            If there is no closure, or it returns no number.
        ValueError
            If the loss is no finite number, or a gradient is not finite.
        """
        for group in self.param_groups:
            self._check(group)
        params = self.params()
        due = self.due
        loss = gradients(full if due and full is not None else closure, params)
        rows = self.gathered()
        stepped = [p for _, owners, _ in rows for p in owners]
        if not due and any(p not in self.state for p in stepped):
            due = True
            if full is not None:
                loss = gradients(full, params)
                rows = self.gathered()
                stepped = [p for _, owners, _ in rows for p in owners]
        if due:
            # Copies: `.grad` is the user's to change.
            estimates = [
                p.grad.to(state_dtype(p), copy=True) for p in stepped if p.grad is not None
            ]
            total = finite_norm(estimates)
        else:
            estimates, total = self._corrected(closure, params, stepped)
        self._move(stepped, estimates, total)
        for group in self.param_groups:
            group["since"] = 1 if due else group["since"] + 1
        return loss

    def _corrected(
        self, closure: Closure | None, params: list[Tensor], stepped: list[Tensor]
    ) -> tuple[list[Tensor], float]:
        """`v + g(x_t) - g(x_{t-1})`, in the memory of the last, and its norm."""
        known = [p for p in params if p in self.state]
        now = {p: p.grad for p in params}
        with away(known, [self.state[p]["previous"] for p in known]):
            gradients(closure, params)
        finite_norm([p.grad for p in stepped if p.grad is not None])
        before = [_own(p) for p in stepped]
        for p, g in now.items():
            p.grad = g
        grads = [g for g in map(now.get, stepped) if g is not None]
        estimates = [self.state[p]["estimate"] for p in stepped]
        total = blend(before, grads, estimates, [_ADD] * len(stepped))
        if not math.isfinite(total):
            raise ValueError(
                f"gradient must be finite, got differences of norm {total}; lower the learning "
                "rate or look at the data"
            )
        return before, total

    def _move(self, stepped: list[Tensor], estimates: list[Tensor], total: float) -> None:
        for p in self.params():
            # Also where there was no gradient: the point before the step is one of all.
            if p in self.state:
                self.state[p]["previous"].copy_(p)
        for p, estimate in zip(stepped, estimates):
            if p not in self.state:
                self.state[p]["previous"] = p.detach().clone()
            self.state[p]["estimate"] = estimate
        if total > 0.0:
            rates = {p: float(group["lr"]) for group in self.param_groups for p in group["params"]}
            weights = [(1.0, -rates[p] / total, 0.0) for p in stepped]
            blend(stepped, estimates, None, weights)


# Weights of the gradient at the point before, of that at this point, and of the estimate.
_ADD = (-1.0, 1.0, 1.0)


def _own(p: Tensor) -> Tensor:
    """The gradient as memory to write to, in the type of the state."""
    g, dtype = p.grad, state_dtype(p)
    if g is None:
        return torch.zeros_like(p, dtype=dtype)
    if g.dtype == dtype and g.stride() == p.stride() and g._base is None:
        return g
    return torch.empty_like(p, dtype=dtype).copy_(g)


__all__ = ["SPIDER"]
