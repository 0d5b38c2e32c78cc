"""O2NC: an online learner chooses increments; gradients are those of random points on their way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor
from typing_extensions import override

from thalweg import _core
from thalweg.optim.closures import Closure, away, gradients, norm
from thalweg.optim.optimizer import Params, state_dtype
from thalweg.optim.several import Several, blend, check_count, check_range, finite_norm

# From increments, gradients and the group to the next increments.
Learner = Callable[[list[Tensor], list[Tensor], dict[str, Any]], list[Tensor]]


def projected_descent(
    increments: list[Tensor], grads: list[Tensor], group: dict[str, Any]
) -> list[Tensor]:
    """Online gradient descent in the ball of `group["radius"]`.

    Parameters
    ----------
    increments : list of Tensor
        Those of this step. Not modified.
    grads : list of Tensor
        Gradients of the losses, linear in the increments.
    group : dict
        Holds `radius`, `length`, `lr` and `grad_bound`.

    Returns
    -------
    list of Tensor
        Those of the next step.
    """
    radius, lr = group["radius"], group["lr"]
    if lr is None:
        lr = radius / (group["grad_bound"] * math.sqrt(group["length"]))
    following = torch._foreach_add(increments, grads, alpha=-float(lr))
    total = norm(following)
    if total > radius:
        torch._foreach_mul_(following, radius / total)
    return list(following)


class O2NC(Several):
    """An online learner chooses increments; gradients are those of random points on their way.

    Use it for losses that are neither smooth nor convex, where a guarantee is wanted: around its
    output, gradients are small on average.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    radius : float, default 1e-2
        Largest norm of an increment of a group, > 0; `delta / length` for points within `delta`.
    length : int, default 100
        Steps of an epoch, >= 1: the learner starts anew after each.
    lr : float or Tensor of one element, optional
        Rate of the learner, >= 0; `radius / (grad_bound * sqrt(length))` by default.
    grad_bound : float, default 1.0
        Bound of the norm of gradients, > 0.
    output : {"random", "last"}, default "random"
        Which epoch's mean `eval()` puts into the parameters.
    seed : int, default 0
        Seed of the points and of the output, which depend on it and on the step alone.
    learner : callable, default `projected_descent`
        `learner(increments, grads, group)` returns the next increments and changes nothing; it has
        no memory but them.

    Raises
    ------
    ValueError
        If a hyperparameter is outside its range.
    NotImplementedError
        For complex or distributed parameters.

    Notes
    -----
    `w = x + u * D` with u uniform in [0, 1); g the gradient there; `x += D`; the learner turns D
    into `D - lr * g`, projected on the ball. D is 0 at the start of each epoch. The mean of the w
    of an epoch is at most `radius * length` from each, so the mean of their gradients certifies a
    (delta, eps)-stationary point of Goldstein's with `delta = radius * length`; finding one takes
    of order 1 / (delta eps^3) steps. Each group is a learner of its own; those with one seed share
    u.

    `step(closure)` is `probe()`, the gradients, and `update()`, which loops of another form may
    call themselves. `eval()` puts the output into the parameters, the mean so far before the first
    epoch has ended, and `train()` goes back. State, in float32 or wider: `increment`, `average`,
    and `output`. A step that raises changes nothing. A parameter without gradient stays.
    `torch.amp.GradScaler` refuses closures: use bfloat16, or unscale the gradients between
    `probe()` and `update()`. `state_dict` does not hold the learner.

    References
    ----------
    Cutkosky, Mehta, Orabona 2023, "Optimal stochastic non-smooth non-convex optimization through
    online-to-non-convex conversion", ICML, arXiv:2302.03775.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = O2NC([w], radius=0.02, length=50, grad_bound=2.0, output="last")
    >>> for _ in range(500):
    ...     loss = optimizer.step(lambda: w.abs().sum())
    >>> optimizer.eval()
    >>> bool(w.detach().abs().sum() < 2.0)
    True
    """

    def __init__(
        self,
        params: Params,
        radius: float = 1e-2,
        length: int = 100,
        lr: float | Tensor | None = None,
        grad_bound: float = 1.0,
        output: Literal["random", "last"] = "random",
        seed: int = 0,
        learner: Learner = projected_descent,
    ) -> None:
        hyper = {
            "radius": radius,
            "length": length,
            "lr": lr,
            "grad_bound": grad_bound,
            "output": output,
            "seed": seed,
            "train_mode": True,
            # Steps since the start of the epoch, epochs that have ended, and all steps.
            "since": 0,
            "epochs": 0,
            "steps": 0,
        }
        if not callable(learner):
            raise TypeError(
                f"learner must be a function, got {type(learner).__name__}; leave it out"
            )
        self._learner = learner
        self._probed: list[Tensor] | None = None
        super().__init__(params, hyper)

    @override
    def _check(self, group: dict[str, Any]) -> None:
        check_range("radius", group["radius"], 0.0, ends="()")
        check_count("length", group["length"])
        if group["lr"] is not None:
            check_range("lr", group["lr"], 0.0, ends="[)")
        check_range("grad_bound", group["grad_bound"], 0.0, ends="()")
        check_count("seed", group["seed"], 0)
        if group["output"] not in ("random", "last"):
            raise ValueError(
                f"output must be 'random' or 'last', got {group['output']!r}; leave it out"
            )
        if group["train_mode"] is not True:
            raise ValueError(
                f"train_mode must be True for a step of O2NC, got {group['train_mode']!r}; call "
                "optimizer.train() first"
            )

    @contextmanager
    def probe(self) -> Iterator[None]:
        """Give the parameters the point where the gradient is to be taken, inside the block."""
        params: list[Tensor] = []
        points: list[Tensor] = []
        with torch.no_grad():
            for group in self.param_groups:
                self._check(group)
                u = _core.optim_uniform(group["seed"], 2 * group["steps"])
                moving = [p for p in group["params"] if p in self.state]
                if moving:
                    params += moving
                    points += [_ahead(p, self.state[p]["increment"], u) for p in moving]
        with away(params, points):
            yield
        self._probed = points

    @torch.no_grad()
    def update(self) -> None:
        """Step with the gradients that were taken at `probe()`.

        Raises
        ------
        ValueError
            If there was no probe since the last step, or an increment is not finite.
        """
        if self._probed is None:
            raise ValueError("update must follow probe(), got none since the last step; call it")
        rows = self.gathered()
        # All learners first, for they may raise.
        chosen = [self._choose(*row) for row in rows]
        probed = dict(zip((p for p in self.params() if p in self.state), self._probed))
        for (group, params, _), (increments, following) in zip(rows, chosen):
            before = [probed[p] if p in probed else p.detach().clone() for p in params]
            blend(params, increments, None, [(1.0, 1.0, 0.0)] * len(params))
            share = 1.0 / (group["since"] + 1)
            for p, increment in zip(params, following):
                if p not in self.state:
                    zeros = torch.zeros_like(p, dtype=state_dtype(p), requires_grad=False)
                    self.state[p] = {"average": zeros}
                self.state[p]["increment"] = increment
            averages = [self.state[p]["average"] for p in params]
            blend(averages, before, None, [(1.0 - share, share, 0.0)] * len(params))
            self._count(group)
        self._probed = None

    def _choose(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Increments of this step, and those of the next."""
        increments = [
            self.state[p]["increment"]
            if p in self.state
            else torch.zeros_like(p, dtype=state_dtype(p), requires_grad=False)
            for p in params
        ]
        following = self._learner(increments, grads, group) if params else []
        if len(following) != len(params):
            raise ValueError(
                f"learner must return {len(params)} increments, got {len(following)}; return one "
                "for each parameter"
            )
        # Finite gradients have finite increments.
        finite_norm(following, "increment")
        return increments, following

    def _count(self, group: dict[str, Any]) -> None:
        group["since"] += 1
        group["steps"] += 1
        if group["since"] < group["length"]:
            return
        group["since"] = 0
        group["epochs"] += 1
        # Each epoch so far with the same probability.
        draw = _core.optim_uniform(group["seed"], 2 * group["epochs"] + 1)
        chosen = group["output"] == "last" or draw * group["epochs"] < 1.0
        for p in group["params"]:
            if p in self.state:
                state = self.state[p]
                if chosen:
                    state["output"] = state["average"].clone()
                state["average"].zero_()
                state["increment"].zero_()

    @override
    def step(self, closure: Closure | None = None) -> Tensor:  # type: ignore[override]
        """Move by the increment, and let the learner choose the next.

        Parameters
        ----------
        closure : callable
            Returns the loss where the parameters are.

        Returns
        -------
        Tensor
            The loss at the point where the gradient was taken.

        Raises
        ------
        TypeError
            If there is no closure, or it returns no number.
        ValueError
            If the loss is no finite number, or a gradient is not finite.
        """
        with self.probe():
            loss = gradients(closure, self.params())
        self.update()
        return loss

    @torch.no_grad()
    def eval(self) -> None:
        """Put the output into the parameters."""
        for group in self.param_groups:
            if group["train_mode"]:
                for p in group["params"]:
                    if p in self.state:
                        state = self.state[p]
                        state["iterate"] = p.detach().clone()
                        if "output" in state or group["since"] > 0:
                            p.copy_(state.get("output", state["average"]))
                group["train_mode"] = False

    @torch.no_grad()
    def train(self) -> None:
        """Put the iterate back into the parameters."""
        for group in self.param_groups:
            if not group["train_mode"]:
                for p in group["params"]:
                    if p in self.state:
                        p.copy_(self.state[p].pop("iterate"))
                group["train_mode"] = True

    @override
    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_learner": self._learner, "_probed": None}


def _ahead(p: Tensor, increment: Tensor, u: float) -> Tensor:
    """The point at the share u of an increment."""
    return torch.add(p, increment, alpha=u).to(p.dtype)


__all__ = ["O2NC", "Learner", "projected_descent"]
