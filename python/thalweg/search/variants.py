"""Costs of all candidates of a step: which tensors a chunk of them touches, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from thalweg.search.polystep import PolyStep
from thalweg.search.subspace import Basis

__all__ = ["Variants"]

# Variants at once: more leave the cache of a CPU, fewer leave an accelerator idle.
_CPU_FLOATS, _CPU_MOST, _DEVICE_FLOATS = 2**18, 128, 2**24


class Variants:
    """What `PolyStepOptimizer` does between ask and tell."""

    search: PolyStep
    parameters: dict[str, Any]
    _bases: dict[str, Basis]
    _starts: dict[str, int]
    _ends: list[int]
    _width: int
    _chunk: int | None

    def _centres(self) -> int:
        """Candidates before the probes: the model as it is, where radii follow the costs."""
        radius = self.search._given["probe_radius"]
        return int(isinstance(radius, tuple) and radius[0] == "auto")

    def _fill(self, costs: Callable[[dict[str, Any]], Any], told: Any) -> None:
        index = self._centres()
        if index:
            name, p = next(iter(self.parameters.items()))
            told[0] = float(costs({name: p.detach()[None].clone()})[0])
        start = 0
        for group, end in enumerate(self._ends):
            index = self._fill_group(costs, told, index, group, start)
            start = end

    def _runs(self, group: int, rows: int, most: int) -> Iterator[tuple[int, int]]:
        """First block and number of blocks of each chunk; blocks that rest are left out."""
        awake = self.search._core.awake(group)
        edges = np.arange(rows) if awake is None else np.asarray(awake, dtype=int)
        for run in np.split(edges, np.flatnonzero(np.diff(edges) != 1) + 1):
            for i in range(0, len(run), most):
                yield int(run[i]), min(most, len(run) - i)

    def _fill_group(self, costs: Any, told: Any, index: int, group: int, start: int) -> int:
        end = self._ends[group]
        p = min(self._width, end - start)
        per_row = _vertices(self.search._given["polytope"], p) * self.search._core.probes()
        inside = [n for n in self._bases if start <= self._starts[n] < end]
        stride = max(1, self._fit([self.parameters[n] for n in inside]) // per_row)
        for row, n in self._runs(group, -(-(end - start) // p), stride):
            offsets = np.empty((n * per_row, self._width))
            self.search._core.offsets(index, offsets)
            c = torch.from_numpy(np.ascontiguousarray(offsets[:, :p])).view(n, per_row, p)
            first, last = start + row * p, start + (row + n) * p
            variants = {}
            for name in inside:
                a = self._starts[name]
                if a < last and a + self._bases[name].coords > first:
                    param = self.parameters[name]
                    basis = self._bases[name].rows(first - a, last - a, param.detach())
                    # One pass: base + offsets @ basis.
                    flat = param.detach().reshape(1, 1, -1)
                    moved = torch.baddbmm(flat, c.to(param), basis.view(n, p, -1))
                    variants[name] = moved.view(-1, *param.shape)
            told[index : index + n * per_row] = costs(variants).double().cpu().numpy()
            index += n * per_row
        return index

    def _fit(self, inside: list[Any]) -> int:
        """Variants at once."""
        if self._chunk is not None:
            return self._chunk
        size = max(int(p.numel()) for p in inside)
        if inside[0].device.type == "cpu":
            return max(1, min(_CPU_FLOATS // size, _CPU_MOST))
        return max(1, _DEVICE_FLOATS // size)


def _vertices(polytope: str, p: int) -> int:
    return {"orthoplex": 2 * p, "simplex": p + 1, "cube": int(2**p)}[polytope]
