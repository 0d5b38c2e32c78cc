"""Points and gradients that OptEx remembers, and what they say of gradients elsewhere."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thalweg import _core

Numbers = NDArray[np.float64]
Estimator = Callable[[Sequence[Tensor]], list[Tensor | None]]
# Lengths that are tried, over the median distance of points.
_SCALES = 2.0 ** np.arange(-2, 11)


class History:
    """The newest points and gradients, row by row in rings; squared distances and products of all.

    Parameters
    ----------
    size : int
        Rows.
    held : int
        How many of the newest gradients a length scale must predict.
    noise : float
        Added to the diagonal of the kernel matrix.
    length : float, optional
        Scale of the kernel; chosen by prediction without one.
    normalize : bool
        Divide points by the mean root of their norms.
    effective_dim : int, optional
        About how many coordinates of the points to keep.
    """

    def __init__(
        self,
        size: int,
        held: int,
        noise: float,
        length: float | None,
        normalize: bool,
        effective_dim: int | None,
    ) -> None:
        self.size, self.held, self.noise, self.length = size, held, noise, length
        self.normalize, self.effective_dim = normalize, effective_dim
        self._clear()

    def _clear(self) -> None:
        # Places of the parameters that have gradients; rows of each; rows in the order of time.
        self._active: list[int] = []
        self._points: list[Tensor] = []
        self._gradients: list[Tensor] = []
        self._order: list[int] = []
        self._distances: Numbers = np.zeros((self.size, self.size))
        self._products: Numbers = np.zeros((self.size, self.size))
        self._norms: Numbers = np.zeros(self.size)

    def _stride(self, values: Sequence[Tensor]) -> int:
        total = sum(value.numel() for value in values)
        return 1 if self.effective_dim is None else max(1, total // self.effective_dim)

    def _seen(self, values: Sequence[Tensor]) -> list[Tensor]:
        """The coordinates that the kernel sees."""
        stride = self._stride(values)
        return [_flat(value)[::stride].contiguous() for value in values]

    def extend(
        self, points: Sequence[Sequence[Tensor]], grads: Sequence[Sequence[Tensor | None]]
    ) -> None:
        """Add pairs, and forget the oldest."""
        for values, found in zip(points, grads, strict=True):
            self._add(values, found)

    def _add(self, values: Sequence[Tensor], grads: Sequence[Tensor | None]) -> None:
        active = [i for i, g in enumerate(grads) if g is not None]
        if active != self._active:
            # Gradients of other parameters are of another function.
            self._clear()
            self._active = active
        rows = self._seen([values[i] for i in active])
        found = [_flat(g) for g in grads if g is not None]
        if not self._points:
            self._points = [row.new_zeros(self.size, row.numel()) for row in rows]
            self._gradients = [row.new_zeros(self.size, row.numel()) for row in found]
        slot = len(self._order) if len(self._order) < self.size else self._order.pop(0)
        self._order.append(slot)
        for block, row in zip(self._points + self._gradients, rows + found):
            block[slot] = row
        for table, blocks, news, sums in (
            (self._distances, self._points, rows, _core.optex_distances),
            (self._products, self._gradients, found, _core.optex_products),
        ):
            if table is self._products and self.length is not None:
                continue
            table[slot] = table[:, slot] = _against(blocks, news, sums)
        self._norms[slot] = math.sqrt(sum(float(row.double().square().sum()) for row in rows))

    def estimator(self) -> Estimator | None:
        """Return what estimates gradients at a point; none with less than two pairs."""
        order = self._order
        if len(order) < 2:
            return None
        unit = float(np.sqrt(self._norms[order]).mean()) if self.normalize else 1.0
        square = unit * unit if unit > 0.0 else 1.0
        distances = np.ascontiguousarray(self._distances[np.ix_(order, order)]) / square
        length = self.length if self.length is not None else self._length(distances)
        factor = _core.optex_factor(distances, length, self.noise)

        def estimate(values: Sequence[Tensor]) -> list[Tensor | None]:
            rows = self._seen([values[i] for i in self._active])
            away = _against(self._points, rows, _core.optex_distances) / square
            weights = np.zeros(self.size)
            weights[order] = _core.optex_weights(factor, away[order], length)
            grads: list[Tensor | None] = [None] * len(values)
            for i, block in zip(self._active, self._gradients):
                out = block.new_empty(block.shape[1])
                _core.aggregate_combine(block.numpy(), weights, out.numpy())
                grads[i] = out.reshape(values[i].shape).to(values[i])
            return grads

        return estimate

    def _length(self, distances: Numbers) -> float:
        n = len(self._order)
        apart = distances[distances > 0.0]
        middle = math.sqrt(float(np.median(apart))) if apart.size else 1.0
        products = np.ascontiguousarray(self._products[np.ix_(self._order, self._order)])
        held = min(self.held, n // 2)
        scales = np.asarray(middle * _SCALES, np.float64)
        chosen = _core.optex_length(distances, products, held, scales, self.noise)
        return middle if chosen is None else chosen

    def state_dict(self) -> dict[str, Any]:
        """Return all that `loaded` needs, as tensors and lists."""
        tables = (self._distances, self._products, self._norms)
        return {
            "active": list(self._active),
            "order": list(self._order),
            "points": [block.clone() for block in self._points],
            "gradients": [block.clone() for block in self._gradients],
            "tables": [torch.from_numpy(table.copy()) for table in tables],
        }

    def loaded(self, saved: dict[str, Any] | None, params: Sequence[Tensor]) -> History:
        """Return a history with the rows of another, or an empty one.

        Raises
        ------
        ValueError
            If they are of other parameters, or of another size.
        """
        new = copy.copy(self)
        new._clear()
        if saved is None or not saved["order"]:
            return new
        if max(saved["active"]) >= len(params):
            raise ValueError(
                f"checkpoint must be of {len(params)} parameters, got one of more; load the one of "
                "this model"
            )
        owners = [params[i] for i in saved["active"]]
        wanted = [(self.size, row.numel()) for row in self._seen(owners)]
        wanted += [(self.size, p.numel()) for p in owners]
        given = [tuple(block.shape) for block in saved["points"] + saved["gradients"]]
        if given != wanted:
            raise ValueError(
                f"history of a checkpoint must be of shapes {wanted}, got {given}; give OptEx the "
                "same history and effective_dim, and load the checkpoint of this model"
            )
        new._active, new._order = list(saved["active"]), list(saved["order"])
        new._points = [block.clone() for block in saved["points"]]
        new._gradients = [block.clone() for block in saved["gradients"]]
        tables = [np.array(table.numpy(), dtype=np.float64) for table in saved["tables"]]
        new._distances, new._products, new._norms = tables
        return new


def _flat(value: Tensor) -> Tensor:
    """Elements in a row, in main memory and a type that the core sums."""
    value = value.detach()
    dtype = torch.float64 if value.dtype == torch.float64 else torch.float32
    return value.to("cpu", dtype).reshape(-1)


def _against(
    blocks: Sequence[Tensor], rows: Sequence[Tensor], sums: Callable[..., None]
) -> Numbers:
    """Sums over all blocks of each row of theirs with a row."""
    out = np.zeros(len(blocks[0]))
    for block, row in zip(blocks, rows, strict=True):
        sums(block.numpy(), row.numpy(), out)
    return out


__all__ = ["History"]
