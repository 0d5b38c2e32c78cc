"""Arrays that a stateful aggregator keeps, in the kind and place of the Jacobian."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from thalweg.aggregate._rows import Rows, is_tensor


def finite(rows: Rows) -> bool:
    """Whether the rows hold neither NaN nor infinity."""
    return rows.is_finite()


def zeros(rows: Rows, m: int) -> list[Any]:
    """Zero matrices with m rows, one a block; half precision is kept in float32."""
    out = []
    for block in rows.blocks:
        data = block.data
        if is_tensor(data):
            torch = sys.modules["torch"]
            wide = data.dtype if data.dtype == torch.float64 else torch.float32
            out.append(data.new_zeros((m, data.shape[1]), dtype=wide))
        else:
            out.append(np.zeros((m, data.shape[1]), data.dtype))
    return out


def sharing(like: Any, values: Any) -> Any:
    """`values` in the kind, dtype and place of `like`."""
    if is_tensor(like):
        torch = sys.modules["torch"]
        return torch.as_tensor(values).to(device=like.device, dtype=like.dtype)
    return np.asarray(values, dtype=like.dtype)


def column(like: Any, values: Any) -> Any:
    """One value a row, as a column in the kind, dtype and place of the matrix `like`."""
    return sharing(like, values)[:, None]


def kept(known: Any, key: Any, name: str) -> None:
    """Refuse a change of shapes or dtype in the middle of a run."""
    if known is not None and [list(map(str, k)) for k in known] != [list(map(str, k)) for k in key]:
        raise ValueError(
            f"jacobian must be of shapes and dtypes {known}, as in earlier calls of {name}, "
            f"got {key}; call reset() before a new problem"
        )
