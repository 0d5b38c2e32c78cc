"""Mean of the gradients."""

from __future__ import annotations

import numpy as np

from thalweg.aggregate._base import Linear
from thalweg.aggregate._rows import Vector


class Mean(Linear):
    """Mean of the gradients: what training on the averaged loss does.

    Use it as the baseline.

    Notes
    -----
    w = 1/m. One pass over the Jacobian, O(m d).

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import Mean
    >>> Mean()(np.array([[1.0, 0.0], [3.0, 4.0]])).tolist()
    [2.0, 2.0]
    """

    def _fixed(self, m: int) -> Vector:
        return np.full(m, 1.0 / m)
