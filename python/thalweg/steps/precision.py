"""How states are stored in numpy arrays: bytes with scales, or the upper halves of singles."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg import _core

Array = NDArray[Any]
BLOCK = 256


def dequantize(state: Array, scale: Array | None = None) -> Array:
    """Return the numbers that a stored state stands for.

    Parameters
    ----------
    state : ndarray of uint8, uint16 or float, any shape
        Bytes of an int8 state, such as `rule.state[0]["exp_avg"]`; upper halves of singles, which
        are what a bfloat16 state holds; or a state in full precision, which is returned.
    scale : ndarray, shape (size / 256, rounded up), optional
        What lies beside the bytes, such as `rule.state[0]["exp_avg_scale"]`.

    Returns
    -------
    ndarray
        float32, of the shape of `state`.

    Raises
    ------
    ValueError
        If bytes come without their scale.

    Examples
    --------
    >>> import numpy as np
    >>> dequantize(np.array([127, 255, 0], np.uint8), np.array([2.0], np.float32)).tolist()
    [3.75, -3.75, 0.0]
    """
    if state.dtype == np.uint16:
        return (state.astype(np.uint32) << 16).view(np.float32)
    if state.dtype != np.uint8:
        return state
    if scale is None or scale.size != -(-state.size // BLOCK):
        raise ValueError(
            f"scale must be an array of {-(-state.size // BLOCK)} numbers, got "
            f"{None if scale is None else scale.shape}; pass the state named ..._scale"
        )
    values = np.empty_like(state, dtype=np.float32)
    _core.optim_decode(_flat(state), scale, _flat(values))
    return values


def stored(name: str, values: Array, state_dtype: str) -> dict[str, Array]:
    """Return the entries of a dense state of these values, rounded to nearest."""
    values = values.astype(np.float32)
    if state_dtype == "bfloat16":
        bits = values.view(np.uint32)
        rounded = ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)
        out = np.empty_like(rounded)
        out[...] = np.where(np.isnan(values), (bits >> 16) | 0x40, rounded)
        return {name: out}
    codes = np.empty_like(values, dtype=np.uint8)
    scale = np.empty(-(-values.size // BLOCK), np.float32)
    _core.optim_encode(_flat(values), _flat(codes), scale)
    return {name: codes, f"{name}_scale": scale}


def load(entry: dict[str, Array], state_dtype: str) -> dict[str, Array]:
    """Return a saved entry in another precision; states that have it already stay as they are."""
    kinds = {"bfloat16": np.dtype(np.uint16), "int8": np.dtype(np.uint8)}
    out: dict[str, Array] = {}
    for name, value in entry.items():
        scale = entry.get(f"{name}_scale")
        if name == "step":
            out[name] = value
        elif name.endswith("_scale") and name.removesuffix("_scale") in entry:
            continue
        elif value.dtype == kinds.get(state_dtype, np.float32):
            out[name] = value
            if scale is not None:
                out[f"{name}_scale"] = scale
        elif state_dtype == "float32":
            out[name] = dequantize(value, scale)
        else:
            out.update(stored(name, dequantize(value, scale), state_dtype))
    return out


def is_dense(array: Array) -> bool:
    """Return whether elements fill a stretch of memory, in any order of axes."""
    axes = sorted((s, n) for n, s in zip(array.shape, array.strides, strict=True) if n > 1)
    expected = array.itemsize
    for stride, size in axes:
        if stride != expected:
            return False
        expected *= size
    return True


def _flat(array: Array) -> Array:
    """Return the elements of a dense array in the order of memory, sharing them."""
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    return array.transpose(order).reshape(-1)
