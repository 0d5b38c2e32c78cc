"""Layers of a network, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Attention", "Dense", "Routed", "floats"]

Floats = NDArray[np.float32]

_UNITS = {"linear", "relu", "tanh", "sign", "threshold", "staircase", "lif"}


@dataclass
class Dense:
    """A dense layer and its units, z = W h + b.

    Parameters
    ----------
    weights : array_like, shape (outputs, inputs)
        W, as in `torch.nn.Linear`.
    bias : array_like, shape (outputs,), optional
        b, zeros by default.
    unit : str, default "relu"
        "linear", "relu", "tanh"; "sign" (-1 or +1, +1 at 0); "threshold" (0 or 1, 1 at 0);
        "staircase" (floor(levels sigmoid(z)) / levels); "lif" (leaky integrate-and-fire,
        v = beta v + z, a spike and v = 0 where v >= threshold, over `steps` steps).
    levels : int, default 5
        Levels of the staircase, 2 to 64.
    beta, threshold, steps : float, float, int, default 0.95, 1.0, 15
        Numbers of the spiking unit: beta in [0, 1], threshold > 0, 1 to 63 steps. A layer without
        spikes above a spiking one reads the spike counts; so does the loss.
    scale : float, optional
        Use scale * clip(round(W / scale)) instead of W (and of b): integer weights.
    bits : int, default 8
        Bits of those integers, 2 to 16.
    """

    weights: ArrayLike
    bias: ArrayLike | None = None
    unit: str = "relu"
    levels: int = 5
    beta: float = 0.95
    threshold: float = 1.0
    steps: int = 15
    scale: float | None = None
    bits: int = 8

    @classmethod
    def random(
        cls,
        inputs: int,
        outputs: int,
        unit: str = "relu",
        *,
        rng: np.random.Generator | int | None = None,
        bias: float = 0.0,
        **numbers: Any,
    ) -> Dense:
        """A layer with weights and biases uniform in +-1/sqrt(inputs), as `torch.nn.Linear`.

        `bias` is added to the biases: spiking outputs start better at 0.2, where every class
        fires for some sample.
        """
        rng = np.random.default_rng(rng)
        bound = 1.0 / np.sqrt(inputs)
        weights = rng.uniform(-bound, bound, (outputs, inputs))
        return cls(weights, rng.uniform(-bound, bound, outputs) + bias, unit, **numbers)

    def _parts(self) -> tuple[str, list[Dense]]:
        return "dense", [self]

    def _native(self, name: str) -> tuple[Any, ...]:
        weights = floats(self.weights, f"{name} weights", 2)
        zeros = np.zeros(len(weights), np.float32)
        bias = zeros if self.bias is None else floats(self.bias, f"{name} bias", 1)
        if bias.shape != weights.shape[:1]:
            raise ValueError(
                f"{name} bias of shape {bias.shape} does not match weights of shape "
                f"{weights.shape}; pass one bias an output"
            )
        if self.unit not in _UNITS:
            allowed = ", ".join(sorted(_UNITS))
            raise ValueError(f"unit must be one of {allowed}, got {self.unit!r}; pick one of these")
        numbers: list[float] = []
        if self.unit == "staircase":
            numbers = [self.levels]
        elif self.unit == "lif":
            numbers = [self.beta, self.threshold, self.steps]
        rounding = None if self.scale is None else (float(self.scale), self.bits)
        return weights, bias, self.unit, numbers, rounding


@dataclass
class Attention:
    """Argmax attention: y = (V h + c) * sigmoid(key_s), s the slot with the largest key_s h + b_s.

    Parameters
    ----------
    keys : Dense
        Keys (slots, inputs) and score offsets (slots,); 2 to 16 slots, unit "linear".
    values : Dense
        V (inputs, inputs) and c (inputs,), unit "linear".
    """

    keys: Dense
    values: Dense

    @classmethod
    def random(
        cls, inputs: int, slots: int, *, rng: np.random.Generator | int | None = None
    ) -> Attention:
        """Keys N(0, 1/4) without offsets, values as `Dense.random`."""
        rng = np.random.default_rng(rng)
        keys = Dense(rng.normal(0.0, 0.5, (slots, inputs)), None, "linear")
        return cls(keys, Dense.random(inputs, inputs, "linear", rng=rng))

    def _parts(self) -> tuple[str, list[Dense]]:
        return "attention", [self.keys, self.values]


@dataclass
class Routed:
    """Hard mixture of experts: the expert with the largest gate alone sees the sample.

    y = W2_e relu(W1_e h + b1_e) + b2_e.

    Parameters
    ----------
    gate : Dense
        Gate (experts, inputs) and offsets; 2 to 16 experts, unit "linear".
    experts : sequence of (Dense, Dense)
        Hidden layer (unit "relu") and output layer (unit "linear") of every expert, all with the
        same number of outputs.
    """

    gate: Dense
    experts: Sequence[tuple[Dense, Dense]]

    @classmethod
    def random(
        cls,
        inputs: int,
        hidden: int,
        outputs: int,
        experts: int = 4,
        *,
        rng: np.random.Generator | int | None = None,
    ) -> Routed:
        """All parts as `Dense.random`."""
        rng = np.random.default_rng(rng)
        pairs = [
            (
                Dense.random(inputs, hidden, rng=rng),
                Dense.random(hidden, outputs, "linear", rng=rng),
            )
            for _ in range(experts)
        ]
        return cls(Dense.random(inputs, experts, "linear", rng=rng), pairs)

    def _parts(self) -> tuple[str, list[Dense]]:
        return "routed", [self.gate, *(part for pair in self.experts for part in pair)]


def floats(values: ArrayLike, name: str, ndim: int) -> Floats:
    """A non-empty float32 array of so many dimensions, or an error that names it."""
    array = np.asarray(values)
    if array.ndim != ndim or array.size == 0:
        raise ValueError(
            f"{name} must be a non-empty array of {ndim} dimensions, got shape {array.shape}; "
            "reshape it"
        )
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be numbers, got {array.dtype}; convert it to float32")
    return np.ascontiguousarray(array, np.float32)
