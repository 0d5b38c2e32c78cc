"""Gradients of local losses: each block sees its own head, and nothing of what comes after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["local_gradients"]

Found = tuple[dict[str, Tensor], list[tuple[nn.Parameter, Tensor]]]


def local_gradients(
    model: nn.Module,
    heads: Mapping[str, nn.Module | None],
    loss: Callable[[Any, Any], Tensor],
    x: Any,
    y: Any,
) -> Found:
    """Gradients of the parameters of each block, by name, and of the parameters of all heads.

    Parameters
    ----------
    model : Module
        Called once, with gradients inside of blocks alone.
    heads : mapping of str to Module or None
        Blocks by name, and what predicts from their output.
    loss : callable
        ``loss(prediction, y)``.
    x, y : Any
        A batch.
    """
    grads: dict[str, Tensor] = {}
    learned: list[tuple[nn.Parameter, Tensor]] = []
    seen: list[str] = []

    def detached(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(v.detach() if isinstance(v, Tensor) else v for v in inputs)

    def learn(name: str, head: nn.Module | None) -> Callable[..., Any]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
            own = {f"{name}.{n}": p for n, p in module.named_parameters() if p.requires_grad}
            others = [] if head is None else [p for p in head.parameters() if p.requires_grad]
            value = loss(output if head is None else head(output), y)
            both = [*own.values(), *others]
            found: Any = torch.autograd.grad(value, both, allow_unused=True) if both else ()
            filled = [torch.zeros_like(p) if g is None else g for p, g in zip(both, found)]
            grads.update(zip(own, filled))
            learned.extend(zip(others, filled[len(own) :]))
            seen.append(name)
            return output.detach()

        return hook

    handles = []
    try:
        for name, head in heads.items():
            block = model.get_submodule(name)
            handles.append(block.register_forward_pre_hook(detached))
            handles.append(block.register_forward_hook(learn(name, head)))
        with torch.enable_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    if sorted(seen) != sorted(heads):
        raise ValueError(
            f"heads must name blocks that are called once, got calls of {seen}; name others"
        )
    return grads, learned
