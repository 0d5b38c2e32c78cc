"""Subspaces of a module's parameters: which combinations of weights a coordinate stands for.

A tensor W of n entries moves as ``W + reshape(c @ P)`` with P of shape (coords, n):

=============  =============================================================  ================
per_layer      orthonormal rows; sparse signs beyond 1 GB; axes < 2: all      r (d_out + d_in)
structured     row o of W moves along r directions that all rows share        r d_out
low_rank       W + A B - A0 B0 with A and B near orthonormal A0, B0          r (d_out + d_in)
full           every entry                                                    n
global         all tensors move together along orthonormal directions          r, in all
=============  =============================================================  ================
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

__all__ = ["Basis", "Factors", "coordinates", "draw", "draw_all", "top_directions"]

_DENSE_BYTES = 1e9
KINDS = ("per_layer", "structured", "low_rank", "full", "global")
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

    def follow(self, c: Tensor) -> None:
        """Says where the search stands; only directions that depend on it care."""

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


@dataclass
class Factors(Basis):
    """A product of two factors; its rows are the tangents where the search stands."""

    start: tuple[Tensor, Tensor] = field(default_factory=lambda: (torch.empty(0), torch.empty(0)))
    now: tuple[Tensor, Tensor] = field(default_factory=lambda: (torch.empty(0), torch.empty(0)))

    def _factors(self, c: Tensor) -> tuple[Tensor, Tensor]:
        a, b = self.start
        return a + c[: a.numel()].view_as(a), b + c[a.numel() :].view_as(b)

    def follow(self, c: Tensor) -> None:
        """Take the tangents at `c`."""
        self.now = self._factors(c)

    def rows(self, start: int, stop: int, like: Tensor) -> Tensor:
        """Tangents of coordinates `start` to `stop` - 1; zeros for those that do not exist."""
        a, b = self.now
        out = like.new_zeros(stop - start, len(a), b.shape[1])
        for i, q in enumerate(range(start, stop)):
            if 0 <= q < a.numel():
                out[i, q // a.shape[1]] = b[q % a.shape[1]]
            elif a.numel() <= q < self.coords:
                column, entry = divmod(q - a.numel(), b.shape[1])
                out[i, :, entry] = a[:, column]
        return out.view(stop - start, -1)

    def expand(self, c: Tensor) -> Tensor:
        """The change of the tensor at coordinates `c`, cross terms included."""
        (a, b), (a0, b0) = self._factors(c), self.start
        return (a @ b - a0 @ b0).reshape(self.shape)


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
    parameters: Mapping[str, Tensor],
    kind: str,
    rank: int | None,
    key: tuple[int, int],
    most: int | None = None,
    kept: Mapping[str, Tensor] | None = None,
) -> tuple[dict[str, Basis], dict[str, int], list[int]]:
    """Bases by name, where the coordinates of each start, and where they end.

    There are at most `most` coordinates. `kept` holds orthonormal rows that dense bases of that
    tensor begin with; with "global", parts of rows that are orthonormal over all tensors.
    """
    kept = kept or {}
    if kind == "global":
        bases = _draw_global(parameters, rank, key, most, kept)
        coords = next(iter(bases.values())).coords
        return bases, dict.fromkeys(bases, 0), [coords]
    shapes = {name: p.shape for name, p in parameters.items()}
    sizes = _sizes(shapes, kind, rank, most)
    bases = {
        name: draw(name, p, kind, rank, key, sizes[name], kept.get(name))
        for name, p in parameters.items()
    }
    ends = list(accumulate(basis.coords for basis in bases.values()))
    return bases, dict(zip(bases, [0, *ends[:-1]], strict=True)), ends


def _sizes(
    shapes: Mapping[str, torch.Size], kind: str, rank: int | None, most: int | None
) -> dict[str, int]:
    """Coordinates of each tensor, those of matrices scaled down to a total of `most`."""
    out = {name: coordinates(shape, kind, rank) for name, shape in shapes.items()}
    if most is None or sum(out.values()) <= most:
        return out
    # What a matrix can give up: single coordinates, or a rank at a time.
    unit = {
        name: 1 if kind in ("per_layer", "full") else coordinates(shape, kind, 1)
        for name, shape in shapes.items()
        if len(shape) >= 2
    }
    fixed = sum(size for name, size in out.items() if name not in unit)
    if fixed + sum(unit.values()) > most:
        raise ValueError(
            f"max_coords must be >= {fixed + sum(unit.values())} for this model and subspace, got "
            f"{most}; raise it or freeze tensors with fewer than two axes"
        )
    share = (most - fixed) / (sum(out.values()) - fixed)
    for name, least in unit.items():
        out[name] = max(1, int(out[name] * share) // least) * least
    # Rounding up to one unit may have overshot.
    while sum(out.values()) > most:
        name = max(unit, key=lambda n: out[n] - unit[n])
        out[name] -= unit[name]
    return out


def top_directions(moves: Tensor, count: int) -> Tensor:
    """At most `count` orthonormal rows that span most of the rows of `moves`; null ones dropped."""
    _, s, vh = torch.linalg.svd(moves.double(), full_matrices=False)
    return vh[:count][s[:count] > 1e-6 * s[0]].to(moves) if s.numel() else moves[:0]


def _orthonormal(kept: Tensor | None, size: int, count: int, generator: torch.Generator) -> Tensor:
    """Columns: those of `kept` first, random ones after."""
    first = torch.empty(0, size) if kept is None else kept[:count].float().cpu()
    rest = torch.randn(size, count - len(first), generator=generator, dtype=torch.float32)
    columns: Tensor = torch.linalg.qr(torch.cat([first.T, rest], 1))[0]
    return columns


def _draw_global(
    parameters: Mapping[str, Tensor],
    rank: int | None,
    key: tuple[int, int],
    most: int | None,
    kept: Mapping[str, Tensor],
) -> dict[str, Basis]:
    sizes = [p.numel() for p in parameters.values()]
    r = min(_GLOBAL_RANK if rank is None else rank, sum(sizes), most or sum(sizes))
    generator = torch.Generator().manual_seed(zlib.adler32(f"{key[0]}||{key[1]}".encode()))
    first = torch.cat([kept[name] for name in parameters], 1) if kept else None
    wide = _orthonormal(first, sum(sizes), r, generator).T
    parts = torch.split(wide, sizes, dim=1)
    return {
        name: Basis(p.shape, r, dense=part.to(device=p.device, dtype=p.dtype).contiguous())
        for (name, p), part in zip(parameters.items(), parts, strict=True)
    }


def draw(
    name: str,
    like: Tensor,
    kind: str,
    rank: int | None,
    key: tuple[int, int],
    coords: int | None = None,
    kept: Tensor | None = None,
) -> Basis:
    """The basis of a tensor, a function of its name and ``key = (seed, number of the draw)``."""
    size = like.numel()
    coords = coordinates(like.shape, kind, rank) if coords is None else coords
    if kind == "full" and coords < size:
        kind = "per_layer"
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
    if kind == "low_rank":
        d_out, d_in = like.shape[0], size // like.shape[0]
        r = coords // (d_out + d_in)
        a = here(torch.linalg.qr(torch.randn(d_out, r, **normal))[0].contiguous())
        b = here(torch.linalg.qr(torch.randn(d_in, r, **normal))[0].T.contiguous())
        return Factors(like.shape, coords, start=(a, b), now=(a, b))
    if size * coords * 4 > _DENSE_BYTES:
        nnz = math.isqrt(size)
        index = torch.randint(size, (coords, nnz), generator=generator)
        sign = torch.randint(2, (coords, nnz), generator=generator) * 2 - 1
        return Basis(like.shape, coords, index=index.to(like.device), value=here(sign / nnz**0.5))
    if size >= coords:
        q = _orthonormal(kept, size, coords, generator)
        return Basis(like.shape, coords, dense=here(q.T.contiguous()))
    wide = torch.randn(coords, size, **normal) / coords**0.5
    return Basis(like.shape, coords, dense=here(wide))
