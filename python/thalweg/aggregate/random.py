"""Random weights."""

from __future__ import annotations

import numpy as np

from thalweg.aggregate._base import Linear, seed_of
from thalweg.aggregate._rows import Vector


class Random(Linear):
    """Random positive weights that sum to one, fresh in each call.

    Use it as the honest baseline of multi-task weighting: it is often as good.

    Parameters
    ----------
    seed : int, numpy Generator or None, default None
        Key of the random numbers.

    Notes
    -----
    w = softmax(z), z standard normal. The draw is a function of the seed and the number of the
    call, both in `state_dict`.

    References
    ----------
    Lin et al. 2022, "Reasonable Effectiveness of Random Weighting", TMLR, arXiv:2111.10603.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import Random
    >>> weights = Random(seed=0).weights(np.eye(3))
    >>> bool((weights > 0).all()), round(float(weights.sum()), 12)
    (True, 1.0)
    """

    _state = ("seed", "step")

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        self._seed = seed_of(seed)
        self._step = 0

    def reset(self) -> None:
        """Start the sequence again."""
        self._step = 0

    def _fixed(self, m: int) -> Vector:
        z = np.random.Generator(np.random.Philox(key=self._seed, counter=self._step << 64))
        self._step += 1
        e = np.exp(z.standard_normal(m))
        return np.asarray(e / e.sum())
