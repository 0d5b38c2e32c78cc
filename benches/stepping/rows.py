"""The rows of the targets: what is compared with what, and the ratios to reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

import thalweg.optim as ours

# Small: gradients stay the same for thousands of steps, and values must stay ordinary.
LR = 1e-6

# Bytes an element: four for each array read and each array written, in float32.
BYTES = {
    "SGD": 12,
    "SGD momentum": 20,
    "Lion": 20,
    "Gravity": 24,
    "Adam": 28,
    "Adam amsgrad": 36,
    "AdamW": 28,
    "AdaMomentum": 28,
    "Adamax": 28,
    "Grams": 28,
    "DiffGrad": 36,
    "AdEMAMix": 36,
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
    return cls(params, lr=LR, **options).step


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


def clipped(params: list[Tensor]) -> Callable[[], object]:
    step = fused("AdamW")(params)

    def run() -> None:
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        step()

    return run


ELEMENTWISE: dict[str, Make] = {
    "SGD": our("SGD"),
    "SGD momentum": our("SGD", momentum=0.9),
    "Lion": our("Lion"),
    "Gravity": our("Gravity"),
    "Adam": our("Adam"),
    "Adam amsgrad": our("Adam", amsgrad=True),
    "AdamW": our("AdamW"),
    "AdaMomentum": our("AdaMomentum"),
    "Adamax": our("Adamax"),
    "Grams": our("Grams"),
    "DiffGrad": our("DiffGrad"),
    "AdEMAMix": our("AdEMAMix"),
}


def cases(large: bool) -> list[Case]:
    """Every line; `large` adds the 124M parameters of W3."""
    adamw = partial(
        Case, method="AdamW", peer="torch fused", make=our("AdamW"), make_peer=fused("AdamW")
    )
    lists = ["W1", "W2", *(["W3"] if large else [])]
    found = [adamw(1, workload=w, bytes=28, must=(1.05, 1.05), stretch=(0.95, 0.95)) for w in lists]
    found.append(adamw(2, workload="W5", bytes=28, must=(0.75, 0.75), stretch=(0.55, 0.55)))
    found.append(adamw(4, workload="W4", bytes=28, must=(0.30, 0.20), stretch=(0.15, 0.08)))
    # The peer leaves gradients of norm 1 behind, which ours still has to scale.
    clip = partial(Case, 5, "AdamW clip_norm", peer="clip_grad_norm_ + fused")
    make = our("AdamW", clip_norm=0.5)
    limits = {"must": (0.85, 0.85), "stretch": (0.78, 0.78)}
    found += [clip(w, make=make, make_peer=clipped, bytes=32, **limits) for w in ("W1", "W2")]
    sgd = partial(Case, 9, "SGD momentum", peer="torch fused", make=ELEMENTWISE["SGD momentum"])
    limits = {"must": (1.05, 1.05), "stretch": (0.95, 0.95)}
    peer = fused("SGD", momentum=0.9)
    found += [sgd(w, make_peer=peer, bytes=20, **limits) for w in ("W1", "W2")]
    peers = {
        "Lion": (10, 0.20, 0.16),
        "DiffGrad": (11, 0.20, 0.15),
        "AdEMAMix": (11, 0.20, 0.15),
        "Grams": (12, 0.15, 0.10),
        "Gravity": (12, 0.15, 0.10),
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
