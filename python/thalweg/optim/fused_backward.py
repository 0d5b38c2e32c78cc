"""Steps inside the backward pass: each gradient is used and freed before the next one exists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from thalweg.optim.optimizer import Optimizer
from thalweg.optim.whole import is_distributed

O = TypeVar("O", bound=Optimizer)  # noqa: E741


def fuse_backward(model: torch.nn.Module, factory: Callable[[list[tuple[str, Tensor]]], O]) -> O:
    """Make an optimizer that steps each parameter inside the backward pass.

    Use it where gradients do not fit into memory beside parameters and state: only those of a layer
    or two exist at a time.

    Parameters
    ----------
    model : torch.nn.Module
        Its parameters that require gradients are stepped; tied ones once.
    factory : callable
        Takes the named parameters and returns an optimizer of `thalweg.optim` over them, such as
        `lambda p: AdamW(p, lr=1e-3)`.

    Returns
    -------
    Optimizer
        What `factory` returned, with hooks on the parameters. The loop around it may stay as it is:
        `step()` finds nothing left to step and returns what its closure returned. Schedulers,
        `param_groups`, `state_dict` and checkpoints are those of the ordinary loop.

    Raises
    ------
    TypeError
        If `factory` returns something else.
    ValueError
        For a model wrapped in `DistributedDataParallel` or `fully_shard`, whose gradients are
        complete only after the backward pass; and with `clip_norm`, or `on_nonfinite="skip"` or
        "raise", which need all gradients before the first step.

    Notes
    -----
    Gradients cannot be accumulated over several backward passes, or scaled by a `GradScaler`: a
    step follows each pass at once. A second backward pass through the same graph finds parameters
    changed, and torch says so. A tied parameter below `checkpoint(..., use_reentrant=True)` steps
    once a segment; use `use_reentrant=False`. Neither pickling nor copying keeps the hooks;
    `unfuse_backward` takes them off.

    Examples
    --------
    >>> import torch
    >>> from thalweg.optim import AdamW
    >>> model = torch.nn.Linear(3, 1)
    >>> optimizer = fuse_backward(model, lambda p: AdamW(p, lr=1e-2))
    >>> before = model.weight.detach().clone()
    >>> model(torch.ones(2, 3)).sum().backward()
    >>> bool((model.weight != before).all()), model.weight.grad
    (True, None)
    """
    parallel = torch.nn.parallel.DistributedDataParallel
    if isinstance(model, parallel) or any(is_distributed(p) for p in model.parameters()):
        raise ValueError(
            f"model must hold whole parameters with whole gradients, got {type(model).__name__} in "
            "a distributed form; step after the backward pass, as usual"
        )
    named: list[tuple[str, Tensor]] = [
        (name, p) for name, p in model.named_parameters() if p.requires_grad
    ]
    optimizer = factory(named)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"factory must return an optimizer of thalweg.optim, got {type(optimizer).__name__}; "
            "try lambda p: AdamW(p)"
        )
    for group in optimizer.param_groups:
        _check(optimizer, group)
    unfuse_backward(optimizer)
    places = {p: group for group in optimizer.param_groups for p in group["params"]}
    # Keeps the place of a parameter, not its group: loading a checkpoint replaces the groups.
    numbers = {p: n for n, group in enumerate(optimizer.param_groups) for p in group["params"]}
    optimizer._backward_hooks = [
        p.register_post_accumulate_grad_hook(_hook(optimizer, numbers[p])) for p in places
    ]
    return optimizer


def unfuse_backward(optimizer: Optimizer) -> None:
    """Take the hooks of `fuse_backward` off; the optimizer then steps in `step()` alone."""
    for handle in optimizer._backward_hooks:
        handle.remove()
    optimizer._backward_hooks = []


def _hook(optimizer: Optimizer, number: int) -> Callable[[Tensor], None]:
    def step(p: Tensor) -> None:
        group = optimizer.param_groups[number]
        _check(optimizer, group)
        optimizer._advance([(group, [p])], 1.0, whole=False)
        p.grad = None

    return step


def _check(optimizer: Optimizer, group: dict[str, Any]) -> None:
    for name, given, allowed in (
        ("clip_norm", group["clip_norm"], None),
        ("on_nonfinite", optimizer.on_nonfinite, "propagate"),
    ):
        if given != allowed:
            raise ValueError(
                f"{name} must be {allowed!r} for steps inside the backward pass, got {given!r}; "
                "it needs all gradients at once, use clip_value or the ordinary loop"
            )


__all__ = ["fuse_backward", "unfuse_backward"]
