"""Costs of all candidates of a step: which tensors a chunk of them touches, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from thalweg.search._processes import READY, Processes, fingerprint, uninterrupted
from thalweg.search.evaluate import Evaluator
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
    _processes: Processes | None
    evaluator: Evaluator
    _base: dict[str, Any]
    _owners: Any

    def _centres(self) -> int:
        """Candidates before the probes: the model as it is, where radii follow the costs."""
        radius = self.search._given["probe_radius"]
        return int(isinstance(radius, tuple) and radius[0] == "auto")

    def _fill(self, costs: Callable[[dict[str, Any]], Any], told: Any) -> None:
        """Costs of all candidates, of which each process evaluates every n-th chunk."""
        processes = self._processes
        if processes is None:
            self._fill_own(costs, told)
            return
        # What the variants follow from, before closures draw random numbers.
        state = [self._base, self.search.state_dict(), self.evaluator.random]
        key, error = fingerprint(state), None
        self._owners = np.zeros(len(told), dtype=int)
        try:
            self._fill_own(costs, told)
        except BaseException as caught:
            error = caught
        with uninterrupted():
            fix = "begin with the same weights, settings and torch.manual_seed everywhere"
            try:
                processes.meet(READY, "model, search and random state", key, error, fix)
            except BaseException:
                # Some closures drew random numbers, some did not.
                torch.set_rng_state(self.evaluator.random)
                raise
            every = np.stack(processes.gather(told))
            # Process 0 evaluated a chunk, so its random state is that of one process alone.
            random = processes.gather(torch.get_rng_state().numpy())[0]
        told[:] = every[self._owners, np.arange(len(told))]
        torch.set_rng_state(torch.from_numpy(random))

    def _mine(self, start: int, stop: int) -> bool:
        """Whether this process evaluates the next chunk, that of candidates start to stop - 1."""
        if self._processes is None:
            return True
        owner = self._chunks % self._processes.count
        self._chunks += 1
        self._owners[start:stop] = owner
        return owner == self._processes.rank

    def _fill_own(self, costs: Callable[[dict[str, Any]], Any], told: Any) -> None:
        self._chunks = 0
        index = self._centres()
        if index and self._mine(0, 1):
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
            index, here = index + n * per_row, index
            if not self._mine(here, index):
                continue
            offsets = np.empty((n * per_row, self._width))
            self.search._core.offsets(here, offsets)
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
            told[here:index] = costs(variants).double().cpu().numpy()
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
