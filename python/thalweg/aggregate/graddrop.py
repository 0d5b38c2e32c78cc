"""One sign for each coordinate."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.aggregate._base import Aggregator, seed_of, vector
from thalweg.aggregate._rows import Rows


class GradDrop(Aggregator):
    """Keep, in each coordinate, only the entries of one randomly chosen sign.

    Use it as a regulariser where the losses disagree in sign, coordinate by coordinate.

    Parameters
    ----------
    leak : array_like, shape (m,), optional
        Share of each gradient kept whatever its sign, in [0, 1]; 0 each by default.
    seed : int, numpy Generator or None, default None
        Key of the random numbers.

    Raises
    ------
    ValueError
        If `leak` is out of range; on a call, if its length is not the number of rows.

    Notes
    -----
    P = (1 + sum_i J_ic / sum_i |J_ic|) / 2; the positive entries stay where P > U, the negative
    ones where P < U, U uniform. U is a function of seed, call and column: the same for any number
    of threads and on every device. Not a weighted sum of rows, so there is no `weights`.

    References
    ----------
    Chen et al. 2020, "Just Pick a Sign", NeurIPS, arXiv:2010.06808.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import GradDrop
    >>> GradDrop(seed=0)(np.array([[1.0, -2.0], [3.0, -4.0]])).tolist()
    [4.0, -6.0]
    """

    _arguments = ("leak",)
    _state = ("seed", "step")

    def __init__(self, leak: Any = None, *, seed: int | np.random.Generator | None = None) -> None:
        self.leak = vector(leak, "leak")
        if self.leak is not None and not ((self.leak >= 0) & (self.leak <= 1)).all():
            raise ValueError(f"leak must be in [0, 1], got {leak!r}; 0 drops, 1 keeps")
        self._seed = seed_of(seed)
        self._step = 0

    def reset(self) -> None:
        """Start the sequence again."""
        self._step = 0

    def _aggregate(self, rows: Rows) -> Any:
        leak = np.zeros(rows.m) if self.leak is None else self.leak
        if len(leak) != rows.m:
            raise ValueError(
                f"leak must be of length {rows.m}, the number of rows of the Jacobian, "
                f"got {len(leak)}; give one value for each loss"
            )
        if not rows.is_finite():
            return rows.nan()
        step, self._step = self._step, self._step + 1
        first = 0
        vectors = []
        for block in rows.blocks:
            vectors.append(block.graddrop(leak, self._seed, step, first))
            first += block.data.shape[1]
        return rows.wrap(vectors)
