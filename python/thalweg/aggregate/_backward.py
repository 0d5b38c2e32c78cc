"""From losses to `.grad`, through an aggregator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from thalweg._extras import require
from thalweg.aggregate._autograd import (
    groups,
    jacobians,
    reaches,
    store,
    trainable,
    vectorised,
)
from thalweg.aggregate._base import Aggregator, Linear, Weighted, choice
from thalweg.aggregate._rows import Rows

_HELD = 1 << 28  # bytes of Jacobian that memory="auto" holds
_UNREACHED = "losses must depend on params, got none that does; check the graph"
_BLOCK = 1 << 26  # bytes of Jacobian held at a time where only the Gramian is needed


def backward(
    losses: Any,
    params: Any,
    aggregator: Aggregator,
    *,
    chunk_size: int | None = None,
    memory: str = "auto",
    scaler: Any = None,
    sync: str | None = None,
    retain_graph: bool = False,
) -> None:
    """Fill `.grad` with the aggregate of the gradients of several losses.

    Use it in place of `loss.backward()`.

    Parameters
    ----------
    losses : Tensor of any shape, or sequence of scalar Tensors
        The m losses.
    params : iterable of Tensor
        Parameters; frozen ones (`requires_grad=False`) are left alone, and so is the `.grad` of one
        that no loss reaches. A loss that does not reach a parameter contributes zeros to it; one
        that reaches none is a row of zeros, whatever the aggregator.
    aggregator : Aggregator
        What combines the gradients.
    chunk_size : int, optional
        Losses differentiated at a time by vmap; all by default, 1 for one after the other.
    memory : {"auto", "jacobian", "gramian"}, default "auto"
        "jacobian" holds all m gradients. "gramian" accumulates the Gramian over groups of
        parameters, 64 MiB of Jacobian at a time (one parameter's at least), then runs one ordinary
        backward pass of the weighted loss; for aggregators with `weights`. "auto" does the latter
        from 256 MiB on.
    scaler : torch.amp.GradScaler, optional
        Scales each loss; its gradient is unscaled before aggregation, and the result scaled, so
        that `scaler.step` and `scaler.unscale_` work as usual.
    sync : {None, "mean"}
        "mean" averages the Jacobian (under "gramian": the Gramian) over the ranks of the default
        process group, so that all ranks aggregate the same numbers.
    retain_graph : bool, default False
        Keep the graph of the losses.

    Raises
    ------
    ValueError
        If there is no loss, no trainable parameter, none that a loss reaches, or `memory="gramian"`
        does not suit.
    TypeError
        If `aggregator` is not one.

    Notes
    -----
    Non-finite gradients fill `.grad` with NaN, which GradScaler skips. In DDP, hooks do not see the
    m gradients: nothing is synchronised unless `sync` asks (see docs/aggregate.md).

    Examples
    --------
    >>> from thalweg.aggregate import DualProj, backward
    >>> import torch
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> backward([x[0], -x[0] + x[1]], [x], DualProj())
    >>> x.grad.tolist()
    [0.0, 0.5]
    """
    _check_aggregator(aggregator)
    vector = vectorised(losses)
    wanted = trainable(params)
    m = len(vector)
    choice(memory, "memory", ["auto", "jacobian", "gramian"])
    _check_sync(sync)
    if memory == "gramian" and not isinstance(aggregator, Weighted):
        raise ValueError(
            f'memory must be "jacobian" for {type(aggregator).__name__}, got "gramian"; '
            "it needs more than the Gramian"
        )
    size = sum(m * param.numel() * param.element_size() for param in wanted)
    by_gramian = memory == "gramian" or (
        memory == "auto" and isinstance(aggregator, Weighted) and size > _HELD
    )
    scaled = vector if scaler is None else scaler.scale(vector)
    if by_gramian:
        assert isinstance(aggregator, Weighted)
        gramian = _gramian(scaled, wanted, chunk_size, _scale(scaler), sync, aggregator)
        weights = aggregator.weights(gramian)
        if aggregator._vanishes(gramian, weights):
            weights = np.zeros_like(weights)
        total = scaled @ scaled.new_tensor(weights)
        total.backward(inputs=wanted, retain_graph=retain_graph)
        return
    found = jacobians(scaled, wanted, chunk_size, retain_graph=retain_graph)
    _apply(wanted, found, aggregator, vector.detach(), scaler, sync)


def mtl_backward(
    losses: Any,
    features: Any,
    tasks_params: Sequence[Any],
    shared_params: Any,
    aggregator: Aggregator,
    *,
    chunk_size: int | None = None,
    scaler: Any = None,
    sync: str | None = None,
    retain_graph: bool = False,
) -> None:
    """Fill `.grad` of a shared trunk by aggregation, of each task's head by its own loss.

    Use it in multi-task learning: the heads are differentiated once, and only the trunk m times.

    Parameters
    ----------
    losses : sequence of scalar Tensors, or Tensor of shape (m,)
        A loss for each task.
    features : Tensor or sequence of Tensors
        What the heads receive from the trunk.
    tasks_params : sequence of iterables of Tensor
        Parameters of each head; may be empty. A parameter of several heads gets their sum.
    shared_params : iterable of Tensor
        Parameters of the trunk.
    aggregator, chunk_size, scaler, sync, retain_graph
        As in `backward`.

    Raises
    ------
    ValueError
        If the numbers of losses and heads differ, or a parameter is both shared and a task's.

    Examples
    --------
    >>> from thalweg.aggregate import Mean
    >>> import torch
    >>> w, a, b = (torch.tensor(v, requires_grad=True) for v in (1.0, 2.0, -1.0))
    >>> z = w * 3.0
    >>> mtl_backward([a * z, b * z], z, [[a], [b]], [w], Mean())
    >>> [round(v.grad.item(), 4) for v in (w, a, b)]
    [1.5, 3.0, 3.0]
    """
    torch = require("torch")
    _check_aggregator(aggregator)
    vector = vectorised(losses)
    m = len(vector)
    heads = [list(params) for params in tasks_params]
    if len(heads) != m:
        raise ValueError(
            f"tasks_params must be of length {m}, the number of losses, got {len(heads)}; "
            "give the parameters of each head"
        )
    wanted = trainable(shared_params, "shared_params")
    shared = {id(param) for param in wanted}
    if any(id(param) in shared for params in heads for param in params):
        raise ValueError(
            "shared_params must have no parameter in common with tasks_params, got an overlap; "
            "keep what the features depend on in shared_params"
        )
    _check_sync(sync)
    inputs = [features] if isinstance(features, torch.Tensor) else list(features)
    scaled = vector if scaler is None else scaler.scale(vector)
    rows = [x.new_zeros((m, *x.shape)) for x in inputs]
    pending: list[tuple[Any, Any]] = []
    for k in range(m):
        own = [param for param in heads[k] if param.requires_grad]
        grads = torch.autograd.grad(scaled[k], inputs + own, retain_graph=True, allow_unused=True)
        for row, grad in zip(rows, grads):
            if grad is not None:
                row[k] = grad
        pending += [(p, g) for p, g in zip(own, grads[len(inputs) :]) if g is not None]
    found = jacobians(inputs, wanted, chunk_size, rows, retain_graph=retain_graph)
    _apply(wanted, found, aggregator, vector.detach(), scaler, sync)
    for param, gradient in pending:
        store(param, _averaged(gradient, sync))


def _check_aggregator(aggregator: Any) -> None:
    if not callable(aggregator) or isinstance(aggregator, type):
        given = aggregator if isinstance(aggregator, type) else type(aggregator)
        raise TypeError(
            f"aggregator must be an Aggregator, got {given.__name__}; pass UPGrad() for one"
        )


def _scale(scaler: Any) -> float:
    return 1.0 if scaler is None else float(scaler.get_scale())


def _apply(
    params: Sequence[Any],
    found: Sequence[Any],
    aggregator: Aggregator,
    losses: Any,
    scaler: Any,
    sync: str | None,
) -> None:
    """Aggregate Jacobians and store the result."""
    reached = [(p, j) for p, j in zip(params, found) if j is not None]
    if not reached:
        raise ValueError(_UNREACHED)
    scale = _scale(scaler)
    rows = []
    for _, jacobian in reached:
        jacobian = _averaged(jacobian, sync)
        if scaler is not None:
            # Unscaled half-precision gradients would underflow.
            jacobian = (jacobian.float() if jacobian.element_size() < 4 else jacobian) / scale
        rows.append(jacobian)
    if getattr(aggregator, "needs_losses", False):
        out = aggregator(rows, losses)  # type: ignore[call-arg]
    else:
        out = aggregator(rows)
    for (param, _), gradient in zip(reached, out):
        store(param, gradient if scaler is None else gradient * scale)


def _gramian(
    losses: Any,
    params: Sequence[Any],
    chunk_size: int | None,
    scale: float,
    sync: str | None,
    aggregator: Weighted,
) -> Any:
    """The Gramian of the unscaled losses, group by group of the parameters."""
    m = len(losses)
    total = np.zeros((m, m))
    if isinstance(aggregator, Linear):
        # Its weights do not depend on the Gramian.
        if not reaches(losses, params):
            raise ValueError(_UNREACHED)
        return total
    none = True
    for group in groups(params, m, _BLOCK):
        found = jacobians(losses, group, chunk_size, retain_graph=True)
        reached = [jacobian for jacobian in found if jacobian is not None]
        if reached:
            total += Rows(reached).gramian()
            none = False
    if none:
        raise ValueError(_UNREACHED)
    total /= scale * scale
    if sync is None:
        return total
    return _averaged(losses.new_tensor(total, dtype=require("torch").float64), sync).cpu().numpy()


def _check_sync(sync: str | None) -> None:
    if sync is None:
        return
    choice(sync, "sync", ["mean"])
    distributed = require("torch").distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        raise ValueError("sync must be None without a process group, got 'mean'; initialise one")


def _averaged(tensor: Any, sync: str | None) -> Any:
    if sync is None:
        return tensor
    distributed = require("torch").distributed
    tensor = tensor.contiguous()
    distributed.all_reduce(tensor)
    return tensor / distributed.get_world_size()
