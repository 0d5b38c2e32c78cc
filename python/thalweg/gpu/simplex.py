"""The probability simplex on a GPU."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from thalweg import _core
from thalweg.gpu._place import as_float32, as_place
from thalweg.project._engine import number


def simplex(
    x: NDArray[np.float32],
    radius: float = 1.0,
    axis: int = -1,
    *,
    adapter: int | str | None = None,
    max_binding: int | None = None,
) -> NDArray[np.float32]:
    """Project many points onto the probability simplex by a shader.

    Use it for batches of long points; for few of them the CPU is done before a graphics card
    begins.

    Parameters
    ----------
    x : ndarray of float32, shape (..., n)
        Points, n at most 2**24. Not modified.
    radius : float, default 1.0
        Sum of every projected point: 0, or within the normal range of float32.
    axis : int, default -1
        Axis along which the entries of one point lie.
    adapter : int or str, optional
        Number or part of the name of an adapter; by default that of `THALWEG_GPU_ADAPTER`, else
        the first one.
    max_binding : int, optional
        Bytes of a buffer at most; as many as the adapter allows by default.

    Returns
    -------
    ndarray of float32, shape (..., n)
        Nearest points: entries >= 0, sum `radius` along `axis`.

    Raises
    ------
    TypeError
        If x is no float32 array.
    ValueError
        If x holds NaN or infinity, radius is out of range, n = 0, or a row fits no buffer.
    RuntimeError
        If there is no adapter, or the device is lost.

    Notes
    -----
    A workgroup a point, sums in pairs of floats: entries equal those of `thalweg.project.simplex`
    within 1e-6 of themselves and 1e-10 of `radius`. Numbers below 1.2e-38 count as 0.

    References
    ----------
    Michelot 1986, "A finite algorithm for finding the projection of a point onto the canonical
    simplex of R^n", J. Optim. Theory Appl. 50.

    Examples
    --------
    >>> simplex(np.array([[0.5, 1.0], [3.0, 0.0]], np.float32)).tolist()
    [[0.25, 0.75], [1.0, 0.0]]
    """
    points = as_float32(x, "x", "thalweg.project.simplex")
    if not -points.ndim <= axis < points.ndim:
        raise ValueError(
            f"axis must be in [{-points.ndim}, {points.ndim - 1}], got {axis}; -1 is the last"
        )
    turned = np.moveaxis(points, axis, -1)
    n = turned.shape[-1]
    rows = np.ascontiguousarray(turned).reshape(math.prod(turned.shape[:-1]), n)
    out = _core.gpu_simplex(rows, number(radius, "radius"), as_place(adapter, max_binding))
    return np.ascontiguousarray(np.moveaxis(out.reshape(turned.shape), -1, axis))
