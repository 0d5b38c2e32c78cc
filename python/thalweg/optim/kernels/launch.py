"""Launches: tables on the device, kept as long as no tensor moves, and the kernels over them."""

from __future__ import annotations

import weakref
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from thalweg.optim.kernels import memory, source
from thalweg.optim.kernels.source import TILE, WARPS, Formula

if TYPE_CHECKING:
    from thalweg.optim.kernels.admit import Item, Known
    from thalweg.optim.optimizer import Optimizer

# Multiplying and adding in one rounding would change the bits of the core.
OPTIONS: dict[str, Any] = {"num_warps": WARPS, "enable_fp_fusion": False}


# Tables that an optimizer keeps.
KEPT = 8


class Table:
    """Addresses of some parameters, and their tiles."""

    def __init__(self, items: list[Item]) -> None:
        self.device = items[0].known.p.device
        columns = torch.tensor([item.columns for item in items], dtype=torch.int64)
        self.sizes = columns[:, -1]
        tiles = (self.sizes + TILE - 1) // TILE
        self.ends = torch.cat([tiles.new_zeros(1), tiles.cumsum(0)])
        self.programs = int(self.ends[-1])
        rows = torch.repeat_interleave(torch.arange(len(items)), tiles)
        places = torch.arange(self.programs) - self.ends[rows]
        self.rows = send(columns, self.device)
        self.tiles = send(torch.stack([rows, places], 1).to(torch.int32), self.device)


class Tables:
    """The tables of an optimizer, and what is done with them."""

    def __init__(self) -> None:
        self._known: dict[Any, Table] = {}
        # Parameters as the last step found them, by their identity.
        self.admitted: dict[int, Known] = {}

    def _table(self, items: list[Item]) -> Table:
        key = tuple(item.columns for item in items)
        found = self._known.get(key)
        if found is None:
            # Gradients come back to the same few places, or move for good.
            while len(self._known) >= KEPT:
                del self._known[next(iter(self._known))]
            found = self._known[key] = Table(items)
        return found

    def measure(
        self, items: list[Item], formula: Formula, values: list[float]
    ) -> list[list[float]]:
        """Return what a formula measures of each parameter."""
        maxima = tuple(bool(flag) for flag in formula.special)
        layout, device = items[0].known.layout, items[0].known.p.device
        aligned = items[0].aligned
        table = self._table(items)
        k = len(maxima)
        partial = torch.empty((table.programs, k), dtype=torch.float64, device=device)
        totals = torch.zeros((len(items), k), dtype=torch.float64, device=device)
        kernel = source.compiled(source.text(layout, formula, "measure"))
        uniforms = send(torch.tensor([values], dtype=torch.float32), device)
        launch(kernel, table, uniforms, None, partial, aligned)
        bits = sum(flag << place for place, flag in enumerate(maxima))
        with on(device):
            ends = send(table.ends, device)
            memory.collect[(len(items), k)](partial, ends, totals, bits, k, **OPTIONS)
        found: list[list[float]] = totals.tolist()
        return found

    def move(
        self,
        items: list[Item],
        formula: Formula,
        uniforms: list[list[float]],
        keys: Tensor | None,
        counted: tuple[Formula, str] | None,
    ) -> None:
        """Step some parameters; with `counted`, first count where step and gradient agree."""
        layout, device = items[0].known.layout, items[0].known.p.device
        aligned = items[0].aligned
        table = self._table(items)
        same = all(row is uniforms[0] for row in uniforms) and counted is None
        values = send(torch.tensor(uniforms[:1] if same else uniforms, dtype=torch.float32), device)
        words = None if keys is None else send(keys, device)
        if counted is not None:
            agree, scale = counted
            counts = torch.zeros(len(items), dtype=torch.int64, device=device)
            kernel = source.compiled(source.text(layout, agree, "agree"))
            launch(kernel, table, values, words, counts, aligned)
            sizes, found = send(table.sizes, device).double(), counts.double()
            factor = 1.0 / (found / sizes).clamp(min=1e-3)
            if scale == "count_plus_one":
                factor = sizes / (found + 1.0)
            values[:, formula.special[0]] = factor.float()
        kernel = source.compiled(source.text(layout, formula, "update"))
        launch(kernel, table, values, words, None, aligned)


def launch(
    kernel: Any,
    table: Table,
    uniforms: Tensor,
    keys: Tensor | None,
    out: Tensor | None,
    aligned: bool,
) -> None:
    """Run a kernel on every tile of a table."""
    if table.programs == 0:
        return
    stride = 0 if len(uniforms) == 1 else uniforms.shape[1]
    # What a kernel does not use still needs a tensor in its place.
    keys, out = (table.tiles if tensor is None else tensor for tensor in (keys, out))
    with on(table.device):
        kernel[(table.programs,)](
            table.rows, table.tiles, uniforms, keys, out, TILE, aligned, stride, **OPTIONS
        )


def on(device: torch.device) -> AbstractContextManager[Any]:
    """Make a device the one that Triton launches on."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a copy on a device, without waiting for it."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def probe(device: torch.device) -> None:
    """Compile and run a small kernel; raises where that cannot be."""
    ends = torch.tensor([0, 3], device=device)
    partial = torch.arange(3, dtype=torch.float64, device=device)
    total = torch.zeros(1, dtype=torch.float64, device=device)
    with on(device):
        memory.collect[(1, 1)](partial, ends, total, 0, 1, **OPTIONS)
    if total.item() != 3.0:
        raise RuntimeError(f"the sum of 0, 1 and 2 came out as {total.item()}")


_TABLES: weakref.WeakKeyDictionary[Optimizer, Tables] = weakref.WeakKeyDictionary()


def tables_of(optimizer: Optimizer) -> Tables:
    """Return the tables of an optimizer."""
    return _TABLES.setdefault(optimizer, Tables())
