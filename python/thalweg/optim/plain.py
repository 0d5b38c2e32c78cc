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
from thalweg._registry import rules
from thalweg.optim import kernels, precision
from thalweg.optim.whole import full, put

if TYPE_CHECKING:
    from thalweg.optim.optimizer import Optimizer
    from thalweg.optim.stand_in import Row


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


def step(optimizer: Optimizer, rows: list[Row], grad_scale: float) -> None:
    """Step the parameters of some rows."""
    from thalweg.optim.host import TorchHost
    from thalweg.optim.optimizer import class_of

    for group in {id(row.group): row.group for row in rows}.values():
        optimizer._check(group)
        if class_of(optimizer, group).needs_loss:
            _core.optim_admit(group["rule"], group, optimizer._loss)
    taken, rest = kernels.take(optimizer, rows)
    for group, p, target, grad in rest:
        if grad.layout != torch.strided:
            TorchHost(optimizer).conform([target, grad], [], None)
        low = precision.is_random(group) or precision.is_split(p, group)
        if hasattr(p, "to_local") and low:
            raise NotImplementedError(
                f"a step that looks at whole tensors (by its rule, clip_norm, mask='cautious', "
                f"on_nonfinite or telemetry) of sharded parameters ({type(p).__name__}) with "
                f"state_dtype={group['state_dtype']!r} and rounding={group['rounding']!r} is not "
                "supported; keep state_dtype='float32' and rounding='nearest'"
            )
        check_shapes(optimizer, group, p)
    if optimizer.on_nonfinite != "propagate":
        finite = _numbers([torch.isfinite(full(row.grad)).all() for row in rows])
        bad = [n for n, good in enumerate(finite) if not good]
        if bad and optimizer.on_nonfinite == "skip":
            return
        if bad:
            raise ValueError(
                f"grad of parameter {bad[0]} holds NaN or infinity; lower the learning rate, "
                'clip, or pass on_nonfinite="skip"'
            )
    call = Call(grad_scale, optimizer._loss)
    if any(row.group["clip_norm"] is not None for row in rows):
        squares = [_wide(full(row.grad)).double().square().sum() for row in rows]
        call.norm = math.sqrt(sum(_numbers(squares))) / grad_scale
    counters = [optimizer.state.get(row.p, {}).get("step") for row in rest]
    clocks = [1 + int(0 if n is None else n) for n in counters]
    call.number = max((1, *clocks, *(item.clock for item in taken)))
    if any(class_of(optimizer, row.group).shared is not None for row in rows):
        call.shared = _shared(optimizer, rows, call)
    kernels.step(optimizer, taken, call)
    observed = [_step_one(optimizer, row, call) for row in rest]
    if optimizer._telemetry is not None:
        optimizer._telemetry.record([row.p for row in rows], [r for r in observed if r])


def _shared(optimizer: Optimizer, rows: list[Row], call: Call) -> dict[str, Any]:
    """Return what rules that look at all of their parameters see in them."""
    from thalweg.optim.optimizer import class_of

    found: dict[str, Any] = {}
    for rule in dict.fromkeys(row.group["rule"] for row in rows):
        ours = [row for row in rows if row.group["rule"] == rule]
        look = class_of(optimizer, ours[0].group).shared
        if look is not None:
            found |= look([_gradient(row, call)[1] for row in ours])
    return found


def _numbers(values: list[Tensor]) -> list[float]:
    """Return tensors of one element as numbers, waiting for each device once."""
    found: dict[int, float] = {}
    for device in dict.fromkeys(value.device for value in values):
        there = [n for n, value in enumerate(values) if value.device == device]
        found.update(zip(there, torch.stack([values[n] for n in there]).tolist(), strict=True))
    return [found[n] for n in range(len(values))]


def check_shapes(optimizer: Optimizer, group: dict[str, Any], p: Tensor) -> None:
    """Raise where a parameter or its state does not suit the rule of its group."""
    from thalweg.optim.optimizer import class_of

    if class_of(optimizer, group).finish is not None and (p.dim() < 2 or p.is_complex()):
        raise ValueError(
            f"each parameter of {class_of(optimizer, group).__name__} must be a matrix, or have "
            f"more axes that follow each other in memory, got one of shape {tuple(p.shape)}; give "
            "other parameters to another optimizer, such as AdamW"
        )
    shapes = (p.shape, precision.real_shape(p))
    for name, *_ in _core.optim_states(group["rule"], group):
        state = optimizer.state.get(p, {}).get(name)
        if state is not None and state.shape not in shapes:
            raise ValueError(
                f"state of shape {tuple(state.shape)} does not match its parameter of shape "
                f"{tuple(p.shape)}; load the checkpoint of this model"
            )


def _wide(tensor: Tensor) -> Tensor:
    """Dense, real, and at least single precision."""
    tensor = tensor if tensor.layout == torch.strided else tensor.to_dense()
    tensor = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _gradient(row: Row, call: Call, own_decay: bool = False) -> tuple[Tensor, Tensor]:
    """Return the parameter, and the gradient as the rule sees it."""
    group = row.group
    x, g = _wide(full(row.target.detach())), _wide(full(row.grad.detach())) / call.grad_scale
    if group["clip_norm"] is not None:
        norm = call.norm
        g = g * min(1.0, group["clip_norm"] / (norm + 1e-6)) if norm == norm else g * norm
    if group["clip_value"] is not None:
        g = g.clamp(-group["clip_value"], group["clip_value"])
    g = -g if group["maximize"] else g
    if group["decay"] == "coupled" and group["weight_decay"] != 0.0 and not own_decay:
        g = g + group["weight_decay"] * x
    return x, g


def _step_one(optimizer: Optimizer, row: Row, call: Call) -> tuple[float, ...] | None:
    from thalweg.optim.host import TorchHost
    from thalweg.optim.optimizer import class_of

    group, p, target, grad = row
    rule, cls = rules()[group["rule"]], class_of(optimizer, group)
    traits = _core.optim_traits(rule.name, group)
    own = traits["own_decay"]
    x, g = _gradient(row, call, own)
    context = {key: group[key] for key in rule.defaults()} | call.shared
    state = optimizer.state[p]
    specs = _core.optim_states(rule.name, group)
    names = [name for name, *_ in specs]
    counts, split = rule.counts or precision.is_random(group), precision.is_split(p, group)
    beside = [("step", "counter", 0.0, 1)] * counts
    beside += [("compensation", "compensation", 0.0, 1)] * split
    host = TorchHost(optimizer)
    started = [*specs, *traits["scalars"]]
    missing = [spec for spec in [*beside, *started] if state.get(spec[0]) is None]
    if missing:
        state.update(host.init(p, missing, group))
    clock = 0
    if counts:
        state["step"] += 1
        clock = int(state["step"])
    t = clock if rule.counts else 1 if any(spec in started for spec in missing) else 2
    if split:
        x = x + _wide(state["compensation"])
    if traits["noise"] is not None:
        draws = np.empty(x.numel())
        _core.optim_noise(draws, traits["noise"], host.number(p) << 40 | t)
        context["noise"] = torch.from_numpy(draws).reshape(x.shape).to(x)
    weight_decay, decay = group["weight_decay"], group["decay"]
    context |= {
        "t": t,
        "call": call.number,
        "loss": call.loss,
        "scalars": {name: state[name] for name, *_ in traits["scalars"]},
        "own_decay": {decay: weight_decay} if own else {},
    }
    before = x.clone()
    states = [_load(state, name).to(x.dtype) for name in names]
    signs = states[-1:] if group["update_sign"] is not None else []
    u, *states = cls.reference(x, g, *states[: len(states) - len(signs)], **context)
    if group["mask"] == "cautious":
        agree = (u.sign() * g.sign()) > 0
        if group["mask_scale"] == "mean":
            scale = 1.0 / agree.to(x.dtype).mean().clamp(min=1e-3)
        else:
            scale = u.numel() / (agree.sum().to(x.dtype) + 1.0)
        u = torch.where(agree, u * scale, torch.zeros_like(u))
    elif group["mask"] == "grams":
        u = g.sign() * u.abs()
    if cls.finish is not None:
        u = cls.finish(u.flatten(1), **context).reshape(u.shape)
    for sign in signs:
        u = u * sign
    x = _moved(cls, x, u, 0.0 if own else weight_decay, decay, context)
    number = host.number(p) if precision.is_random(group) else 0
    _round(target, x, group, state, number, clock)
    for slot, (name, new) in enumerate(zip(names, [*states, *signs], strict=True), 1):
        old = state[name]
        if precision.is_random(group) and old.dtype in (torch.uint8, torch.bfloat16):
            key = precision.dither(number, slot, clock)
            precision.store(old, state.get(precision.scale_name(name)), new, key)
        else:
            put(_real(old), new)
    if optimizer._telemetry is None:
        return None
    raw = _wide(full(grad.detach())) / call.grad_scale
    norms = [float(t.double().norm()) for t in (raw, x - before, x)]
    both = norms[0] * norms[1]
    product = float((raw.double() * (before - x).double()).sum())
    return (*norms, product / both if both else 0.0)


def _load(state: dict[str, Any], name: str) -> Tensor:
    """Return a state as numbers to compute with."""
    if state[name].dtype == torch.uint8:
        return precision.dequantize(state[name], state[precision.scale_name(name)])
    return _wide(full(state[name]))


def _round(
    p: Tensor, x: Tensor, group: dict[str, Any], state: dict[str, Any], number: int, clock: int
) -> None:
    """Round new values into a parameter."""
    real = _real(p)
    if precision.is_split(p, group):
        real.copy_(x)
        rest = torch.where(real.isfinite(), x - real.to(x.dtype), torch.zeros_like(x))
        state["compensation"].copy_(rest)
    elif group["rounding"] == "stochastic" and p.dtype in (torch.bfloat16, torch.float16):
        dense = torch.empty_like(precision.layout(p), dtype=x.dtype).copy_(x)
        real.copy_(precision.rounded(dense, p.dtype, precision.dither(number, 0, clock)))
    else:
        put(real, x)


def _moved(
    cls: type[Optimizer],
    x: Tensor,
    u: Tensor,
    weight_decay: float,
    decay: str,
    context: dict[str, Any],
) -> Tensor:
    """Decay and step."""
    strength = cls.rate(**context) * weight_decay
    factor: Tensor | float = 1.0
    if decay == "decoupled":
        factor = 1.0 - strength
    elif decay == "cautious":
        towards = (u.sign() * x.sign()) >= 0
        factor = 1.0 - strength * towards.to(x.dtype)
    if cls.retract is not None:
        return cls.retract(x, x * factor, u, **context)
    if decay == "cautious":
        return x - (u + (1.0 - factor) * x)
    return x * factor - u


def _real(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor
