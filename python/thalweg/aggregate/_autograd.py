"""Rows of a Jacobian from torch's autograd, in chunks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

from thalweg._extras import require
from thalweg.aggregate._base import integer


def vectorised(losses: Any) -> Any:
    """Losses as one tensor of shape (m,)."""
    torch = require("torch")
    if isinstance(losses, torch.Tensor):
        vector = losses.reshape(-1)
    else:
        parts = list(losses)
        for k, loss in enumerate(parts):
            if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
                given = tuple(getattr(loss, "shape", ())) or type(loss).__name__
                raise ValueError(
                    f"losses[{k}] must be a scalar tensor, got {given}; "
                    "reduce it, or pass one tensor of losses"
                )
        vector = torch.stack([loss.reshape(()) for loss in parts]) if parts else torch.empty(0)
    if not len(vector):
        raise ValueError("losses must be at least 1, got 0; give one scalar for each loss")
    if not vector.requires_grad:
        raise ValueError("losses must be differentiable, got none that require grad; see no_grad")
    return vector


def trainable(params: Any, name: str = "params") -> list[Any]:
    """The distinct parameters that require a gradient, in order."""
    torch = require("torch")
    if isinstance(params, torch.Tensor):
        params = [params]
    seen: dict[int, Any] = {}
    for param in params:
        if not isinstance(param, torch.Tensor):
            raise TypeError(
                f"{name} must be tensors, got {type(param).__name__}; pass parameters()"
            )
        if param.requires_grad:
            seen.setdefault(id(param), param)
    if not seen:
        raise ValueError(f"{name} must hold a tensor that requires grad, got none; check freezing")
    return list(seen.values())


def reaches(outputs: Any, params: Sequence[Any]) -> bool:
    """Whether the graph of `outputs` leads to one of `params`."""
    wanted = {id(param) for param in params}
    # A parameter that was itself computed is known by the function that made it.
    makers = {param.grad_fn for param in params if param.grad_fn is not None}
    seen: set[Any] = set()
    waiting = [outputs.grad_fn]
    while waiting:
        node = waiting.pop()
        if node in makers or id(getattr(node, "variable", None)) in wanted:
            return True
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [following for following, _ in node.next_functions]
    return False


def jacobians(
    outputs: Any,
    params: Sequence[Any],
    chunk_size: int | None,
    grad_outputs: Sequence[Any] | None = None,
    *,
    retain_graph: bool,
) -> list[Any]:
    """Jacobian of every parameter, (m, *shape), or None where no output reaches it.

    `outputs` is a vector of m losses, or a list of tensors with `grad_outputs` of m rows each.
    """
    torch = require("torch")
    if grad_outputs is None:
        m = len(outputs)
        outputs, eye = [outputs], torch.eye(m, dtype=outputs.dtype, device=outputs.device)
        grad_outputs = [eye]
    m = len(grad_outputs[0])
    size = m if chunk_size is None else min(m, integer(chunk_size, "chunk_size", 1))
    found: list[Any] = [None] * len(params)
    for start in range(0, m, size):
        rows = [g[start : start + size] for g in grad_outputs]
        keep = retain_graph or start + size < m
        parts = _grad(outputs, params, rows, keep)
        if size >= m:
            return parts
        for k, part in enumerate(parts):
            if part is not None:
                if found[k] is None:
                    found[k] = part.new_zeros((m, *part.shape[1:]))
                found[k][start : start + size] = part
    return found


def _grad(outputs: Any, params: Sequence[Any], rows: Sequence[Any], keep: bool) -> list[Any]:
    torch = require("torch")

    def call(grads: Sequence[Any], batched: bool, retain: bool) -> Any:
        return torch.autograd.grad(
            outputs, params, grads, retain_graph=retain, allow_unused=True, is_grads_batched=batched
        )

    if len(rows[0]) == 1:
        single = call([row[0] for row in rows], False, keep)
        return [None if part is None else part[None] for part in single]
    # An operator without a batching rule: one row after the other gives the same.
    with contextlib.suppress(RuntimeError):
        return list(call(rows, True, True))
    each = [call([row[k] for row in rows], False, True) for k in range(len(rows[0]))]
    return [
        None if parts[0] is None else torch.stack(list(parts)) for parts in zip(*each, strict=True)
    ]


def groups(params: Sequence[Any], m: int, limit: int) -> Iterable[list[Any]]:
    """Parameters in groups whose Jacobians take at most `limit` bytes, or one parameter."""
    group: list[Any] = []
    total = 0
    for param in params:
        size = m * param.numel() * param.element_size()
        if group and total + size > limit:
            yield group
            group, total = [], 0
        group.append(param)
        total += size
    yield group


def store(param: Any, gradient: Any) -> None:
    """Add to `.grad`."""
    gradient = gradient.to(param.dtype)
    if param.grad is None:
        param.grad = gradient
    else:
        param.grad = param.grad + gradient
