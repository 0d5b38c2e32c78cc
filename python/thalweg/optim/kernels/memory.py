"""What generated kernels read and write, in Triton: numbers of every stored type.

Tables hold addresses, so that one launch covers many tensors. Numbers are float32 once they are
read. Rounding, random words and eight-bit codes have the bits of the core: see `src/engine/rng.rs`
and `src/engine/codes.rs` for why they are as they are.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def address(
    base: tl.tensor, column: tl.tensor, kind: tl.constexpr, aligned: tl.constexpr
) -> tl.tensor:
    """Return the pointer in a column of the row at `base`."""
    pointer = tl.load(base + column).to(tl.pointer_type(kind))
    if aligned:
        # Lets loads and stores take sixteen bytes at a time.
        pointer = tl.multiple_of(pointer, 16)
    return pointer


@triton.jit
def load(pointer: tl.tensor, at: tl.tensor, n: tl.tensor, full: tl.constexpr) -> tl.tensor:
    """Return elements of a tile; zeros beyond the end, where the tile is not `full`."""
    if full:
        return tl.load(pointer + at)
    return tl.load(pointer + at, mask=at < n, other=0)


@triton.jit
def store(
    pointer: tl.tensor, at: tl.tensor, n: tl.tensor, value: tl.tensor, full: tl.constexpr
) -> None:
    """Write the elements of a tile that exist."""
    if full:
        tl.store(pointer + at, value)
    else:
        tl.store(pointer + at, value, mask=at < n)


@triton.jit
def bits(value: tl.tensor) -> tl.tensor:
    """Return the bits of singles."""
    return value.to(tl.int32, bitcast=True)


@triton.jit
def single(value: tl.tensor) -> tl.tensor:
    """Return the singles of some bits."""
    return value.to(tl.float32, bitcast=True)


@triton.jit
def read_float32(
    base: tl.tensor,
    column: tl.tensor,
    at: tl.tensor,
    n: tl.tensor,
    aligned: tl.constexpr,
    full: tl.constexpr,
) -> tl.tensor:
    """Return singles."""
    return load(address(base, column, tl.float32, aligned), at, n, full)


@triton.jit
def write_float32(
    base: tl.tensor,
    column: tl.tensor,
    at: tl.tensor,
    n: tl.tensor,
    value: tl.tensor,
    aligned: tl.constexpr,
    full: tl.constexpr,
) -> None:
    """Write singles."""
    store(address(base, column, tl.float32, aligned), at, n, value, full)


@triton.jit
def read_float16(
    base: tl.tensor,
    column: tl.tensor,
    at: tl.tensor,
    n: tl.tensor,
    aligned: tl.constexpr,
    full: tl.constexpr,
) -> tl.tensor:
    """Return what numbers of half precision stand for."""
    return load(address(base, column, tl.float16, aligned), at, n, full).to(tl.float32)


@triton.jit
def write_float16(
    base: tl.tensor,
    column: tl.tensor,
    at: tl.tensor,
    n: tl.tensor,
    value: tl.tensor,
    aligned: tl.constexpr,
    full: tl.constexpr,
) -> None:
    """Write numbers that `nearest_float16` or `neighbour_float16` has rounded."""
    store(address(base, column, tl.float16, aligned), at, n, value.to(tl.float16), full)


@triton.jit
def nearest_float16(value: tl.tensor) -> tl.tensor:
    """Round to half precision."""
    return value.to(tl.float16).to(tl.float32)


@triton.jit
def neighbour_float16(value: tl.tensor, word: tl.tensor) -> tl.tensor:
    """Round to one of the two neighbours in half precision."""
    size = tl.abs(value)
    normal = single(((bits(value) & 0x7FFFFFFF) + (word >> 19).to(tl.int32)) & -8192)
    place = size * 16777216.0 + (word >> 12).to(tl.int32).to(tl.float32) * 0.00000095367431640625
    small = tl.floor(tl.where(place < 1048576.0, place, 1048576.0)) * 0.000000059604644775390625
    magnitude = tl.where(size < 0.00006103515625, small, normal)
    magnitude = tl.where(magnitude > 65504.0, 65504.0, magnitude)
    magnitude = tl.where(size < float("inf"), magnitude, size)
    return single(bits(magnitude) | (bits(value) & -2147483648))


@triton.jit
def read_bfloat16(
    base: tl.tensor,
    column: tl.tensor,
    at: tl.tensor,
    n: tl.tensor,
    aligned: tl.constexpr,
    full: tl.constexpr,
) -> tl.tensor:
    """Return what the upper halves of singles stand for."""
    half = load(address(base, column, tl.int16, aligned), at, n, full)
    return single(half.to(tl.int32) << 16)


@triton.jit
def write_bfloat16(
    base: tl.tensor,
    column: tl.tensor,
    at: tl.tensor,
    n: tl.tensor,
    value: tl.tensor,
    aligned: tl.constexpr,
    full: tl.constexpr,
) -> None:
    """Write numbers that `nearest_bfloat16` or `neighbour_bfloat16` has rounded."""
    half = (bits(value) >> 16).to(tl.int16)
    store(address(base, column, tl.int16, aligned), at, n, half, full)


@triton.jit
def nearest_bfloat16(value: tl.tensor) -> tl.tensor:
    """Round to the upper half of a single, ties to even."""
    word = bits(value)
    # By its bits: the interpreter's conversion cuts.
    rounded = single((word + 0x7FFF + ((word >> 16) & 1)) & -65536)
    return tl.where(value == value, rounded, float("nan"))


@triton.jit
def neighbour_bfloat16(value: tl.tensor, word: tl.tensor) -> tl.tensor:
    """Round to one of the two neighbours that are upper halves of singles."""
    old = bits(value)
    part = tl.where((old & 0x7FFFFFFF) < 0x7F7F0000, (word >> 16).to(tl.int32), 0)
    return tl.where(value == value, single((old + part) & -65536), float("nan"))


@triton.jit
def remainder(value: tl.tensor, rounded: tl.tensor) -> tl.tensor:
    """Return what rounding left out, where there is any."""
    return tl.where(tl.abs(rounded) < float("inf"), value - rounded, 0.0)


@triton.jit
def words(keys: tl.tensor, slot: tl.tensor, at: tl.tensor) -> tl.tensor:
    """Return a random word for each element, by the key of a tensor; `Dither` in the core."""
    first = tl.load(keys + 2 * slot).to(tl.uint32, bitcast=True)
    second = tl.load(keys + 2 * slot + 1).to(tl.uint32, bitcast=True)
    second = second + (at >> 32).to(tl.uint32) * 0x9E3779B9
    x = at.to(tl.uint32) ^ first
    x = (x ^ (x >> 16)) * 0x7FEB352D
    x = ((x ^ (x >> 15)) + second) * 0x846CA68B
    return x ^ (x >> 16)


@triton.jit
def read_uint8(
    base: tl.tensor,
    column: tl.tensor,
    scales: tl.tensor,
    at: tl.tensor,
    tile: tl.tensor,
    n: tl.tensor,
    block: tl.constexpr,
    aligned: tl.constexpr,
    full: tl.constexpr,
) -> tl.tensor:
    """Return what codes stand for, with their scales in another column."""
    codes = load(address(base, column, tl.uint8, aligned), at, n, full).to(tl.int32)
    place = tile * (block // 256) + tl.arange(0, block // 256)
    pointer = address(base, scales, tl.float32, False)
    scale = tl.load(pointer + place, mask=place * 256 < n, other=0.0)[:, None]
    code = tl.reshape(codes, (block // 256, 256))
    signed = (scale < 0.0) == 0
    largest = tl.where(signed, 127, 255)
    level = code & largest
    magnitude = tl.where(level == 0, 0, (level + (1023 - largest)) << 20)
    sign = tl.where(signed, (code & 128) << 24, 0)
    return tl.reshape(single(magnitude | sign) * tl.abs(scale), (block,))


@triton.jit
def write_uint8(
    base: tl.tensor,
    column: tl.tensor,
    scales: tl.tensor,
    at: tl.tensor,
    tile: tl.tensor,
    n: tl.tensor,
    value: tl.tensor,
    word: tl.tensor,
    block: tl.constexpr,
    aligned: tl.constexpr,
    full: tl.constexpr,
) -> None:
    """Round to codes and their scales."""
    x = tl.reshape(tl.where(at < n, value, 0.0), (block // 256, 256))
    part = (tl.reshape(word, (block // 256, 256)) >> 12).to(tl.int32)
    size = bits(x) & 0x7FFFFFFF
    top = tl.max(size, axis=1)[:, None]
    signed = tl.max((x < 0.0).to(tl.int32), axis=1)[:, None] != 0
    lost = top >= 0x7F800000
    # Up to the next power of two above 1.875.
    exponent = (tl.where(lost, 0, top) + 0xFFFFF) & 0x7F800000
    exponent = tl.minimum(tl.maximum(exponent, 0x00800000), 0x7F000000)
    scale = single(exponent)
    largest = tl.where(signed, 127, 255)
    base_level = 1023 - largest
    smallest = single((base_level + 1) << 20)
    y = tl.where(lost, 0.0, tl.abs(x) * tl.div_rn(tl.full(scale.shape, 1.0, tl.float32), scale))
    level = tl.minimum(((bits(y) + part) >> 20) - base_level, largest)
    odds = part.to(tl.float32) < y * tl.div_rn(
        tl.full(smallest.shape, 1048576.0, tl.float32), smallest
    )
    with_sign = tl.where(y >= smallest, level, odds.to(tl.int32)) | ((bits(x) >> 24) & 128)
    without = tl.where(size == 0, 0, tl.maximum(level, 1))
    code = tl.where(lost | (top == 0), 0, tl.where(signed, with_sign, without))
    codes = tl.reshape(code, (block,)).to(tl.uint8)
    store(address(base, column, tl.uint8, aligned), at, n, codes, full)
    kept = tl.where(signed, scale, -scale)
    kept = tl.where(lost, float("nan"), tl.where(top == 0, 0.0, kept))
    place = tile * (block // 256) + tl.arange(0, block // 256)
    pointer = address(base, scales, tl.float32, False)
    tl.store(pointer + place, tl.reshape(kept, (block // 256,)), mask=place * 256 < n)


@triton.jit
def exponential(x: tl.tensor) -> tl.tensor:
    """Return e to the x, with the bits of the core."""
    y = tl.minimum(tl.maximum(tl.where(x == x, x, 0.0), -104.0), 89.0)
    shifted = y * 1.44269504 + 12582912.0
    k = shifted - 12582912.0
    r = (y - k * 0.693359375) - k * -2.1219444e-4
    square = r * r
    rest = (1.0 / 24.0 + r * (1.0 / 120.0)) + square * (1.0 / 720.0 + r * (1.0 / 5040.0))
    total = 1.0 + (r + square * ((0.5 + r * (1.0 / 6.0)) + square * rest))
    whole = bits(shifted) - 0x4B400000
    half = whole >> 1
    scaled = total * single((half + 127) << 23) * single((whole - half + 127) << 23)
    return tl.where(x == x, scaled, x)


@triton.jit
def logarithm(x: tl.tensor) -> tl.tensor:
    """Return the natural logarithm, with the bits of the core."""
    small = x < 1.1754943508222875e-38
    y = tl.where(small, x * 33554432.0, x)
    shift = tl.where(small, 25.0, 0.0)
    word = bits(y) - 0x3F3504F3
    m = single((word & 0x007FFFFF) + 0x3F3504F3)
    s = tl.div_rn(m - 1.0, m + 1.0)
    square = s * s
    total = square * 0.0 + 1.0 / 9.0
    total = total * square + 1.0 / 7.0
    total = total * square + 1.0 / 5.0
    total = total * square + 1.0 / 3.0
    k = (word >> 23).to(tl.float32) - shift
    low = k * -2.1219444e-4 + 2.0 * s * square * total
    value = k * 0.693359375 + (2.0 * s + low)
    value = tl.where(x == float("inf"), x, value)
    value = tl.where(x == 0.0, float("-inf"), value)
    return tl.where(x >= 0.0, value, float("nan"))


@triton.jit
def collect(
    partial: tl.tensor, ends: tl.tensor, totals: tl.tensor, maxima: tl.constexpr, k: tl.constexpr
) -> None:
    """Join what the tiles of each row have measured, in their order."""
    row, quantity = tl.program_id(0), tl.program_id(1)
    last = tl.load(ends + row + 1)
    lanes = tl.arange(0, 256)
    total = tl.zeros((256,), tl.float64)
    largest = tl.zeros((256,), tl.int64)
    for start in range(tl.load(ends + row), last, 256):
        place = start + lanes
        value = tl.load(partial + place * k + quantity, mask=place < last, other=0.0)
        total += value
        # Bits of numbers >= 0 are ordered as they are, with NaN above all.
        largest = tl.maximum(largest, value.to(tl.int64, bitcast=True))
    if (maxima >> quantity) & 1 == 0:
        tl.store(totals + row * k + quantity, tl.sum(total))
    else:
        tl.store(totals + row * k + quantity, tl.max(largest).to(tl.float64, bitcast=True))
