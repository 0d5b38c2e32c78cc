"""PCGrad: conflicts projected away, pair by pair."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg import _core
from thalweg.aggregate._base import Weighted, seed_of
from thalweg.aggregate._rows import Vector


class PCGrad(Weighted):
    """Sum of the gradients, each with its conflicts projected away one after the other.

    Use it as the classical baseline of gradient surgery.

    Parameters
    ----------
    seed : int, numpy Generator or None, default None
        Key of the visiting orders.
    orders : array_like of int, shape (m, m), optional
        Fixed visiting orders instead: row i is the permutation in which gradient i meets
        the others.

    Raises
    ------
    ValueError
        On a call, if `orders` are not m permutations.

    Notes
    -----
    For each i: x = g_i; for j in its order, j != i: if x . g_j < 0, x -= (x . g_j / |g_j|^2) g_j.
    The result is the sum of the x. In coefficients, so O(m^2 d + m^3) at worst. Fresh orders in
    each call, a function of seed and call, both in `state_dict`.

    References
    ----------
    Yu et al. 2020, "Gradient Surgery for Multi-Task Learning", NeurIPS, arXiv:2001.06782.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import PCGrad
    >>> PCGrad(seed=0)(np.array([[1.0, 0.0], [-1.0, 1.0]])).round(4).tolist()
    [0.5, 1.5]
    """

    _state: tuple[str, ...] = ("seed", "step")

    def __init__(
        self, *, seed: int | np.random.Generator | None = None, orders: Any = None
    ) -> None:
        self._seed = seed_of(seed)
        self._step = 0
        self.orders = None if orders is None else np.asarray(orders, dtype=np.int64)
        if self.orders is not None and (self.orders.ndim != 2 or (self.orders < 0).any()):
            raise ValueError(
                "orders must be a matrix with one permutation of 0..m-1 a row, "
                f"got {orders!r}; leave it out to draw them"
            )

    def reset(self) -> None:
        """Start the sequence again."""
        self._step = 0

    def _draw(self, m: int) -> list[int]:
        if self.orders is not None:
            return [int(j) for j in self.orders.ravel()]
        orders = _core.aggregate_orders(self._seed, self._step, m)
        self._step += 1
        return list(orders)

    def _weights(self, gramian: Vector) -> Vector:
        weights: Vector = _core.aggregate_pcgrad(gramian, self._draw(len(gramian)))
        return weights
