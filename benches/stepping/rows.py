"""The rows of the targets: what is compared with what, and the ratios to reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

import thalweg.optim as ours
from thalweg import _core
from thalweg._registry import Rule, rules

# Small: gradients stay the same for thousands of steps, and values must stay ordinary.
LR = 1e-6

# Options that change which arrays a rule passes over, besides its defaults.
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "SGD": {"momentum": {"momentum": 0.9}},
    "Adam": {"amsgrad": {"amsgrad": True}},
    "RMSprop": {"momentum": {"momentum": 0.9}, "centered": {"centered": True}},
    "CLASSP": {"power 1.5": {"power": 1.5}},
    "AEGD": {"identity": {"preconditioner": "identity"}},
    "ExponentiatedGradient": {"adamw": {"base": "adamw"}},
    "OptimisticAMSGrad": {"last": {"guess": "last"}},
}

Make = Callable[[list[Tensor]], Callable[[], object]]


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    row: int
    method: str
    workload: str
    peer: str
    make: Make
    make_peer: Make
    bytes: float
    # Ratios at one thread and at more.
    must: tuple[float, float]
    stretch: tuple[float, float]
    # What comes right before each call: None, "idle" (20 ms) or "op" (torch, all threads).
    position: str | None = None
    # Compare seconds a byte, not seconds.
    per_byte: bool = False


def _step(cls: type, options: dict[str, Any], params: list[Tensor]) -> Callable[[], object]:
    optimizer = cls(params, lr=LR, **options)
    if getattr(optimizer, "needs_loss", False):
        return partial(optimizer.step, lambda: 1.0)
    return optimizer.step


def our(name: str, **options: Any) -> Make:
    return partial(_step, getattr(ours, name), options)


def fused(name: str, **options: Any) -> Make:
    return partial(_step, getattr(torch.optim, name), {**options, "fused": True})


def foreign(name: str, **options: Any) -> Make:
    """An optimizer of pytorch_optimizer; ImportError where it is missing."""

    def make(params: list[Tensor]) -> Callable[[], object]:
        import pytorch_optimizer

        return _step(getattr(pytorch_optimizer, name), options, params)

    return make


def eight_bits(module: str) -> Make:
    """AdamW8bit of another package; ImportError where it is missing."""

    def make(params: list[Tensor]) -> Callable[[], object]:
        return _step(import_module(module).AdamW8bit, {}, params)

    return make


def clipped(params: list[Tensor]) -> Callable[[], object]:
    step = fused("AdamW")(params)

    def run() -> None:
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        step()

    return run


def _bytes(rule: Rule, options: dict[str, Any]) -> int:
    """Bytes an element: four for each array read and each array written, in float32."""
    hyper = {**rule.defaults(), **options}
    # Parameter, gradient, parameter; each state twice; gradient and states of a measuring pass.
    found = 12 + 8 * len(_core.optim_states(rule.name, hyper))
    measured = _core.optim_traits(rule.name, hyper)["measured"]
    return found if measured is None else found + 4 * (1 + measured)


def _elementwise() -> Iterator[tuple[str, Make, int]]:
    for rule in rules().values():
        # The others are rules on matrices.
        if getattr(ours, rule.class_name).finish is None:
            for label, options in {"": {}, **VARIANTS.get(rule.class_name, {})}.items():
                name = f"{rule.class_name} {label}".strip()
                yield name, our(rule.class_name, **options), _bytes(rule, options)


ELEMENTWISE: dict[str, Make] = {name: make for name, make, _ in _elementwise()}
BYTES = {name: count for name, _, count in _elementwise()}


def cases(large: bool) -> list[Case]:
    """Every line; `large` adds the 124M parameters of W3."""
    adamw = partial(
        Case, method="AdamW", peer="torch fused", make=our("AdamW"), make_peer=fused("AdamW")
    )
    lists = ["W1", "W2", *(["W3"] if large else [])]
    found = [adamw(1, workload=w, bytes=28, must=(1.05, 1.05), stretch=(0.95, 0.95)) for w in lists]
    found.append(adamw(2, workload="W5", bytes=28, must=(0.75, 0.75), stretch=(0.55, 0.55)))
    found += _low_precision(adamw)
    found.append(adamw(4, workload="W4", bytes=28, must=(0.30, 0.20), stretch=(0.15, 0.08)))
    # The peer leaves gradients of norm 1 behind, which ours still has to scale.
    clip = partial(Case, 5, "AdamW clip_norm", peer="clip_grad_norm_ + fused")
    make = our("AdamW", clip_norm=0.5)
    limits = {"must": (0.85, 0.85), "stretch": (0.78, 0.78)}
    found += [clip(w, make=make, make_peer=clipped, bytes=32, **limits) for w in ("W1", "W2")]
    limits = {"must": (1.05, 1.05), "stretch": (0.95, 0.95)}
    for name, peer in (
        ("SGD momentum", fused("SGD", momentum=0.9)),
        ("Adagrad", fused("Adagrad")),
    ):
        nine = partial(Case, 9, name, peer="torch fused", make=ELEMENTWISE[name])
        found += [nine(w, make_peer=peer, bytes=BYTES[name], **limits) for w in ("W1", "W2")]
    peers = {
        "Lion": (10, 0.20, 0.16),
        "DiffGrad": (11, 0.20, 0.15),
        "AdEMAMix": (11, 0.20, 0.15),
        "Grams": (12, 0.15, 0.10),
        "Gravity": (12, 0.15, 0.10),
        "AdaBelief": (12, 0.15, 0.10),
    }
    for name, (row, must, stretch) in peers.items():
        found.append(_against_foreign(row, name, "W1", must, stretch))
    for name in peers:
        must, stretch = (0.25, 0.12) if name == "Lion" else (0.10, 0.05)
        found.append(_against_foreign(15, name, "W4", must, stretch))
    limits = {"must": (1.15, 1.15), "stretch": (1.0, 1.0), "per_byte": True}
    for name, make in ELEMENTWISE.items():
        options = {"make_peer": fused("AdamW"), "bytes": BYTES[name], **limits}
        found.append(Case(16, name, "W1", "torch fused AdamW", make, **options))
    for position in ("idle", "op"):
        limits = {"must": (1.30, 1.30), "stretch": (1.05, 1.05), "position": position}
        found.append(adamw(17, workload="W1", bytes=28, **limits))
    found.append(adamw(19, workload="one", bytes=28, must=(1.0, 1.0), stretch=(0.5, 0.5)))
    return found


def _low_precision(adamw: Callable[..., Case]) -> list[Case]:
    """Parameters in bfloat16, states in bfloat16 and int8."""
    half, byte = {"state_dtype": "bfloat16"}, {"state_dtype": "int8"}
    limits = {"must": (0.60, 0.80), "stretch": (0.45, 0.60), "bytes": 14}
    found = [
        adamw(3, workload=w, method=f"AdamW {name}", make=our("AdamW", **half, **more), **limits)
        for w in ("W1 bf16", "W2 bf16")
        for name, more in (("bf16", {}), ("bf16 stochastic", {"rounding": "stochastic"}))
    ]
    limits = {"must": (0.85, 0.85), "stretch": (0.78, 0.78), "bytes": 20}
    found.append(
        adamw(6, workload="W1", method="AdamW bf16 state", make=our("AdamW", **half), **limits)
    )
    # 2 x 4 / 256 bytes of scales, read and written.
    limits = {"must": (1.10, 0.85), "stretch": (0.95, 0.72), "bytes": 16.06}
    make = our("AdamW", **byte)
    found.append(adamw(7, workload="W1", method="AdamW int8 state", make=make, **limits))
    limits = {"must": (0.10, 0.10), "stretch": (0.03, 0.03), "bytes": 16.06, "make": make}
    for module in ("torchao.optim", "bitsandbytes.optim"):
        peer = {"peer": module.split(".")[0], "make_peer": eight_bits(module)}
        found.append(adamw(8, workload="W1", method="AdamW int8 state", **limits, **peer))
    return found


def _against_foreign(row: int, name: str, workload: str, must: float, stretch: float) -> Case:
    return Case(
        row,
        name,
        workload,
        "pytorch_optimizer",
        ELEMENTWISE[name],
        foreign(name),
        BYTES[name],
        (must, must),
        (stretch, stretch),
    )
