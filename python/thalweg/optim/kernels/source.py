"""The text of a kernel: a printed formula between what it reads and what it writes.

One launch steps many tensors. Its table has a row for each: addresses of parameter, gradient,
states, then of scales and of what rounding left out, and the number of elements. A program works on
one tile of one row.
"""

from __future__ import annotations

import itertools
import linecache
from dataclasses import dataclass
from functools import cache
from typing import Any

# Elements of a tile; a multiple of 256, the block of eight-bit codes.
TILE = 1024
WARPS = 4

_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Layout:
    """How the tensors of a launch are stored."""

    # Types of parameter, gradient and states, and of the noise if the rule draws any.
    kinds: tuple[str, ...]
    # How parameters are rounded: "nearest", "stochastic" or "kahan".
    rounding: str
    # Whether states of few bits are rounded by random words.
    random: bool

    @property
    def scales(self) -> dict[int, int]:
        """Columns of the scales, by that of the codes."""
        codes = [column for column, kind in enumerate(self.kinds) if kind == "uint8"]
        return {column: len(self.kinds) + place for place, column in enumerate(codes)}

    @property
    def rest(self) -> int | None:
        """Column of what rounding leaves out, if it is kept."""
        return len(self.kinds) + len(self.scales) if self.rounding == "kahan" else None

    @property
    def width(self) -> int:
        """Number of columns; the last one holds the number of elements."""
        return len(self.kinds) + len(self.scales) + (self.rest is not None) + 1

    @property
    def keyed(self) -> bool:
        """Whether random words are drawn."""
        return self.random or self.rounding == "stochastic"


@dataclass(frozen=True)
class Formula:
    """What `_core.optim_formula` prints."""

    # Lines that compute, and the names that then hold the results.
    body: str
    outputs: tuple[str, ...]
    # Inputs `i0`, ... and uniforms `u0`, ... that are read.
    inputs: tuple[int, ...]
    uniforms: tuple[int, ...]
    # Of a measurement, whether each result is a largest size, not a sum; of a step, the place of
    # the factor of a cautious mask, if there is one.
    special: tuple[int, ...]


def _reads(layout: Layout, formula: Formula) -> list[str]:
    lines = [f"u{k} = tl.load(uniforms + {k})" for k in formula.uniforms]
    for column in formula.inputs:
        kind = layout.kinds[column]
        if kind == "uint8":
            place = f"{column}, {layout.scales[column]}, at, tile, n, BLOCK"
        else:
            place = f"{column}, at, n"
        lines.append(f"i{column} = memory.read_{kind}(base, {place}, ALIGNED, FULL)")
    if layout.rest is not None and 0 in formula.inputs:
        kind = layout.kinds[0]
        rest = f"memory.read_{kind}(base, {layout.rest}, at, n, ALIGNED, FULL)"
        lines.append(f"i0 = i0 + {rest}")
    return lines


def _block(name: str) -> str:
    """Return a value as one of every element; results may be uniforms or constants."""
    if name[0] in "itu" and name[1:].isdigit():
        return f"tl.broadcast_to({name}, (BLOCK,))"
    return f"tl.full((BLOCK,), {name}, tl.float32)"


def _writes(layout: Layout, formula: Formula) -> list[str]:
    lines = []
    for place, name in enumerate(formula.outputs):
        # Outputs are the parameter and the states; the gradient stays.
        column = place and place + 1
        kind = layout.kinds[column]
        if name == f"i{column}" and layout.rest is None:
            continue
        value = _block(name)
        end = "ALIGNED, FULL"
        stochastic = layout.random and kind in ("bfloat16", "uint8")
        if column == 0:
            stochastic = layout.rounding == "stochastic"
        word = f"memory.words(keys, {place}, at)" if stochastic else "None"
        if kind == "uint8":
            where = f"{column}, {layout.scales[column]}, at, tile, n"
            lines.append(f"memory.write_uint8(base, {where}, {value}, {word}, BLOCK, {end})")
            continue
        if kind == "float32":
            lines.append(f"memory.write_float32(base, {column}, at, n, {value}, {end})")
            continue
        rounded = f"memory.neighbour_{kind}(o{place}, {word})"
        if not stochastic:
            rounded = f"memory.nearest_{kind}(o{place})"
        lines += [
            f"o{place} = {value}",
            f"r{place} = {rounded}",
            f"memory.write_{kind}(base, {column}, at, n, r{place}, {end})",
        ]
        if column == 0 and layout.rest is not None:
            rest = f"memory.nearest_{kind}(memory.remainder(o0, r0))"
            lines.append(f"memory.write_{kind}(base, {layout.rest}, at, n, {rest}, {end})")
    return lines


def _counts(layout: Layout, formula: Formula) -> list[str]:
    agree = f"tl.where(at < n, {_block(formula.outputs[0])}, 0.0)"
    # Whole numbers: their sum does not depend on the order.
    return [f"tl.atomic_add(out + row, tl.sum({agree}.to(tl.int64)))"]


def _measures(layout: Layout, formula: Formula) -> list[str]:
    lines = []
    for k, (name, largest) in enumerate(zip(formula.outputs, formula.special, strict=True)):
        lines.append(f"q{k} = tl.where(at < n, {_block(name)}, 0.0)")
        total = f"tl.sum(q{k}.to(tl.float64))"
        if largest:
            # By bits, so that NaN stays.
            total = f"memory.single(tl.max(memory.bits(q{k}) & 0x7FFFFFFF)).to(tl.float64)"
        lines.append(f"tl.store(out + program * {len(formula.outputs)} + {k}, {total})")
    return lines


def text(layout: Layout, formula: Formula, stage: str) -> str:
    """Return the source of a kernel that steps, measures, or counts where signs agree."""
    ends = {"update": _writes, "measure": _measures, "agree": _counts}[stage](layout, formula)
    lines = [*_reads(layout, formula), *formula.body.splitlines(), *ends]
    body = "".join(f"    {line.strip()}\n" for line in lines)
    arguments = "base, uniforms, keys, out, program, row, tile, n"
    flags = "BLOCK: tl.constexpr, ALIGNED: tl.constexpr"
    return (
        "@triton.jit\n"
        f"def tile_of({arguments}, {flags}, FULL: tl.constexpr):\n"
        "    at = tile * BLOCK + tl.arange(0, BLOCK)\n"
        f"{body}\n\n"
        "@triton.jit\n"
        f"def kernel(table, tiles, uniforms, keys, out, {flags}, STRIDE: tl.constexpr):\n"
        "    program = tl.program_id(0).to(tl.int64)\n"
        "    row = tl.load(tiles + 2 * program).to(tl.int64)\n"
        "    tile = tl.load(tiles + 2 * program + 1).to(tl.int64)\n"
        f"    base = table + row * {layout.width}\n"
        f"    n = tl.load(base + {layout.width - 1})\n"
        f"    keys = keys + row * {2 * (len(layout.kinds) - 1)}\n"
        "    uniforms = uniforms + row * STRIDE\n"
        "    if (tile + 1) * BLOCK <= n:\n"
        f"        tile_of({arguments}, BLOCK, ALIGNED, True)\n"
        "    else:\n"
        f"        tile_of({arguments}, BLOCK, ALIGNED, False)\n"
    )


@cache
def compiled(source: str) -> Any:
    """Return the kernel of a text."""
    import triton
    import triton.language as tl

    from thalweg.optim.kernels import memory

    # Triton reads the source of a function anew; there is no file that it could read it from.
    name = f"<thalweg kernel {next(_NUMBERS)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    scope = {"triton": triton, "tl": tl, "memory": memory, "__name__": __name__}
    exec(compile(source, name, "exec"), scope)
    return scope["kernel"]
