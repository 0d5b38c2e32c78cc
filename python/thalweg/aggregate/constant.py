"""Fixed weights."""

from __future__ import annotations

from typing import Any

from thalweg.aggregate._base import Linear, vector
from thalweg.aggregate._rows import Vector


class Constant(Linear):
    """Weighted sum of the gradients with fixed weights.

    Parameters
    ----------
    weights : array_like, shape (m,)
        One finite weight for each loss.

    Raises
    ------
    ValueError
        If `weights` is no finite vector; on a call, if the Jacobian has another number of rows.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import Constant
    >>> Constant([1.0, 0.5])(np.array([[1.0, 0.0], [2.0, 4.0]])).tolist()
    [2.0, 2.0]
    """

    _arguments = ("fixed_weights",)

    def __init__(self, weights: Any) -> None:
        self.fixed_weights = vector(weights, "weights")

    def __repr__(self) -> str:
        return f"Constant(weights={self.fixed_weights!r})"

    def _fixed(self, m: int) -> Vector:
        assert self.fixed_weights is not None
        if len(self.fixed_weights) != m:
            raise ValueError(
                f"weights must be of length {m}, the number of rows of the Jacobian, "
                f"got {len(self.fixed_weights)}; give one weight for each loss"
            )
        return self.fixed_weights
