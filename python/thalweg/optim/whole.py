"""Distributed tensors as a whole, on every process the same; other tensors are left as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor
from typing_extensions import TypeIs

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def is_distributed(tensor: Tensor) -> TypeIs[DTensor]:
    """Whether a tensor is a DTensor; does not import them."""
    return hasattr(tensor, "full_tensor")


def full(tensor: Tensor) -> Tensor:
    """Return the whole of a tensor, gathered where it is distributed."""
    return tensor.full_tensor() if is_distributed(tensor) else tensor


def put(tensor: Tensor, value: Tensor) -> None:
    """Copy the whole `value` into a tensor; each process keeps its shard of a distributed one."""
    if is_distributed(tensor):
        from torch.distributed.tensor import distribute_tensor

        # Without a source every process cuts its shard from the value that it has itself.
        value = distribute_tensor(
            value.to(tensor.dtype), tensor.device_mesh, tensor.placements, src_data_rank=None
        ).to_local()
        tensor.to_local().copy_(value)
    else:
        tensor.copy_(value)


__all__ = ["full", "is_distributed", "put"]
