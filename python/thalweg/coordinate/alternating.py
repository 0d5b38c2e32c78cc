"""Alternating steps of several optimizers, each for its own parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from thalweg._extras import require
from thalweg.coordinate._matrix import count

torch = require("torch")

__all__ = ["AlternatingCD"]


class AlternatingCD:
    """Step the optimizers of several named groups of parameters in turn, the others fixed.

    Use it where a few parameters need another rule, pace or range than the rest: the end time of a
    flow beside its weights, temperatures, noise levels.

    Parameters
    ----------
    groups : mapping of str to iterable of Tensor
        Parameters of each group; none may be in two.
    optimizers : mapping of str to callable
        What makes the optimizer of a group from its parameters: ``lambda p: Adam(p, lr=1e-3)``.
    period : mapping of str to int, optional
        A group moves in every `period`-th step, default 1, beginning with the first.
    clamp : mapping of str to (float, float), optional
        Range that a group's entries are cut to after its step.

    Attributes
    ----------
    optimizers : dict
        The optimizers, by name: for schedulers.

    Raises
    ------
    ValueError
        If groups are empty or share a parameter, names differ, a period is below 1, or a range is
        empty.

    Notes
    -----
    ``step(closure)`` calls ``closure()`` once for each group that moves; it returns the loss, and
    does not call backward. The loss is differentiated for that group alone. This is the schedule of
    TO-FLOW, one step on the weights and one on the end time; its temporal regulariser belongs into
    the loss. Written from the paper's abstract and a summary.

    References
    ----------
    Du et al. 2022, "TO-FLOW: efficient continuous normalizing flows with temporal optimization
    adjoint with moving speed", CVPR.

    Examples
    --------
    >>> import torch
    >>> w, t = torch.zeros(3, requires_grad=True), torch.tensor(0.5, requires_grad=True)
    >>> sgd = lambda lr: lambda p: torch.optim.SGD(p, lr=lr)
    >>> schedule = AlternatingCD(
    ...     {"weights": [w], "time": [t]}, {"weights": sgd(0.5), "time": sgd(0.1)},
    ...     period={"time": 2}, clamp={"time": (0.1, 1.0)},
    ... )
    >>> for _ in range(40):
    ...     loss = schedule.step(lambda: ((w - t) ** 2).sum() + (t - 3) ** 2)
    >>> round(t.item(), 6), [round(x, 4) for x in w.tolist()]
    (1.0, [1.0, 1.0, 1.0])
    """

    def __init__(
        self,
        groups: Mapping[str, Iterable[Any]],
        optimizers: Mapping[str, Callable[[list[Any]], Any]],
        *,
        period: Mapping[str, int] | None = None,
        clamp: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        self._groups = {name: list(params) for name, params in groups.items()}
        if not self._groups:
            raise ValueError("groups must hold a group, got none; pass {'weights': parameters}")
        taken: dict[int, str] = {}
        for name, params in self._groups.items():
            if not params:
                raise ValueError(f"groups[{name!r}] must hold a parameter, got none; leave it out")
            for p in params:
                if not isinstance(p, torch.Tensor) or not p.is_leaf or not p.requires_grad:
                    raise TypeError(
                        f"groups[{name!r}] must hold leaf tensors that require grad, got "
                        f"{type(p).__name__}; pass parameters"
                    )
                if taken.setdefault(id(p), name) != name:
                    raise ValueError(
                        f"groups[{name!r}] must share no parameter, got one of "
                        f"{taken[id(p)]!r}; put it into one of them"
                    )
        if set(optimizers) != set(self._groups):
            raise ValueError(
                f"optimizers must be for {sorted(self._groups)}, got {sorted(optimizers)}; "
                "pass one for each group"
            )
        for what, named in (("period", period), ("clamp", clamp)):
            if named is not None and not set(named) <= set(self._groups):
                raise ValueError(
                    f"{what} must name groups of {sorted(self._groups)}, got {sorted(named)}; "
                    "check the spelling"
                )
        self._period = {name: count(f"period[{name!r}]", n) for name, n in (period or {}).items()}
        self._clamp = dict(clamp or {})
        for name, (low, high) in self._clamp.items():
            if not low <= high:
                raise ValueError(
                    f"clamp[{name!r}] must be a range, got ({low}, {high}); the lower end first"
                )
        self.optimizers = {name: optimizers[name](self._groups[name]) for name in self._groups}
        self._steps = 0

    def step(self, closure: Callable[[], Any]) -> Any:
        """Move every group whose turn it is; returns the loss that the first one saw, or None."""
        first = None
        for name, params in self._groups.items():
            if self._steps % self._period.get(name, 1):
                continue
            with torch.enable_grad():
                loss = closure()
            found = torch.autograd.grad(loss, params, allow_unused=True)
            kept = [p.grad for p in params]
            for p, g in zip(params, found):
                p.grad = g
            self.optimizers[name].step()
            for p, g in zip(params, kept):
                p.grad = g
            if name in self._clamp:
                low, high = self._clamp[name]
                with torch.no_grad():
                    for p in params:
                        p.clamp_(low, high)
            first = loss.detach() if first is None else first
        self._steps += 1
        return first

    def state_dict(self) -> dict[str, Any]:
        """State of all optimizers and the number of steps."""
        states = {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}
        return {"steps": self._steps, "optimizers": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state with the same names."""
        if set(state_dict["optimizers"]) != set(self.optimizers):
            raise ValueError(
                f"state_dict must name {sorted(self.optimizers)}, got "
                f"{sorted(state_dict['optimizers'])}; construct it with the same groups"
            )
        for name, state in state_dict["optimizers"].items():
            self.optimizers[name].load_state_dict(state)
        self._steps = int(state_dict["steps"])
