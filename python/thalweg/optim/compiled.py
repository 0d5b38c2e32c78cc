"""The step as one operator of a graph that torch.compile traces.

The graph holds parameters and gradients; hyperparameters and state are read when it runs, so that a
new rate or a loaded checkpoint compiles nothing anew.
"""

from __future__ import annotations

import itertools
import weakref
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from thalweg.optim.optimizer import Optimizer

_KNOWN: weakref.WeakValueDictionary[int, Optimizer] = weakref.WeakValueDictionary()
_NUMBERS = itertools.count()


def register(optimizer: Optimizer) -> int:
    """Return the number by which a graph knows an optimizer."""
    number = next(_NUMBERS)
    _KNOWN[number] = optimizer
    return number


@torch.library.custom_op("thalweg::step", mutates_args=("params",))
def _step(params: list[Tensor], grads: list[Tensor], places: list[int], number: int) -> None:
    from thalweg.optim.stand_in import Row

    optimizer = _KNOWN.get(number)
    if optimizer is None:
        raise RuntimeError("the optimizer of a compiled step must exist, got none; compile anew")
    homes = [(group, p) for group in optimizer.param_groups for p in group["params"]]
    rows = [
        Row(*homes[place], target, grad)
        for place, target, grad in zip(places, params, grads, strict=True)
    ]
    optimizer._step_rows(rows)


@_step.register_fake
def _(params: list[Tensor], grads: list[Tensor], places: list[int], number: int) -> None:
    return None


def traced_step(optimizer: Optimizer) -> bool:
    """Put the step into the graph; false where a tensor is not one for the core."""
    params, grads, places = [], [], []
    # Not `param_groups`: the graph would depend on every rate in them.
    for place, p in enumerate(optimizer._params):
        grad = p.grad
        if grad is not None:
            if p.device.type != "cpu" or grad.layout != torch.strided:
                return False
            params.append(p)
            grads.append(grad)
            places.append(place)
    if params:
        torch.ops.thalweg.step(params, grads, places, optimizer._number)
    return True


__all__ = ["register", "traced_step"]
