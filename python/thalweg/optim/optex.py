"""OptEx: several iterations side by side, from points that estimated gradients lead to."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import torch
from torch import Tensor
from typing_extensions import override

from thalweg.optim.closures import Closure, Wrapper, away, gradients, look
from thalweg.optim.history import History
from thalweg.optim.several import check_count, check_range, finite_norm
from thalweg.optim.whole import is_distributed

# From the values of the parameters to the loss; called from several threads at once.
Evaluate = Callable[[list[Tensor]], Tensor]


class OptEx(Wrapper):
    """Several iterations side by side, from points that estimated gradients lead to.

    Use it where a gradient is expensive and workers are idle.

    Parameters
    ----------
    base : torch.optim.Optimizer
        What steps, from this package or torch's.
    workers : int, default 4
        Gradients that are taken side by side, >= 1; 1 is `base` alone.
    history : int, default 50
        Points and gradients that estimates rest on, >= 2.
    noise : float, default 1e-3
        Added to the diagonal of the kernel matrix, > 0.
    length_scale : float, optional
        Of the kernel, > 0, in the unit of the parameters. By default the one that predicts the
        newest `workers` gradients of the history best from the older, chosen anew each step.
    normalize : {None, "optex"}, default None
        "optex" divides points by the mean root of their norms, as the published code does.
    effective_dim : int, optional
        About how many coordinates the kernel sees, evenly spread, >= 1; all by default.
    select : {"last", "loss"}, default "last"
        Which of the points is stepped from: the furthest, or the one of the lowest loss.

    Raises
    ------
    TypeError
        If `base` is no optimizer.
    ValueError
        If an option is outside its range.
    NotImplementedError
        At a step, for complex or distributed parameters.

    Notes
    -----
    A step lets `base` run `workers - 1` steps ahead on estimates `ghat(z) = k(z, X) (K + noise
    I)^-1 G` from points X and gradients G that it knows, with the Matern 5/2 kernel k; takes the
    gradients at all points on the way; and steps `base` once more, with the gradient of the point
    that is selected. The paper's steps from the other points go unused there too, and are not
    taken. With fewer than two gradients in the history a step is one of `base`. The authors claim
    an acceleration of the order of the root of `workers`, in steps one after the other.

    History, in main memory and float32 or wider: 2 * `history` numbers a parameter, less where
    `effective_dim` is set. A step costs about `2 * workers * history` passes over one copy of the
    parameters for the estimates, and copies of the state of `base`: little beside gradients that
    are worth the wait. Hyperparameters are those of `base`. Points and gradients are in
    `state_dict`; `workers` and the other options are not. A step that raises changes nothing.
    `torch.amp.GradScaler` refuses closures: use bfloat16.

    References
    ----------
    Shu, Fang, He, Yu 2024, "OptEx: expediting first-order optimization with approximately
    parallelized iterations", NeurIPS, arXiv:2402.11427.

    Examples
    --------
    >>> import torch
    >>> from thalweg.optim import Adam
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = OptEx(Adam([w], lr=0.05), workers=4)
    >>> for _ in range(20):
    ...     loss = optimizer.step(evaluate=lambda tensors: tensors[0].square().sum())
    >>> bool(loss < 0.1)
    True
    """

    def __init__(
        self,
        base: torch.optim.Optimizer,
        workers: int = 4,
        history: int = 50,
        noise: float = 1e-3,
        length_scale: float | None = None,
        normalize: Literal["optex"] | None = None,
        effective_dim: int | None = None,
        select: Literal["last", "loss"] = "last",
    ) -> None:
        check_count("workers", workers)
        check_count("history", history, 2)
        check_range("noise", noise, 0.0, ends="()")
        if length_scale is not None:
            check_range("length_scale", length_scale, 0.0, ends="()")
        if effective_dim is not None:
            check_count("effective_dim", effective_dim)
        if normalize not in (None, "optex"):
            raise ValueError(f"normalize must be None or 'optex', got {normalize!r}; leave it out")
        if select not in ("last", "loss"):
            raise ValueError(f"select must be 'last' or 'loss', got {select!r}; leave it out")
        super().__init__(base, {})
        self.workers = workers
        self.select = select
        self._history = History(
            history, workers, float(noise), length_scale, normalize is not None, effective_dim
        )

    @override
    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: Closure | None = None, *, evaluate: Evaluate | None = None
    ) -> Tensor:
        """Run ahead on estimates, take the gradients, and step from the point selected.

        Parameters
        ----------
        closure : callable, optional
            Returns the loss where the parameters are; called at one point after the other.
        evaluate : callable, optional
            In place of `closure`: returns the loss for values of the parameters, given as a list in
            the order of `params()`, such as through `torch.func.functional_call`. Called from
            `workers` threads at once.

        Returns
        -------
        Tensor
            The loss before the step.

        Raises
        ------
        TypeError
            If there is not one of the two, or it returns no number.
        ValueError
            If the loss is no finite number, or a gradient is not finite.
        """
        if closure is not None and evaluate is not None:
            raise TypeError("evaluate must be None where there is a closure; pass one of the two")
        if any(p.is_complex() or is_distributed(p) for p in self.params()):
            raise NotImplementedError(
                "OptEx takes no complex or distributed parameters; give these to another optimizer"
            )
        start = _Snapshot(self.base)
        try:
            return self._step(start, closure, evaluate)
        except BaseException:
            start.restore(self.base)
            raise

    def _step(self, start: _Snapshot, closure: Closure | None, evaluate: Evaluate | None) -> Tensor:
        params = self.params()
        stages = self._ahead(start, params)
        points = [stage.values for stage in stages]
        if evaluate is None:
            losses, grads = _in_turn(closure, params, points)
        else:
            losses, grads = _side_by_side(evaluate, params, points)
        for found in grads:
            finite_norm([g for g in found if g is not None])
        chosen = len(points) - 1
        if self.select == "loss":
            chosen = min(range(len(points)), key=lambda i: float(losses[i]))
            stages[chosen].restore(self.base)
        for p, g in zip(params, grads[chosen]):
            p.grad = g
        self.base.step()
        self._history.extend(points, grads)
        return losses[0]

    def _ahead(self, start: _Snapshot, params: list[Tensor]) -> list[_Snapshot]:
        """Let the base run ahead; the points on the way, and what to go on with from each."""
        stages = [start]
        estimator = self._history.estimator()
        if estimator is None:
            return stages
        for _ in range(self.workers - 1):
            for p, g in zip(params, estimator(stages[-1].values)):
                p.grad = g
            self.base.step()
            stages.append(_Snapshot(self.base, state=self.select == "loss"))
        return stages

    @override
    def state_dict(self) -> dict[str, Any]:
        """Return that of `base`, with the history under "optex"."""
        return {**self.base.state_dict(), "optex": self._history.state_dict()}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` returned, or a state dict of `base`: the history is then empty."""
        state_dict = dict(state_dict)
        history = self._history.loaded(state_dict.pop("optex", None), self.params())
        super().load_state_dict(state_dict)
        self._history = history

    @override
    def __getstate__(self) -> dict[str, Any]:
        own = {"workers": self.workers, "select": self.select, "_history": self._history}
        return {**super().__getstate__(), **own}


class _Snapshot:
    """Parameters of an optimizer, and with `state` all that a step of it changes."""

    def __init__(self, optimizer: torch.optim.Optimizer, state: bool = True) -> None:
        self._params = [p for group in optimizer.param_groups for p in group["params"]]
        self.values = [p.detach().clone() for p in self._params]
        self._state: dict[Any, Any] | None = None
        if state:
            self._state = {
                p: {name: _copied(value) for name, value in buffers.items()}
                for p, buffers in optimizer.state.items()
            }
            self._groups = [
                {name: _copied(value) for name, value in group.items() if name != "params"}
                for group in optimizer.param_groups
            ]

    def restore(self, optimizer: torch.optim.Optimizer) -> None:
        """Put everything back."""
        torch._foreach_copy_(self._params, self.values)
        if self._state is not None:
            optimizer.state.clear()
            for p, buffers in self._state.items():
                optimizer.state[p] = {name: _copied(value) for name, value in buffers.items()}
            for group, saved in zip(optimizer.param_groups, self._groups):
                for name in set(group) - {"params", *saved}:
                    del group[name]
                group.update({name: _copied(value) for name, value in saved.items()})


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else copy.copy(value)


Found = tuple[list[Tensor], list[list[Tensor | None]]]


def _in_turn(
    closure: Closure | None, params: list[Tensor], points: Sequence[list[Tensor]]
) -> Found:
    """Losses and gradients at one point after the other."""
    losses, grads = [], []
    for values in points:
        # Copies: a closure that changes its parameters must not change the snapshot.
        with away(params, [value.clone() for value in values]):
            losses.append(gradients(closure, params))
        grads.append([p.grad for p in params])
    return losses, grads


def _side_by_side(
    evaluate: Evaluate, params: list[Tensor], points: Sequence[list[Tensor]]
) -> Found:
    """Losses and gradients at all points at once, each in a thread of its own."""

    def one(values: list[Tensor]) -> tuple[Tensor, list[Tensor | None]]:
        pairs = zip(values, params, strict=True)
        leaves = [value.clone().requires_grad_(p.requires_grad) for value, p in pairs]
        loss = look(lambda: evaluate(leaves), [])
        wanted = [leaf for leaf in leaves if leaf.requires_grad]
        if not loss.requires_grad:
            raise ValueError(
                "evaluate must return a loss that depends on the tensors it is given, got one "
                "without graph; use them in place of the parameters"
            )
        found = iter(torch.autograd.grad(loss, wanted, allow_unused=True))
        return loss.detach(), [next(found) if leaf.requires_grad else None for leaf in leaves]

    with ThreadPoolExecutor(len(points)) as pool:
        results = list(pool.map(one, points))
    return [loss for loss, _ in results], [grads for _, grads in results]


__all__ = ["Evaluate", "OptEx"]
