"""Sum of the gradients."""

from __future__ import annotations

import numpy as np

from thalweg.aggregate._base import Linear
from thalweg.aggregate._rows import Vector


class Sum(Linear):
    """Sum of the gradients: what training on the summed loss does.

    Notes
    -----
    w = 1. One pass over the Jacobian, O(m d).

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import Sum
    >>> Sum()(np.array([[1.0, 0.0], [3.0, 4.0]])).tolist()
    [4.0, 4.0]
    """

    def _fixed(self, m: int) -> Vector:
        return np.ones(m)
