"""What the learning rules share: one call that fills `.grad`, one that predicts, seeded draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thalweg.search._arguments import as_seed
from thalweg.search._evaluating import evaluating


class Rule(nn.Module):
    """A module whose `backward` fills `.grad` without backpropagation through the network."""

    def __init__(self, seed: int | np.random.Generator | None) -> None:
        super().__init__()
        self._seed, self._draws = as_seed(seed), 0

    def backward(self, inputs: Tensor, targets: Tensor) -> float:
        """Add the gradients of one batch to `.grad` and return its loss."""
        raise NotImplementedError

    @torch.no_grad()
    def predict(self, inputs: Tensor) -> Tensor:
        """Score the classes, in evaluation mode and without gradients.

        Parameters
        ----------
        inputs : Tensor, shape (n, ...)
            Samples.

        Returns
        -------
        Tensor, shape (n, classes)
            Scores; the class is their argmax.
        """
        with evaluating(self):
            scores: Tensor = self(inputs)
        return scores

    def normal(self, *shape: int, like: Tensor, stream: int | None = None) -> Tensor:
        """Standard Gaussians that depend on the seed and on the number of draws before, alone.

        They are drawn on the CPU, so that all devices see the same ones. With `stream`, the draw
        depends on that number instead and leaves the count as it is.
        """
        key = [self._seed, 0, self._draws] if stream is None else [self._seed, 1, stream]
        self._draws += stream is None
        state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(state) >> 1)
        return torch.randn(shape, generator=generator, dtype=like.dtype).to(like.device)

    def get_extra_state(self) -> dict[str, Any]:
        """State beyond tensors, part of `state_dict()`."""
        return {"seed": self._seed, "draws": self._draws}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore what `get_extra_state` returned."""
        self._seed, self._draws = int(state["seed"]), int(state["draws"])


def accumulate(parameters: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> None:
    """Add to `.grad`, as torch's backward does; frozen parameters are left alone."""
    for p, g in zip(parameters, gradients, strict=True):
        if not p.requires_grad or g is None:
            continue
        if p.grad is None:
            p.grad = g.detach().clone()
        else:
            p.grad.add_(g.detach())


def check_inputs(inputs: Any) -> None:
    """Refuse inputs that are no finite samples."""
    if not isinstance(inputs, Tensor):
        raise TypeError(
            f"inputs must be a torch tensor, got {type(inputs).__name__}; use torch.as_tensor"
        )
    if inputs.dim() < 1 or len(inputs) == 0:
        raise ValueError(
            f"inputs must hold at least one sample, got shape {tuple(inputs.shape)}; "
            "leave empty batches out"
        )
    if inputs.is_floating_point() and not bool(torch.isfinite(inputs).all()):
        raise ValueError("inputs must be finite, got NaN or infinity; clean the batch")


def check_classes(inputs: Tensor, targets: Any, classes: int) -> None:
    """Refuse targets that are not one class index a sample."""
    if not isinstance(targets, Tensor) or targets.dtype not in (torch.int64, torch.int32):
        given = targets.dtype if isinstance(targets, Tensor) else type(targets).__name__
        raise TypeError(f"targets must be class indices in an int64 tensor, got {given}")
    if targets.shape != inputs.shape[:1]:
        raise ValueError(
            f"targets must be of shape ({len(inputs)},), got {tuple(targets.shape)}; "
            "pass one class a sample"
        )
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= classes:
        raise ValueError(
            f"targets must be in [0, {classes}), got {low if low < 0 else high}; "
            "number the classes from 0"
        )


def check_positive(name: str, value: float, usual: float, least: float = 0.0) -> float:
    """Refuse what is not a finite number above `least`."""
    if not (math.isfinite(value) and value > least):
        raise ValueError(f"{name} must be > {least:g}, got {value}; a usual value is {usual}")
    return float(value)


def check_count(name: str, value: Any, least: int, usual: int) -> int:
    """Refuse what is not an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} must be an integer >= {least}, got {value}; try {usual}")
    return int(value)
