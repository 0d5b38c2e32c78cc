"""The coins and batches of cyclic block coordinate descent, shared by arrays and torch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg.coordinate._matrix import choice, count, in_range
from thalweg.search._arguments import as_seed

Samples = NDArray[np.int64]


class Cycles:
    """When a cycle takes a full batch, and which samples it takes.

    Everything is a function of the seed, the number of the cycle and the block.
    """

    def __init__(
        self,
        method: str,
        n_samples: int | None,
        batch_size: int | None,
        small_batch_size: int | None,
        probability: float | None,
        seed: Any,
    ) -> None:
        self.method = choice("method", method, ("vro", "pccd"))
        self.n = None if n_samples is None else count("n_samples", n_samples)
        self.seed = as_seed(seed)
        if method == "pccd":
            given = (batch_size, small_batch_size, probability)
            if any(value is not None for value in given):
                raise ValueError(
                    "batch sizes and probability must be None with method='pccd', got others; "
                    "it takes all samples, use method='vro'"
                )
            self.batch, self.small, self.probability = self.n, None, 1.0
            return
        if self.n is None:
            raise ValueError("n_samples must be given with method='vro', got None; pass it")
        self.batch = self._size("batch_size", batch_size, self.n)
        small = math.ceil(math.sqrt(self.batch))
        self.small = self._size("small_batch_size", small_batch_size, small)
        usual = self.small / (self.batch + self.small)
        self.probability = usual if probability is None else float(probability)
        in_range("probability", self.probability, 0.0, 1.0, strict=True)

    def _size(self, name: str, value: int | None, default: int) -> int:
        size = default if value is None else count(name, value)
        if self.n is not None and size > self.n:
            raise ValueError(f"{name} must be <= {self.n}, the samples, got {size}; take fewer")
        return size

    def _random(self, cycle: int, block: int) -> np.random.Generator:
        # Counter words 2 and 3 are ours, the generator counts in words 0 and 1.
        counter = [0, 0, block, cycle]
        return np.random.Generator(np.random.Philox(key=self.seed, counter=counter))

    def anew(self, cycle: int) -> bool:
        """Whether the gradients of this cycle are made anew from a full batch: one coin."""
        return cycle == 0 or self._random(cycle, 0).random() < self.probability

    def samples(self, cycle: int, block: int, anew: bool) -> Samples | None:
        """Return the samples of one block, None for all."""
        size = self.batch if anew else self.small
        if size is None or self.n is None or size == self.n:
            return None
        # Block 0 of the generator is the coin.
        chosen = self._random(cycle, block + 1).choice(self.n, size, replace=False)
        return np.sort(chosen)

    def cost(self, anew: bool) -> float:
        """Component gradients of a cycle."""
        if anew or self.small is None:
            return float(self.batch or 1)
        return 2.0 * self.small

    def settings(self) -> dict[str, Any]:
        """What a resumed run must share."""
        return {
            "method": self.method,
            "n_samples": self.n,
            "batch_size": self.batch,
            "small_batch_size": self.small,
            "probability": self.probability,
            "seed": self.seed,
        }
