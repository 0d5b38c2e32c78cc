"""Which device, and arrays as shaders read them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg.gpu.device import chosen

Place = tuple[str | None, int | None]


def as_place(adapter: Any, max_binding: Any) -> Place:
    """Adapter and largest binding as the native functions take them."""
    if adapter is not None and not isinstance(adapter, (int, str)):
        raise TypeError(
            f"adapter must be a number, a name or None, got {type(adapter).__name__}; "
            "see thalweg.gpu.adapters()"
        )
    if max_binding is not None and (not isinstance(max_binding, int) or max_binding < 0):
        raise ValueError(
            f"max_binding must be a number of bytes or None, got {max_binding!r}; "
            "None is the most that the adapter allows"
        )
    return chosen(adapter), max_binding


def as_float32(values: Any, name: str, other: str) -> NDArray[np.float32]:
    """An array that shaders read; they have no float64."""
    if not isinstance(values, np.ndarray):
        raise TypeError(
            f"{name} must be a numpy array, got {type(values).__name__}; convert it with "
            "np.asarray(..., np.float32)"
        )
    if values.dtype != np.float32:
        raise TypeError(
            f"{name} must be float32 on a GPU, got {values.dtype}; convert it with "
            f"{name}.astype(np.float32), or use {other}"
        )
    return values
