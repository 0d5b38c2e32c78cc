"""Inner products of gradients on a GPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from thalweg import _core
from thalweg.gpu._place import as_float32, as_place

Matrix = NDArray[np.float32]


def gramian(
    jacobian: Matrix | Sequence[Matrix],
    *,
    adapter: int | str | None = None,
    max_binding: int | None = None,
) -> NDArray[np.float64]:
    """Inner products of the rows of a Jacobian of few rows, by a shader.

    Parameters
    ----------
    jacobian : ndarray of float32, shape (m, d), or list of them of shape (m, ...)
        A row for each loss. What does not fit a buffer is sent in pieces of columns.
    adapter : int or str, optional
        Number or part of the name of an adapter; by default that of `THALWEG_GPU_ADAPTER`, else
        the first one.
    max_binding : int, optional
        Bytes of a buffer at most; as many as the adapter allows by default.

    Returns
    -------
    ndarray of float64, shape (m, m)

    Raises
    ------
    TypeError
        If jacobian is no float32 array.
    ValueError
        For NaN or infinity, no rows, different numbers of them, or so many that m x m numbers fit
        no buffer.
    RuntimeError
        If there is no adapter, or the device is lost.

    Notes
    -----
    Products are exact, sums are pairs of floats in a fixed order: entry (i, j) is within 1e-10 of
    |g_i| |g_j|. Rows are scaled by powers of two, so nothing overflows; entries below 2^-126 of
    the largest of their row count as 0. O(m^2 d).

    Examples
    --------
    >>> gramian(np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)).tolist()
    [[5.0, 11.0], [11.0, 25.0]]
    """
    given = [jacobian] if isinstance(jacobian, np.ndarray) else list(jacobian)
    if not given:
        raise ValueError("jacobian must be at least one array, got none; pass one of shape (m, d)")
    blocks = []
    for block in given:
        array = as_float32(block, "jacobian", "thalweg.aggregate.gramian")
        if array.ndim < 2 or len(array) == 0:
            raise ValueError(
                f"jacobian must be of shape (m, d) with m > 0, got {array.shape}; pass a row a loss"
            )
        blocks.append(np.ascontiguousarray(array.reshape(len(array), -1)))
    m = len(blocks[0])
    if any(len(block) != m for block in blocks):
        raise ValueError(
            f"jacobian must have the same number of rows in every block, got "
            f"{sorted({len(block) for block in blocks})}; pass a row a loss"
        )
    out: NDArray[np.float64] = _core.gpu_gramian(blocks, as_place(adapter, max_binding))
    return out.reshape(m, m)
