"""One step in plain torch operations: any device, any subclass, the same options.

The core never calls this; it runs where the core does not reach, and tests hold one against the
other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from thalweg import _core

if TYPE_CHECKING:
    from thalweg.optim.optimizer import Optimizer


@dataclass
class Call:
    """What all parameters of a call share."""

    grad_scale: float
    loss: float | None
    # Norm of all gradients, for clipping.
    norm: float = math.nan
    # The largest step number.
    number: int = 1
    shared: dict[str, Any] = field(default_factory=dict)


def step(optimizer: Optimizer, grad_scale: float, loss: float | None = None) -> None:
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
        if optimizer.needs_loss:
            _core.optim_admit(optimizer.rule, group, loss)
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
    call = Call(grad_scale, loss)
    if any(group["clip_norm"] is not None for group, _ in pairs):
        squares = [float(_wide(p.grad).double().square().sum()) for _, p in pairs]
        call.norm = math.sqrt(sum(squares)) / grad_scale
    counters = [optimizer.state.get(p, {}).get("step") for _, p in pairs]
    call.number = max((1 + int(0 if n is None else n) for n in counters), default=1)
    if optimizer.shared is not None:
        call.shared = optimizer.shared([_gradient(group, p, call)[1] for group, p in pairs])
    for group, p in pairs:
        _step_one(optimizer, group, p, call)


def _check_shapes(optimizer: Optimizer, group: dict[str, Any], p: Tensor) -> None:
    if optimizer.finish is not None and (p.dim() != 2 or p.is_complex()):
        raise ValueError(
            f"each parameter of {type(optimizer).__name__} must be a matrix (2-D), got one of "
            f"shape {tuple(p.shape)}; give other parameters to another optimizer, such as AdamW"
        )
    for name, *_ in _core.optim_states(optimizer.rule, group):
        state = optimizer.state.get(p, {}).get(name)
        if state is not None and state.shape != p.shape:
            raise ValueError(
                f"state of shape {tuple(state.shape)} does not match its parameter of shape "
                f"{tuple(p.shape)}; load the checkpoint of this model"
            )


def _wide(tensor: Tensor) -> Tensor:
    """Dense, real, and at least single precision."""
    tensor = tensor if tensor.layout == torch.strided else tensor.to_dense()
    tensor = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _gradient(
    group: dict[str, Any], p: Tensor, call: Call, own_decay: bool = False
) -> tuple[Tensor, Tensor]:
    """Return the parameter, and the gradient as the rule sees it."""
    assert p.grad is not None
    x, g = _wide(p.detach()), _wide(p.grad.detach()) / call.grad_scale
    if group["clip_norm"] is not None:
        norm = call.norm
        g = g * min(1.0, group["clip_norm"] / (norm + 1e-6)) if norm == norm else g * norm
    if group["clip_value"] is not None:
        g = g.clamp(-group["clip_value"], group["clip_value"])
    g = -g if group["maximize"] else g
    if group["decay"] == "coupled" and group["weight_decay"] != 0.0 and not own_decay:
        g = g + group["weight_decay"] * x
    return x, g


def _step_one(optimizer: Optimizer, group: dict[str, Any], p: Tensor, call: Call) -> None:
    from thalweg.optim.host import TorchHost

    rule = optimizer._rule()
    traits = _core.optim_traits(optimizer.rule, group)
    own = traits["own_decay"]
    x, g = _gradient(group, p, call, own)
    context = {key: group[key] for key in rule.defaults()} | call.shared
    state = optimizer.state[p]
    specs = _core.optim_states(optimizer.rule, group)
    names = [name for name, *_ in specs]
    counter = [("step", "counter", 0.0, 1)] * rule.counts
    every = [*counter, *specs, *traits["scalars"]]
    host = TorchHost(optimizer)
    missing = [spec for spec in every if state.get(spec[0]) is None]
    if missing:
        state.update(host.init(p, missing, group))
    if rule.counts:
        state["step"] += 1
        t = int(state["step"])
    else:
        t = 1 if missing else 2
    if traits["noise"] is not None:
        draws = np.empty(x.numel())
        _core.optim_normal(draws, traits["noise"], host.number(p) << 40 | t)
        context["noise"] = torch.from_numpy(draws).reshape(x.shape).to(x)
    weight_decay, decay = group["weight_decay"], group["decay"]
    context |= {
        "t": t,
        "call": call.number,
        "loss": call.loss,
        "scalars": {name: state[name] for name, *_ in traits["scalars"]},
        "own_decay": {decay: weight_decay} if own else {},
    }
    states = [_wide(state[name]) for name in names]
    u, *states = optimizer.reference(x, g, *states, **context)
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
        u = optimizer.finish(u, **context)
    x = _move(optimizer, x, u, 0.0 if own else weight_decay, decay, context)
    (torch.view_as_real(p) if p.is_complex() else p).copy_(x)
    for name, new in zip(names, states, strict=True):
        old = state[name]
        (torch.view_as_real(old) if old.is_complex() else old).copy_(new)


def _move(
    optimizer: Optimizer,
    x: Tensor,
    u: Tensor,
    weight_decay: float,
    decay: str,
    context: dict[str, Any],
) -> Tensor:
    """Decay and step."""
    strength = optimizer.rate(**context) * weight_decay
    factor: Tensor | float = 1.0
    if decay == "decoupled":
        factor = 1.0 - strength
    elif decay == "cautious":
        towards = (u.sign() * x.sign()) >= 0
        factor = 1.0 - strength * towards.to(x.dtype)
    if optimizer.retract is not None:
        return optimizer.retract(x, x * factor, u, **context)
    if decay == "cautious":
        return x - (u + (1.0 - factor) * x)
    return x * factor - u
