"""Subspaces of a module's parameters: which combinations of weights a coordinate stands for.

A tensor W of n entries moves as ``W + reshape(c @ P)`` with P of shape (coords, n):

=============  =============================================================  ================
per_layer      orthonormal rows; sparse signs beyond 1 GB; axes < 2: all      r (d_out + d_in)
structured     row o of W moves along r directions that all rows share        r d_out
full           every entry                                                    n
global         all tensors move together along orthonormal directions          r, in all
=============  =============================================================  ================
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

__all__ = ["Basis", "coordinates", "draw", "draw_all"]

_DENSE_BYTES = 1e9
KINDS = ("per_layer", "structured", "full", "global")
_GLOBAL_RANK = 64


@dataclass
class Basis:
    """Rows of P for one tensor: dense, sparse (`index` and `value`) or the identity (neither)."""

    shape: torch.Size
    coords: int
    dense: Tensor | None = None
    index: Tensor | None = None
    value: Tensor | None = None
    repeat: int = 1

    def rows(self, start: int, stop: int, like: Tensor) -> Tensor:
        """Rows `start` to `stop` - 1 of P, dense; zeros for rows that do not exist."""
        if self.dense is not None and self.repeat == 1 and 0 <= start < stop <= self.coords:
            return self.dense[start:stop]
        size = math.prod(self.shape)
        out = like.new_zeros(stop - start, size)
        a, b = max(start, 0), min(stop, self.coords)
        if a >= b:
            return out
        part = out[a - start : b - start]
        if self.index is not None and self.value is not None:
            # Rows drawn twice add up.
            part.scatter_add_(1, self.index[a:b], self.value[a:b])
        elif self.dense is None:
            part[torch.arange(b - a), torch.arange(a, b)] = 1.0
        elif self.repeat > 1:
            r, width = self.dense.shape
            which = torch.arange(a, b, device=like.device)
            view = part.view(b - a, self.repeat, width)
            view[torch.arange(b - a, device=like.device), which // r] = self.dense[which % r]
        else:
            part.copy_(self.dense[a:b])
        return out

    def expand(self, c: Tensor) -> Tensor:
        """The change of the tensor at coordinates `c`, shape (coords,)."""
        if self.index is not None and self.value is not None:
            out = c.new_zeros(math.prod(self.shape))
            out.scatter_add_(0, self.index.reshape(-1), (self.value * c[:, None]).reshape(-1))
        elif self.dense is None:
            out = c.clone()
        elif self.repeat > 1:
            out = c.view(self.repeat, -1) @ self.dense
        else:
            out = c @ self.dense
        return out.reshape(self.shape)


def coordinates(shape: torch.Size, kind: str, rank: int | None) -> int:
    """Number of coordinates of a tensor."""
    size = math.prod(shape)
    if kind == "full" or len(shape) < 2:
        return size
    d_out, d_in = shape[0], size // shape[0]
    auto = min(max(min(d_out, d_in) // 16, 4), 64)
    r = min(auto if rank is None else rank, d_in, d_out)
    return min(size, r * d_out if kind == "structured" else r * (d_out + d_in))


def draw_all(
    parameters: Mapping[str, Tensor], kind: str, rank: int | None, key: tuple[int, int]
) -> tuple[dict[str, Basis], dict[str, int], list[int]]:
    """Bases by name, where the coordinates of each start, and where they end."""
    if kind == "global":
        bases = _draw_global(parameters, rank, key)
        coords = next(iter(bases.values())).coords
        return bases, dict.fromkeys(bases, 0), [coords]
    bases = {name: draw(name, p, kind, rank, key) for name, p in parameters.items()}
    ends = list(accumulate(basis.coords for basis in bases.values()))
    return bases, dict(zip(bases, [0, *ends[:-1]], strict=True)), ends


def _draw_global(
    parameters: Mapping[str, Tensor], rank: int | None, key: tuple[int, int]
) -> dict[str, Basis]:
    sizes = [p.numel() for p in parameters.values()]
    r = min(_GLOBAL_RANK if rank is None else rank, sum(sizes))
    generator = torch.Generator().manual_seed(zlib.adler32(f"{key[0]}||{key[1]}".encode()))
    wide = torch.linalg.qr(torch.randn(sum(sizes), r, generator=generator))[0].T
    parts = torch.split(wide, sizes, dim=1)
    return {
        name: Basis(p.shape, r, dense=part.to(device=p.device, dtype=p.dtype).contiguous())
        for (name, p), part in zip(parameters.items(), parts, strict=True)
    }


def draw(name: str, like: Tensor, kind: str, rank: int | None, key: tuple[int, int]) -> Basis:
    """The basis of a tensor, a function of its name and ``key = (seed, number of the draw)``."""
    coords, size = coordinates(like.shape, kind, rank), like.numel()
    if kind == "full" or like.ndim < 2 or coords == size:
        return Basis(like.shape, coords)
    generator = torch.Generator().manual_seed(zlib.adler32(f"{key[0]}|{name}|{key[1]}".encode()))
    normal: dict[str, Any] = {"generator": generator, "dtype": torch.float32}

    def here(t: Tensor) -> Tensor:
        return t.to(device=like.device, dtype=like.dtype)

    if kind == "structured":
        d_out, d_in = like.shape[0], size // like.shape[0]
        r = coords // d_out
        q = torch.linalg.qr(torch.randn(d_in, r, **normal))[0]
        return Basis(like.shape, coords, dense=here(q.T.contiguous()), repeat=d_out)
    if size * coords * 4 > _DENSE_BYTES:
        nnz = math.isqrt(size)
        index = torch.randint(size, (coords, nnz), generator=generator)
        sign = torch.randint(2, (coords, nnz), generator=generator) * 2 - 1
        return Basis(like.shape, coords, index=index.to(like.device), value=here(sign / nnz**0.5))
    if size >= coords:
        q = torch.linalg.qr(torch.randn(size, coords, **normal))[0]
        return Basis(like.shape, coords, dense=here(q.T.contiguous()))
    wide = torch.randn(coords, size, **normal) / coords**0.5
    return Basis(like.shape, coords, dense=here(wide))
