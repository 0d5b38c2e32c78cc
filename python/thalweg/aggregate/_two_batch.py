"""What MoDo and SDMGrad share: weights from the gradients on two independent batches."""

from __future__ import annotations

import sys
from abc import abstractmethod
from typing import Any

import numpy as np

from thalweg.aggregate._base import Aggregator, same_losses
from thalweg.aggregate._rows import Rows, Vector, is_tensor


class TwoBatch(Aggregator):
    """Weights from J1 J2^T, which is an unbiased estimate where J J^T is not.

    Called with the Jacobians of two batches, and optionally of a third that is aggregated; without
    it the mean of the two is.
    """

    _state = ("current",)
    _current: Vector | None

    def reset(self) -> None:
        """Start again from uniform weights."""
        self._current = None

    def __call__(self, first: Any, second: Any = None, third: Any = None) -> Any:
        """Aggregate.

        Parameters
        ----------
        first, second : ndarray or Tensor of shape (m, d), or list of them of shape (m, ...)
            Gradients of the losses on two independent batches.
        third : as those, optional
            Gradients on a third batch, which the weights are applied to.

        Returns
        -------
        ndarray or Tensor of shape (d,), or list
            The update, in the form of `first`; NaN if an input is not finite.

        Raises
        ------
        ValueError
            If `second` is missing, shapes differ, or the number of rows changed since the last.
        """
        name = type(self).__name__
        if second is None:
            raise ValueError(
                f"second must be the Jacobian on another batch, got None; call {name}()(first, "
                "second), or pass first @ second.T to weights"
            )
        rows = [Rows(jacobian) for jacobian in (first, second, third) if jacobian is not None]
        for other in rows[1:]:
            if other.key != rows[0].key:
                raise ValueError(
                    f"the Jacobians must be of one shape and dtype, got {rows[0].key} and "
                    f"{other.key}; take them over the same losses and parameters"
                )
        m = rows[0].m
        joint = rows[0].joint([getattr(block, "array", block.data) for block in rows[1].blocks])
        product = joint[:m, m:]
        finite = np.isfinite(product).all() and all(part.is_finite() for part in rows)
        if not finite:
            return rows[0].nan()
        weights = self._move(product)
        if len(rows) == 3:
            return rows[2].combine(weights)
        halves = [part.combined(weights / 2)[0] for part in rows]
        return rows[0].wrap([a + b for a, b in zip(*halves)])

    def weights(self, product: Any) -> Any:
        """Weights of the rows, from J1 J2^T of shape (m, m); in kind, NaN if it is not finite."""
        array = product.detach().cpu().double().numpy() if is_tensor(product) else product
        array = np.array(array, dtype=np.float64)
        if array.ndim != 2 or array.shape[0] != array.shape[1] or not array.shape[0]:
            raise ValueError(
                f"product must be of shape (m, m), m at least 1, got {array.shape}; "
                "pass first @ second.T"
            )
        out = self._move(array) if np.isfinite(array).all() else np.full(len(array), np.nan)
        return sys.modules["torch"].as_tensor(out).to(product) if is_tensor(product) else out

    def _move(self, product: Vector) -> Vector:
        m = len(product)
        old = np.full(m, 1 / m) if self._current is None else self._current
        same_losses(len(old), m, type(self).__name__)
        self._current, weights = self._step(product, old)
        return weights

    @abstractmethod
    def _step(self, product: Vector, old: Vector) -> tuple[Vector, Vector]:
        """The new state and the weights."""

    def _aggregate(self, rows: Rows) -> Any:
        raise AssertionError("unreachable: two Jacobians are needed")


def simplex(x: Vector) -> Vector:
    """The nearest point with entries >= 0 that sum to 1."""
    falling = np.sort(x)[::-1]
    shift = (np.cumsum(falling) - 1) / np.arange(1, len(x) + 1)
    return np.asarray(np.maximum(x - shift[np.count_nonzero(falling > shift) - 1], 0.0))
