"""What methods share that take several gradients: closures, points away from home, wrappers.

A closure computes the loss of the same minibatch wherever the parameters are, and returns it. It
may call `backward` itself, as for torch's LBFGS (one that accumulates over micro-batches or scales
its loss does); where it does not, the method calls it when it needs the gradient, so that a look at
the loss alone stays cheap. Gradients are cleared before each call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _NormBase
from typing_extensions import override

from thalweg import _core
from thalweg.optim.whole import full, is_distributed

Closure = Callable[[], Any]


def look(closure: Closure | None, params: Sequence[Tensor]) -> Tensor:
    """Return the loss where the parameters are; their gradients are cleared before.

    Raises
    ------
    TypeError
        If there is no closure, or it returns no number.
    ValueError
        If the loss has more than one element, or is NaN or infinite.
    """
    if closure is None:
        raise TypeError("closure must be a function that returns the loss, got None; pass it")
    for p in params:
        p.grad = None
    with torch.enable_grad():
        loss = closure()
    if isinstance(loss, (int, float)):
        loss = torch.tensor(float(loss))
    if not isinstance(loss, Tensor):
        raise TypeError(
            f"closure must return the loss, got {type(loss).__name__}; end it with `return loss`"
        )
    if loss.numel() != 1:
        raise ValueError(
            f"closure must return a loss of one element, got shape {tuple(loss.shape)}; "
            "return loss.mean()"
        )
    if not bool(loss.detach().isfinite().all()):
        raise ValueError(
            f"closure must return a finite loss, got {float(loss.detach())}; lower the learning "
            "rate or look at the data"
        )
    return loss


def differentiate(loss: Tensor, params: Sequence[Tensor]) -> None:
    """Fill the gradients from what `look` returned, unless the closure did.

    Raises
    ------
    ValueError
        If the loss does not depend on the parameters.
    """
    if all(p.grad is None for p in params):
        if not loss.requires_grad:
            raise ValueError(
                "closure must return a loss that depends on the parameters, or call backward "
                "itself; got one without graph, and no gradients"
            )
        torch.autograd.backward(loss)


def gradients(closure: Closure | None, params: Sequence[Tensor]) -> Tensor:
    """Fill the gradients where the parameters are; return the loss, without its graph."""
    loss = look(closure, params)
    differentiate(loss, params)
    return loss.detach()


@contextmanager
def away(params: Sequence[Tensor], values: Sequence[Tensor]) -> Iterator[None]:
    """Give parameters other values inside the block; theirs come back, bit for bit, after it.

    The parameters look at the memory of `values` meanwhile, so that nothing is copied; shards of a
    DTensor, whose memory others hold, are copied there and back.
    """
    sharded = any(is_distributed(p) for p in params)
    # Views of the same memory, without the graph.
    homes = [p.data for p in params]
    if sharded:
        homes = [home.clone() if is_distributed(home) else home for home in homes]
    move = _copy if sharded else _swap
    try:
        move(params, values)
        yield
    finally:
        move(params, homes)


def _swap(params: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for p, value in zip(params, values, strict=True):
        p.data = value


def _copy(params: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for p, value in zip(params, values, strict=True):
            if is_distributed(p):
                p.copy_(value)
            else:
                p.data = value


@contextmanager
def still(model: torch.nn.Module | None) -> Iterator[None]:
    """Let a model run without changing the running statistics of its normalization layers."""
    layers = [] if model is None else [m for m in model.modules() if isinstance(m, _NormBase)]
    kept = [(b, b.clone()) for layer in layers for b in layer.buffers(recurse=False)]
    try:
        yield
    finally:
        for buffer, value in kept:
            buffer.copy_(value)


class Wrapper(torch.optim.Optimizer):
    """Base of what steps through another optimizer; its groups and its state are that one's.

    Hyperparameters of the wrapper stand in the groups, beside those of `base`: schedulers change
    them, groups have their own, and checkpoints hold them. A wrapper of a wrapper is possible.
    """

    def __init__(self, base: torch.optim.Optimizer, hyper: dict[str, Any]) -> None:
        if not isinstance(base, torch.optim.Optimizer):
            raise TypeError(
                f"base must be an optimizer, got {type(base).__name__}; "
                "try AdamW(model.parameters())"
            )
        for group in base.param_groups:
            self._check({**hyper, **group})
        self.base = base
        self._hyper = hyper
        # Not torch's constructor, which would make groups and state of its own.
        super().__setstate__({"defaults": {**base.defaults, **hyper}})
        for group in base.param_groups:
            for name, value in hyper.items():
                group.setdefault(name, value)

    def _check(self, group: dict[str, Any]) -> None:
        """Raise for hyperparameters of the wrapper outside their range."""

    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The groups of the optimizer inside."""
        return self.base.param_groups

    @property
    def state(self) -> Any:  # type: ignore[override]
        """The state of the optimizer inside."""
        return self.base.state

    @override
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if isinstance(param_group, dict):
            param_group = {**self._hyper, **param_group}
            self._check(param_group)
        self.base.add_param_group(param_group)

    @override
    def state_dict(self) -> dict[str, Any]:
        return self.base.state_dict()

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.base.load_state_dict(state_dict)
        for group in self.param_groups:
            for name, value in self._hyper.items():
                group.setdefault(name, value)

    @override
    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "base": self.base, "_hyper": self._hyper}

    def params(self) -> list[Tensor]:
        """Every parameter, group by group."""
        return [p for group in self.param_groups for p in group["params"]]


def norm(tensors: Sequence[Tensor]) -> float:
    """Euclidean norm of all elements together, in float64 where the core reaches.

    Raises
    ------
    TypeError
        For sparse tensors.
    """
    total = _core.optim_total_norm(list(tensors), 2.0)
    if total is not None:
        return total
    if any(t.is_sparse for t in tensors):
        raise TypeError("gradients must be dense, got a sparse one; pass sparse=False to the layer")
    return float(full(torch.nn.utils.get_total_norm(tensors)))


__all__ = ["Closure", "Wrapper", "away", "differentiate", "gradients", "look", "norm", "still"]
