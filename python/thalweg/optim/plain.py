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
from thalweg.optim import precision

if TYPE_CHECKING:
    from thalweg.optim.optimizer import Optimizer


def step(optimizer: Optimizer, grad_scale: float) -> None:
    """Step every parameter that has a gradient."""
    from thalweg.optim.host import TorchHost

    params = [(group, p) for group in optimizer.param_groups for p in group["params"]]
    numbers = [number for number, (_, p) in enumerate(params) if p.grad is not None]
    pairs = [params[number] for number in numbers]
    for group, p in pairs:
        optimizer._check(group)
        if p.grad.layout != torch.strided:
            TorchHost(optimizer).conform([p, p.grad], [], None)
        if hasattr(p, "to_local") and (precision.is_random(group) or precision.is_split(p, group)):
            raise NotImplementedError(
                f"state_dtype={group['state_dtype']!r} with rounding={group['rounding']!r} takes "
                f"no sharded parameter ({type(p).__name__}); keep state_dtype='float32' and "
                "rounding='nearest'"
            )
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
    for number, (group, p) in zip(numbers, pairs, strict=True):
        _step_one(optimizer, number, group, p, p.grad, norm, grad_scale)


def _check_shapes(optimizer: Optimizer, group: dict[str, Any], p: Tensor) -> None:
    if optimizer.finish is not None and (p.dim() != 2 or p.is_complex()):
        raise ValueError(
            f"each parameter of {type(optimizer).__name__} must be a matrix (2-D), got one of "
            f"shape {tuple(p.shape)}; give other parameters to another optimizer, such as AdamW"
        )
    shapes = (p.shape, torch.view_as_real(p).shape if p.is_complex() else p.shape)
    for name, _ in _core.optim_states(optimizer.rule, group):
        state = optimizer.state.get(p, {}).get(name)
        if state is not None and state.shape not in shapes:
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
    number: int,
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
    counts, split = rule.counts or precision.is_random(group), precision.is_split(p, group)
    specs = [("step", 0.0)] * counts + [("compensation", 0.0)] * split
    specs += _core.optim_states(optimizer.rule, group)
    missing = [spec for spec in specs if state.get(spec[0]) is None]
    if missing:
        state.update(TorchHost(optimizer).init(p, missing, group))
    clock = 0
    if counts:
        state["step"] += 1
        clock = int(state["step"])
    t = clock if rule.counts else 1 if any(spec[0] in names for spec in missing) else 2

    x, g = _wide(p.detach()), _wide(grad.detach()) / grad_scale
    if split:
        x = x + _wide(state["compensation"])
    if group["clip_norm"] is not None:
        g = g * min(1.0, group["clip_norm"] / (norm + 1e-6)) if norm == norm else g * norm
    if group["clip_value"] is not None:
        g = g.clamp(-group["clip_value"], group["clip_value"])
    g = -g if group["maximize"] else g
    weight_decay, lr = group["weight_decay"], group["lr"]
    if group["decay"] == "coupled" and weight_decay != 0.0:
        g = g + weight_decay * x
    states = [_load(state, name).to(x.dtype) for name in names]
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
    _move(p, x, group, state, number, clock)
    for slot, (name, new) in enumerate(zip(names, states, strict=True), 1):
        old = state[name]
        if old.dtype in (torch.uint8, torch.bfloat16):
            key = precision.dither(number, slot, clock) if precision.is_random(group) else None
            precision.store(old, state.get(precision.scale_name(name)), new, key)
        else:
            (torch.view_as_real(old) if old.is_complex() else old).copy_(new)


def _load(state: dict[str, Any], name: str) -> Tensor:
    """Return a state as numbers to compute with."""
    if state[name].dtype == torch.uint8:
        return precision.dequantize(state[name], state[precision.scale_name(name)])
    return _wide(state[name])


def _move(
    p: Tensor, x: Tensor, group: dict[str, Any], state: dict[str, Any], number: int, clock: int
) -> None:
    """Round new values into a parameter."""
    real = torch.view_as_real(p) if p.is_complex() else p
    if precision.is_split(p, group):
        real.copy_(x)
        rest = torch.where(real.isfinite(), x - real.to(x.dtype), torch.zeros_like(x))
        state["compensation"].copy_(rest)
    elif group["rounding"] == "stochastic" and p.dtype in (torch.bfloat16, torch.float16):
        dense = torch.empty_like(precision.layout(p), dtype=x.dtype).copy_(x)
        real.copy_(precision.rounded(dense, p.dtype, precision.dither(number, 0, clock)))
    else:
        real.copy_(x)
