"""The Gramian as a function."""

from __future__ import annotations

import sys
from typing import Any

from thalweg.aggregate._rows import Rows, is_tensor


def gramian(jacobian: Any) -> Any:
    """Inner products of the rows of a Jacobian, accumulated in float64.

    Parameters
    ----------
    jacobian : ndarray or Tensor of shape (m, d), or list of them of shape (m, ...)
        A row for each loss. A list is never concatenated.

    Returns
    -------
    ndarray or Tensor of shape (m, m)
        float64, on the device of `jacobian` (float32 where that has no float64).

    Raises
    ------
    TypeError, ValueError
        As for an aggregator.

    Notes
    -----
    The order of the sums is fixed by the shape: the bits do not depend on the threads. O(m^2 d).

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import gramian
    >>> gramian(np.array([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[5.0, 11.0], [11.0, 25.0]]
    """
    rows = Rows(jacobian)
    out = rows.gramian()
    data = rows.blocks[0].data
    if not is_tensor(data):
        return out
    torch = sys.modules["torch"]
    wide = torch.float32 if data.device.type == "mps" else torch.float64
    return torch.as_tensor(out).to(device=data.device, dtype=wide)
