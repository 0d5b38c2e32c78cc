"""DTensor parameters, as `fully_shard` and `distribute_tensor` make them.

Rules that look at one coordinate at a time run natively on the shard that this process holds, empty
or not, without communication; their state may be of low precision, with blocks and random words of
each shard alone. What looks at a whole tensor runs in plain torch on the gathered tensors, the same
on every process, and each keeps its shard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from thalweg import _core
from thalweg.optim import precision
from thalweg.optim.stand_in import Row, native_step

if TYPE_CHECKING:
    from thalweg.optim.optimizer import Groups, Optimizer


def step(optimizer: Optimizer, groups: Groups, scale: float) -> bool:
    """Step on local shards; false, with nothing written, where that is not the same step."""
    if optimizer.on_nonfinite != "propagate" or optimizer._telemetry is not None:
        return False
    rows = []
    for group, params in groups:
        whole = not _core.optim_traits(group["rule"], group)["pointwise"]
        if whole or group["mask"] == "cautious" or group["clip_norm"] is not None:
            return False
        low = [p for p in params if precision.is_random(group) or precision.is_split(p, group)]
        if any(p.is_complex() for p in low):
            return False
        rows += [
            Row(group, p, local(p), _gradient(p, p.grad)) for p in params if p.grad is not None
        ]
    return native_step(optimizer, rows, scale, local)


def local(tensor: Tensor) -> Tensor:
    """Return the shard of this process; other tensors are returned as they are."""
    if not isinstance(tensor, DTensor):
        return tensor
    with torch.no_grad():
        return tensor.to_local()


def _gradient(p: Tensor, grad: Tensor) -> Tensor:
    if isinstance(grad, DTensor) and isinstance(p, DTensor) and grad.placements != p.placements:
        grad = grad.redistribute(placements=p.placements)
    return local(grad)


__all__ = ["local", "step"]
