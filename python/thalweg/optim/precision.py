"""How states and parameters are stored, in plain torch and with the bits of the core.

`src/engine/codes.rs` explains the eight-bit format and why it is as it is. Blocks and random words
follow the order of memory.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from thalweg import _core
from thalweg.optim.whole import is_distributed

BLOCK = 256
FORMATS = {"bfloat16": torch.bfloat16, "int8": torch.uint8}

_MASK = 0xFFFFFFFF
# Mantissa bits of a single that a code leaves out, and the largest magnitude, 1.875, without them.
_DROPPED = 20
_TOP = 0x3FF00000 >> _DROPPED
_SIGN = 0x80


def is_random(group: dict[str, Any]) -> bool:
    """Return whether random words are drawn, so that steps must be counted whatever the rule."""
    return bool(group["state_dtype"] != "float32" or group["rounding"] == "stochastic")


def is_split(p: Tensor, group: dict[str, Any]) -> bool:
    """Return whether what rounding a parameter leaves out is kept."""
    return group["rounding"] == "kahan" and p.dtype in (torch.bfloat16, torch.float16)


def dequantize(state: Tensor, scale: Tensor | None = None) -> Tensor:
    """Return the numbers that a stored state stands for.

    Parameters
    ----------
    state : Tensor of any shape
        Bytes of an int8 state, such as `optimizer.state[p]["exp_avg"]`; or a state in bfloat16.
    scale : Tensor, shape (numel / 256, rounded up), optional
        What lies beside the bytes, such as `optimizer.state[p]["exp_avg_scale"]`.

    Returns
    -------
    Tensor
        float32, of the shape of `state`.

    Raises
    ------
    ValueError
        If bytes come without their scale.

    Examples
    --------
    >>> import torch
    >>> dequantize(torch.tensor([127, 255, 0], dtype=torch.uint8), torch.tensor([2.0])).tolist()
    [3.75, -3.75, 0.0]
    """
    if state.dtype != torch.uint8:
        return state.float()
    if scale is not None and is_distributed(state):
        values = torch.zeros_like(state, dtype=torch.float32)
        codes = state.to_local()
        _shard(values).copy_(dequantize(codes, local_scale(scale, codes)))
        return values
    if scale is None or scale.numel() != -(-state.numel() // BLOCK):
        raise ValueError(
            f"scale must be a tensor of {-(-state.numel() // BLOCK)} numbers, got "
            f"{None if scale is None else tuple(scale.shape)}; pass the state named ..._scale"
        )
    values = torch.empty_like(state, dtype=torch.float32)
    flat(values).copy_(_decode(flat(state), scale))
    return values


def quantize(values: Tensor, key: tuple[int, int] | None = None) -> tuple[Tensor, Tensor]:
    """Return bytes and scales of dense float32 numbers, to nearest or by the words of a key."""
    codes = torch.empty_like(values, dtype=torch.uint8, requires_grad=False)
    out, scale = _encode(flat(values), key)
    flat(codes).copy_(out)
    return codes, scale


def layout(p: Tensor) -> Tensor:
    """Return a real dense tensor in whose layout a parameter is stepped."""
    real = torch.view_as_real(p.detach().resolve_conj()) if p.is_complex() else p.detach()
    return real if is_dense(real) else real.contiguous()


def real_shape(p: Tensor) -> torch.Size:
    """Return the shape of a parameter, with pairs of numbers for complex ones."""
    return torch.view_as_real(p).shape if p.is_complex() else p.shape


def is_dense(tensor: Tensor) -> bool:
    """Return whether elements fill a stretch of memory, in any order of axes."""
    axes = sorted((s, n) for n, s in zip(tensor.shape, tensor.stride(), strict=True) if n > 1)
    expected = 1
    for stride, size in axes:
        if stride != expected:
            return False
        expected *= size
    return True


def flat(tensor: Tensor) -> Tensor:
    """Return the elements of a dense tensor in the order of memory."""
    return tensor.as_strided((tensor.numel(),), (1,), tensor.storage_offset())


def stored(name: str, values: Tensor, p: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
    """Return the entries of a state of these values, rounded to nearest."""
    kind = FORMATS[group["state_dtype"]]
    like = layout(p)
    real = torch.view_as_real(values.resolve_conj()) if values.is_complex() else values
    if kind == torch.bfloat16:
        return {name: torch.empty_like(like, dtype=kind).copy_(real)}
    dense = torch.empty_like(like, dtype=torch.float32).copy_(real)
    if is_distributed(dense):
        new = empty(name, p, group)
        codes, scale = quantize(dense.to_local())
        _shard(new[name]).copy_(codes)
        local_scale(new[scale_name(name)], codes).copy_(scale)
        return new
    codes, scale = quantize(dense)
    return {name: codes, scale_name(name): scale}


def empty(name: str, p: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
    """Return the entries of a state of zeros."""
    kind = FORMATS[group["state_dtype"]]
    new = {name: torch.zeros_like(layout(p), dtype=kind, requires_grad=False)}
    if kind == torch.uint8:
        new[scale_name(name)] = _scales(new[name])
    return new


def _scales(codes: Tensor) -> Tensor:
    """Return scales of zeros for codes.

    Blocks of distributed codes lie within a shard, so the scales are a row a shard, as long as the
    longest shard needs: a checkpoint of another number of processes then has another shape.
    """
    if not is_distributed(codes):
        return torch.zeros(-(-codes.numel() // BLOCK), device=codes.device)
    from torch.distributed.tensor import DTensor, Replicate, Shard

    mesh, sizes = codes.device_mesh, list(codes.shape)
    for axis, placement in enumerate(codes.placements):
        if isinstance(placement, Shard):
            sizes[placement.dim] = -(-sizes[placement.dim] // mesh.size(axis))
    local = torch.zeros(1, -(-math.prod(sizes) // BLOCK), device=codes.to_local().device)
    placements = [Shard(0) if isinstance(p, Shard) else Replicate() for p in codes.placements]
    return DTensor.from_local(local, mesh, placements, run_check=False)


def local_scale(scale: Tensor, codes: Tensor) -> Tensor:
    """Return the part of distributed scales that belongs to the codes of this process."""
    return _shard(scale).view(-1)[: -(-codes.numel() // BLOCK)]


def _shard(tensor: Tensor) -> Tensor:
    return tensor.to_local() if is_distributed(tensor) else tensor


def load(
    state: dict[str, Any],
    saved: dict[str, Any],
    p: Tensor,
    group: dict[str, Any],
    wide: torch.dtype,
    scalars: Collection[str] = (),
) -> None:
    """Replace a loaded state by what was saved, in the precision of the group.

    `state` holds what torch made of `saved`; `wide` is the type of a state in full precision;
    `scalars` are the names of numbers beside the buffers, which are kept as they are.
    """
    kind = FORMATS.get(group["state_dtype"], wide)
    for key, value in saved.items():
        if not isinstance(value, Tensor):
            continue
        if key in scalars:
            state[key] = value.detach().cpu().clone()
            continue
        if key == "step":
            # torch hands it over as it is, and both optimizers would count in it. Its fused ones
            # keep it on the device, where reading it would wait.
            state[key] = state[key].to("cpu", copy=True)
            continue
        scale = saved.get(scale_name(key)) if value.dtype == torch.uint8 else None
        if key.endswith("_scale") and key.removesuffix("_scale") in saved:
            if kind != torch.uint8:
                state.pop(key, None)
            continue
        if key == "compensation":
            if is_split(p, group) and value.shape == layout(p).shape:
                state[key] = torch.empty_like(layout(p)).copy_(value)
            else:
                del state[key]
            continue
        if value.dtype == torch.uint8 and scale is None:
            continue
        same = value.dtype == kind and value.stride() == layout(p).stride()
        if same or value.shape not in (p.shape, layout(p).shape):
            # Exactly as it was; a shape that does not fit is refused by the next step.
            state[key] = value.detach().to(p.device, copy=True)
            if scale is not None:
                state[scale_name(key)] = scale.detach().to(p.device, torch.float32, copy=True)
            continue
        values = dequantize(value, scale) if scale is not None else value.detach()
        values = values.to(p.device)
        if group["state_dtype"] != "float32":
            state.update(stored(key, values, p, group))
            continue
        if p.is_complex() and not values.is_complex():
            values = torch.view_as_complex(values.to(wide.to_real()).contiguous())
        state[key] = torch.empty_like(p, dtype=wide, requires_grad=False).copy_(values)


def scale_name(name: str) -> str:
    """Return the key of the scales of a state."""
    return f"{name}_scale"


def store(state: Tensor, scale: Tensor | None, values: Tensor, key: tuple[int, int] | None) -> None:
    """Round values into a state in place."""
    dense = torch.empty_like(state, dtype=torch.float32).copy_(values)
    if state.dtype == torch.uint8:
        assert scale is not None
        codes, new = _encode(flat(dense), key)
        flat(state).copy_(codes)
        scale.copy_(new)
    else:
        state.copy_(rounded(dense, state.dtype, key))


def rounded(values: Tensor, dtype: torch.dtype, key: tuple[int, int] | None) -> Tensor:
    """Return dense float32 numbers in a type of two bytes: to nearest, or to a neighbour."""
    nearest = values.to(dtype)
    if key is None:
        return nearest
    x = flat(values)
    word = words(x.numel(), key, x.device)
    bits = x.view(torch.int32).to(torch.int64) & _MASK
    if dtype == torch.bfloat16:
        low = (bits & 0x7FFFFFFF) < 0x7F7F0000
        neighbour = _single((bits + torch.where(low, word >> 16, 0)) & 0xFFFF0000).to(dtype)
        neighbour = torch.where(x.isnan(), nearest.new_tensor(torch.nan), neighbour)
    else:
        size = x.abs()
        normal = _single(((bits & 0x7FFFFFFF) + (word >> 19)) & 0xFFFFE000)
        place = size * 2.0**24 + (word >> 12).float() * 2.0**-20
        small = place.clamp(max=2.0**20).floor() * 2.0**-24
        magnitude = torch.where(size < 2.0**-14, small, normal).clamp(max=65504.0)
        magnitude = torch.where(size < torch.inf, magnitude, size)
        neighbour = torch.copysign(magnitude, x).to(dtype)
    out = torch.empty_like(nearest)
    flat(out).copy_(neighbour)
    return out


def words(n: int, key: tuple[int, int], device: torch.device) -> Tensor:
    """Return a 32-bit random word for each of `n` elements, as int64; see `Dither` in the core."""
    index = torch.arange(n, dtype=torch.int64, device=device)
    second = key[1] + (index >> 32) * 0x9E3779B9
    x = (index & _MASK) ^ key[0]
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _MASK
    x = ((((x ^ (x >> 15)) + second) & _MASK) * 0x846CA68B) & _MASK
    return x ^ (x >> 16)


def dither(parameter: int, slot: int, step: int) -> tuple[int, int]:
    """Return the key of a parameter (slot 0) or of one of its states (from 1)."""
    return _core.optim_dither(parameter, slot, step)


def _single(bits: Tensor) -> Tensor:
    return bits.to(torch.int32).view(torch.float32)


def _blocks(x: Tensor) -> Tensor:
    return torch.nn.functional.pad(x, (0, -x.numel() % BLOCK)).view(-1, BLOCK)


def _encode(x: Tensor, key: tuple[int, int] | None) -> tuple[Tensor, Tensor]:
    n = x.numel()
    word = torch.full((n,), 1 << 31, device=x.device) if key is None else words(n, key, x.device)
    x, word = _blocks(x), _blocks(word)
    bits = (x.view(torch.int32) & 0x7FFFFFFF).to(torch.int64)
    top = bits.amax(dim=1, keepdim=True)
    signed = (x < 0.0).any(dim=1, keepdim=True)
    exponent = ((top + 0xFFFFF) & 0x7F800000).clamp(0x00800000, 0x7F000000)
    size = _single(exponent)
    largest = torch.where(signed, 127, 255)
    base = _TOP - largest
    smallest = _single((base + 1) << _DROPPED)
    y = x.abs() * (1.0 / size)
    level = ((y.view(torch.int32).to(torch.int64) + (word >> (32 - _DROPPED))) >> _DROPPED) - base
    level = torch.minimum(level, largest)
    odds = (word >> (32 - _DROPPED)).float() < y * (2.0**_DROPPED / smallest)
    with_sign = torch.where(y >= smallest, level, odds.to(torch.int64))
    with_sign |= torch.where(x.signbit(), _SIGN, 0)
    without = torch.where(x == 0.0, 0, level.clamp(min=1))
    code = torch.where(signed, with_sign, without)
    lost = (top == 0) | (top >= 0x7F800000)
    code = torch.where(lost, 0, code).to(torch.uint8)
    scale = torch.where(signed, size, -size)
    scale = torch.where(top >= 0x7F800000, torch.nan, torch.where(top == 0, 0.0, scale))
    return code.view(-1)[:n], scale.view(-1)


def _decode(codes: Tensor, scale: Tensor) -> Tensor:
    code = _blocks(codes.to(torch.int64))
    scale = scale.view(-1, 1)
    signed = ~(scale < 0.0)
    largest = torch.where(signed, 127, 255)
    level = code & largest
    magnitude = torch.where(level == 0, 0, (level + (_TOP - largest)) << _DROPPED)
    values = _single(magnitude) * scale.abs()
    minus = signed & ((code & _SIGN) != 0)
    return torch.where(minus, -values, values).view(-1)[: codes.numel()]
