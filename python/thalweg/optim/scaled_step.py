"""A step in two phases, of any optimizer: take it, look at it, keep a part of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from thalweg.optim.closures import Wrapper, norm
from thalweg.optim.optimizer import Optimizer, class_of

# State that is a point, or the difference of two, and whether it begins at the parameter.
_POINTS = {
    "schedulefreeadamw": ("z", True),
    "triplemomentum": ("momentum_buffer", False),
    "acceleratedsgd": ("lead", False),
    "optimisticamsgrad": ("lead", False),
}


def innermost(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The optimizer that wrappers wrap."""
    return innermost(optimizer.base) if isinstance(optimizer, Wrapper) else optimizer


class ScaledStep:
    """What parameters and state were before a step, to scale or to undo it.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        What steps inside `with`; an error there leaves parameters as before.
    params : list of Tensor
        What it may move.
    state : bool
        Whether to keep its state too, so that an error leaves that as before.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, params: list[Tensor], state: bool) -> None:
        self._optimizer, self.params = innermost(optimizer), params
        self.old = [p.detach().clone() for p in params]
        self._points = list(self._points_of(dict(zip(params, self.old, strict=True))))
        self._saved = _copied(self._optimizer.state) if state else None

    def __enter__(self) -> ScaledStep:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is not None:
            with torch.no_grad():
                self._put(self.old)
            if self._saved is not None:
                self._optimizer.state.clear()
                self._optimizer.state.update(self._saved)

    def _points_of(self, old: dict[Tensor, Tensor]) -> Iterator[tuple[Tensor, str, Tensor]]:
        """Parameters, with names and values of their states that are points."""
        for group in self._optimizer.param_groups:
            if group.get("rule") in _POINTS:
                name, here = _POINTS[group["rule"]]
                for p in group["params"]:
                    if p in old:
                        state = self._optimizer.state.get(p, {})
                        wide = old[p].to(state[name].dtype) if name in state else old[p]
                        if not state or not float(state.get("step", 1.0)):
                            yield p, name, wide if here else torch.zeros_like(wide)
                        else:
                            yield p, name, state[name].clone()

    def _put(self, values: list[Tensor]) -> None:
        if values:
            torch._foreach_copy_(self.params, values)

    def unit(self) -> tuple[float, list[Tensor]]:
        """Length of the step over all parameters, and its direction; not finite, none, or zero."""
        step = list(torch._foreach_sub(self.params, self.old)) if self.params else []
        length = norm(step)
        if 0.0 < length < float("inf"):
            torch._foreach_div_(step, length)
        return length, step

    def scale(self, part: float, length: float, direction: list[Tensor]) -> None:
        """Keep a part of the step; what `unit` returned is used up."""
        if part == 0.0:
            self._put(self.old)
        elif part != 1.0:
            torch._foreach_mul_(direction, part * length)
            torch._foreach_add_(direction, self.old)
            self._put(direction)
        if part != 1.0:
            for p, name, before in self._points:
                now = self._optimizer.state[p][name]
                now.copy_(before.to(now.dtype).lerp(now, part) if part else before)


def refuse_narrow_points(optimizer: torch.optim.Optimizer) -> None:
    """Raise where a state that is a point is kept in low precision.

    Raises
    ------
    NotImplementedError
        If it is.
    """
    for group in innermost(optimizer).param_groups:
        if group.get("rule") in _POINTS and group["state_dtype"] != "float32":
            raise NotImplementedError(
                f"state_dtype of {group['rule']} must be float32, whose state is a point that a "
                f"capped step moves, got {group['state_dtype']}; leave it out"
            )


def _copied(state: Any) -> dict[Any, Any]:
    def entry(value: Any) -> Any:
        return value.clone() if isinstance(value, Tensor) else copy.deepcopy(value)

    return {
        p: {k: entry(v) for k, v in found.items()} if isinstance(found, dict) else entry(found)
        for p, found in state.items()
    }


class Decay:
    """Decoupled weight decay of an optimizer, taken out of its step and done beside it.

    Raises
    ------
    ValueError
        If a group's decay depends on the step.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._found: list[tuple[dict[str, Any], float]] = []
        optimizer = innermost(optimizer)
        for group in optimizer.param_groups:
            if group.get("weight_decay", 0.0) and _decoupled(optimizer, group):
                rate = float(group["lr"])
                if isinstance(optimizer, Optimizer):
                    options = {k: v for k, v in group.items() if k != "params"}
                    rate = class_of(optimizer, group).rate(**options)
                self._found.append((group, rate * group["weight_decay"]))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Let the optimizer step without it."""
        kept = [group["weight_decay"] for group, _ in self._found]
        try:
            for group, _ in self._found:
                group["weight_decay"] = 0.0
            yield
        finally:
            for (group, _), value in zip(self._found, kept, strict=True):
                group["weight_decay"] = value

    def apply(self, old: dict[Tensor, Tensor]) -> None:
        """Shrink parameters by what they were before the step."""
        for group, part in self._found:
            for p in group["params"]:
                if p in old:
                    p.sub_(old[p], alpha=part)


def _decoupled(optimizer: torch.optim.Optimizer, group: dict[str, Any]) -> bool:
    form = group.get("decay")
    if form == "cautious" or (form == "decoupled" and group.get("rule") in _POINTS):
        raise ValueError(
            f"include_decay must be True for {form} decay of {group.get('rule')}, which depends on "
            "the step, got False; leave it out"
        )
    named = (torch.optim.AdamW, *([torch.optim.Muon] if hasattr(torch.optim, "Muon") else []))
    return form == "decoupled" or group.get("decoupled_weight_decay", isinstance(optimizer, named))


__all__ = ["Decay", "ScaledStep", "innermost", "refuse_narrow_points"]
