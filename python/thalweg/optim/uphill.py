"""Wrappers that take the gradient a little uphill, or downhill, of the parameters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from operator import is_
from typing import Any, NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from thalweg import _core
from thalweg.optim.closures import Closure, Wrapper, away, gradients, still


class Moving(NamedTuple):
    """A group, with those of its parameters that have a gradient."""

    group: dict[str, Any]
    params: list[Tensor]
    gradients: list[Tensor]


class Uphill(Wrapper):
    """Base of `SAM` and `GradientRegularization`: a second gradient, and a step of the base."""

    def __init__(
        self,
        base: torch.optim.Optimizer,
        hyper: dict[str, Any],
        model: torch.nn.Module | None,
    ) -> None:
        if isinstance(base, (torch.optim.LBFGS, Wrapper)):
            raise TypeError(
                "base must step from the gradients at hand, got "
                f"{type(base).__name__}, which asks for more; try AdamW, or wrap it the other way"
            )
        super().__init__(base, hyper)
        self.model = model
        # Of the last step: parameters, and places for their values elsewhere.
        self._places: tuple[list[Tensor], list[Tensor]] = ([], [])

    @override
    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "model": self.model, "_places": ([], [])}

    def _moving(self) -> list[Moving]:
        found = []
        for group in self.param_groups:
            pairs = [(p, g) for p in group["params"] if (g := p.grad) is not None]
            found.append(Moving(group, [p for p, _ in pairs], [g for _, g in pairs]))
        return found

    def _gradients_away(
        self, closure: Closure, moving: Sequence[Moving], factors: Sequence[float]
    ) -> None:
        """Replace the gradients by those where each parameter goes `factor` times its gradient."""
        params = [p for part in moving for p in part.params]
        known, places = self._places
        if len(known) != len(params) or not all(map(is_, known, params)):
            places = [torch.empty_like(p, requires_grad=False) for p in params]
            self._places = params, places
        left = iter(places)
        with torch.no_grad():
            for part, factor in zip(moving, factors, strict=True):
                _ascend(list(islice(left, len(part.params))), part, factor)
        with away(params, places), still(self.model):
            gradients(closure, self.params())

    def _finish(self, loss: Tensor, scaler: torch.amp.GradScaler | None) -> None:
        """Step the base with the gradients that are there."""
        base: Any = self.base
        if scaler is None:
            base.step(lambda: loss)
        else:
            scaler.step(base)


def _ascend(values: list[Tensor], moving: Moving, factor: float) -> None:
    adaptive = moving.group.get("adaptive", False)
    if not _core.optim_ascend(values, moving.params, moving.gradients, factor, adaptive):
        for value, p, g in zip(values, moving.params, moving.gradients, strict=True):
            value.copy_(p + factor * (p * p.conj() * g if adaptive else g))


__all__ = ["Uphill"]
