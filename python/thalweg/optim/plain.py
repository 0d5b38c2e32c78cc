"""One step in plain torch operations: any device, any subclass, the same options.

The core never calls this; it runs where the core does not reach, and tests hold one against the
other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from thalweg import _core

if TYPE_CHECKING:
    from thalweg.optim.optimizer import Optimizer


def step(optimizer: Optimizer, grad_scale: float) -> None:
    """Step every parameter that has a gradient."""
    from thalweg.optim.host import TorchHost

    pairs = [
        (group, p)
        for group in optimizer.param_groups
        for p in group["params"]
        if p.grad is not None
    ]
    for group, p in pairs:
        optimizer._check(group)
        if p.grad.layout != torch.strided:
            TorchHost(optimizer).conform([p, p.grad])
        _check_shapes(optimizer, group, p)
    if optimizer.on_nonfinite != "propagate":
        bad = [n for n, (_, p) in enumerate(pairs) if not bool(torch.isfinite(p.grad).all())]
        if bad and optimizer.on_nonfinite == "skip":
            return
        if bad:
            raise ValueError(
                f"grad of parameter {bad[0]} holds NaN or infinity; lower the learning rate, "
                'clip, or pass on_nonfinite="skip"'
            )
    norm = math.nan
    if any(group["clip_norm"] is not None for group, _ in pairs):
        squares = [float(_wide(p.grad).double().square().sum()) for _, p in pairs]
        norm = math.sqrt(sum(squares)) / grad_scale
    for group, p in pairs:
        _step_one(optimizer, group, p, p.grad, norm, grad_scale)


def _check_shapes(optimizer: Optimizer, group: dict[str, Any], p: Tensor) -> None:
    if optimizer.finish is not None and (p.dim() != 2 or p.is_complex()):
        raise ValueError(
            f"each parameter of {type(optimizer).__name__} must be a matrix (2-D), got one of "
            f"shape {tuple(p.shape)}; give other parameters to another optimizer, such as AdamW"
        )
    for name, _ in _core.optim_states(optimizer.rule, group):
        state = optimizer.state.get(p, {}).get(name)
        if state is not None and state.shape != p.shape:
            raise ValueError(
                f"state of shape {tuple(state.shape)} does not match its parameter of shape "
                f"{tuple(p.shape)}; load the checkpoint of this model"
            )


def _wide(tensor: Tensor) -> Tensor:
    """Real, and at least single precision."""
    tensor = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _step_one(
    optimizer: Optimizer,
    group: dict[str, Any],
    p: Tensor,
    grad: Tensor,
    norm: float,
    grad_scale: float,
) -> None:
    from thalweg.optim.host import TorchHost

    rule = optimizer._rule()
    hyper = {key: group[key] for key in rule.defaults()}
    state = optimizer.state[p]
    names = [name for name, _ in _core.optim_states(optimizer.rule, group)]
    specs = [("step", 0.0)] * rule.counts + _core.optim_states(optimizer.rule, group)
    missing = [spec for spec in specs if state.get(spec[0]) is None]
    if missing:
        state.update(TorchHost(optimizer).init(p, missing, group))
    if rule.counts:
        state["step"] += 1
        t = int(state["step"])
    else:
        t = 1 if missing else 2

    x, g = _wide(p.detach()), _wide(grad.detach()) / grad_scale
    if group["clip_norm"] is not None:
        g = g * min(1.0, group["clip_norm"] / (norm + 1e-6)) if norm == norm else g * norm
    if group["clip_value"] is not None:
        g = g.clamp(-group["clip_value"], group["clip_value"])
    g = -g if group["maximize"] else g
    weight_decay, lr = group["weight_decay"], group["lr"]
    if group["decay"] == "coupled" and weight_decay != 0.0:
        g = g + weight_decay * x
    states = [_wide(state[name]) for name in names]
    u, *states = optimizer.reference(x, g, *states, t=t, **hyper)
    if group["mask"] == "cautious":
        agree = (u.sign() * g.sign()) > 0
        if group["mask_scale"] == "mean":
            scale = 1.0 / agree.to(x.dtype).mean().clamp(min=1e-3)
        else:
            scale = u.numel() / (agree.sum().to(x.dtype) + 1.0)
        u = torch.where(agree, u * scale, torch.zeros_like(u))
    elif group["mask"] == "grams":
        u = g.sign() * u.abs()
    if optimizer.finish is not None:
        u = optimizer.finish(u, **hyper)
    if group["decay"] == "decoupled":
        x = x * (1 - lr * weight_decay) - u
    elif group["decay"] == "cautious":
        towards = (u.sign() * x.sign()) >= 0
        x = x - (u + lr * weight_decay * torch.where(towards, x, torch.zeros_like(x)))
    else:
        x = x - u
    (torch.view_as_real(p) if p.is_complex() else p).copy_(x)
    for name, new in zip(names, states, strict=True):
        old = state[name]
        (torch.view_as_real(old) if old.is_complex() else old).copy_(new)
