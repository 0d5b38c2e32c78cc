"""What state buffers hold before the first step, beyond plain constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg import _core

# Name, kind ("constant", "normal", "columns", "counter", "wide"), value, how many numbers.
Spec = tuple[str, str, float, int]


def column_signs(shape: Sequence[int], share: float, seed: int, stream: int) -> NDArray[Any]:
    """Return -1 in a share of the columns (the second axis) and 1 elsewhere, as `shape`."""
    signs = np.ones(shape)
    if len(shape) >= 2:
        columns = shape[1]
        draws = np.empty(columns)
        _core.optim_normal(draws, seed, stream)
        flipped = np.argsort(draws, kind="stable")[: round(share * columns)]
        signs[:, flipped] = -1.0
    return signs
