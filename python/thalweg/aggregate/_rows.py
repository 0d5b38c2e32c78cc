"""A Jacobian in any of its forms, behind the two passes that aggregation needs.

A matrix (m, d), or a list of per-parameter Jacobians (m, *shape) that is never concatenated; numpy
or torch. CPU arrays of float32 and float64 go to the native core without a copy; everything else
(other devices, half precision) takes the plain torch reference below.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from thalweg import _core

Vector = npt.NDArray[np.float64]
_CHUNK = 1 << 18  # columns that the reference widens to float64 at a time


def is_tensor(x: Any) -> bool:
    """Whether `x` is a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


class Native:
    """Columns on the CPU, float32 or float64."""

    def __init__(self, data: Any) -> None:
        self.data = data
        array = data.numpy() if is_tensor(data) else data
        unit = array.shape[1] <= 1 or array.strides[1] == array.itemsize
        if not (unit and array.flags.aligned):
            array = np.ascontiguousarray(array)
        self.array = array

    def new(self) -> tuple[Any, Any]:
        """An empty vector in kind, and a numpy view of it."""
        if is_tensor(self.data):
            out = self.data.new_empty(self.array.shape[1])
            return out, out.numpy()
        out = np.empty(self.array.shape[1], self.array.dtype)
        return out, out

    def add_gramian(self, gramian: Vector, other: Any = None) -> None:
        view = other.numpy() if is_tensor(other) else other
        _core.aggregate_gramian(self.array, gramian, view)

    def average(self, means: Any, beta: float) -> None:
        view = means.numpy() if is_tensor(means) else means
        _core.aggregate_average(self.array, view, beta)

    def modulate(self, means: Any, beta: float, factor: float | None) -> Any:
        out, target = self.new()
        view = means.numpy() if is_tensor(means) else means
        _core.aggregate_samgs(self.array, view, beta, factor, target)
        return out

    def excess(self, squares: Any, out: Vector) -> None:
        view = squares.numpy() if is_tensor(squares) else squares
        _core.aggregate_excess(self.array, view, out)

    def combine(self, weights: Vector) -> tuple[Any, float]:
        out, view = self.new()
        return out, _core.aggregate_combine(self.array, weights, view)

    def is_finite(self) -> bool:
        return bool(_core.aggregate_finite(self.array))

    def graddrop(self, leak: Vector, seed: int, step: int, first: int) -> Any:
        out, view = self.new()
        _core.aggregate_graddrop(self.array, leak.tolist(), seed, step, first, view)
        return out

    def trimmed_mean(self, trim: int) -> Any:
        out, view = self.new()
        _core.aggregate_trimmed_mean(self.array, trim, view)
        return out


class Reference:
    """Columns of a torch tensor on any device, in plain torch."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def _wide(self) -> Any:
        torch = sys.modules["torch"]
        # Apple's GPUs have no float64.
        return torch.float32 if self.data.device.type == "mps" else torch.float64

    def _put(self, values: Vector) -> Any:
        torch = sys.modules["torch"]
        return torch.as_tensor(values).to(device=self.data.device, dtype=self._wide())

    def add_gramian(self, gramian: Vector, other: Any = None) -> None:
        total = self._put(np.zeros_like(gramian))
        data = self.data if other is None else sys.modules["torch"].cat([self.data, other])
        for block in data.split(_CHUNK, dim=1):
            block = block.to(self._wide())
            total += block @ block.T
        gramian += total.cpu().double().numpy()

    def average(self, means: Any, beta: float) -> None:
        means.mul_(beta).add_(self.data.to(means.dtype), alpha=1 - beta)

    def modulate(self, means: Any, beta: float, factor: float | None) -> Any:
        self.average(means, beta)
        total = (self.data.to(self._wide()) * means.abs().to(self._wide())).sum(0)
        return ((0.0 if factor is None else factor) * total).to(self.data.dtype)

    def excess(self, squares: Any, out: Vector) -> None:
        x = self.data.to(self._wide()).square()
        squares += x.to(squares.dtype)
        root = (squares.to(self._wide()) + 1e-7).sqrt()
        out += (x / root).sum(1).cpu().double().numpy()

    def combine(self, weights: Vector) -> tuple[Any, float]:
        used = np.flatnonzero(weights)
        out = self.data.new_zeros(self.data.shape[1])
        square = 0.0
        if len(used):
            torch = sys.modules["torch"]
            rows = torch.as_tensor(used, device=self.data.device)
            w = self._put(weights[used])
            for block, part in zip(self.data.split(_CHUNK, dim=1), out.split(_CHUNK)):
                total = w @ block.index_select(0, rows).to(self._wide())
                part.copy_(total)
                square += float(total.square().sum())
        return out, square

    def is_finite(self) -> bool:
        return bool(self.data.isfinite().all())

    def graddrop(self, leak: Vector, seed: int, step: int, first: int) -> Any:
        x = self.data.to(self._wide())
        p = 0.5 * (1 + x.sum(0) / x.abs().sum(0))
        u = self._put(_core.aggregate_draws(seed, step, first, x.shape[1]))
        keep = ((x > 0) & (p > u)) | ((x < 0) & (p < u))
        share = self._put(leak)[:, None]
        return ((share + (1 - share) * keep) * x).sum(0).to(self.data.dtype)

    def trimmed_mean(self, trim: int) -> Any:
        x = self.data.sort(dim=0).values
        return x[trim : len(x) - trim].to(self._wide()).mean(0).to(self.data.dtype)


Block = Native | Reference


class Rows:
    """The rows of a Jacobian.

    Parameters
    ----------
    jacobian : ndarray or Tensor of shape (m, d), or a sequence of them of shape (m, ...)
        A row for each loss; a sequence holds one Jacobian for each parameter.

    Raises
    ------
    TypeError
        If it is something else, or of another dtype.
    ValueError
        If it has no row, or its parts disagree on the number of rows.
    """

    def __init__(self, jacobian: Any) -> None:
        self.listed = isinstance(jacobian, (list, tuple))
        parts: Sequence[Any] = jacobian if self.listed else [jacobian]
        if not parts:
            raise ValueError(
                "jacobian must be a matrix or a list of at least one, got an empty list; "
                "give one Jacobian for each parameter"
            )
        names = [f"jacobian[{k}]" for k in range(len(parts))] if self.listed else ["jacobian"]
        self.m = _check(parts, names, self.listed)
        if self.m == 0:
            raise ValueError(
                "the number of rows of the Jacobian must be at least 1, got 0; "
                "give one gradient for each loss"
            )
        self.shapes = [tuple(part.shape[1:]) for part in parts]
        self.blocks: list[Block] = [_block(part) for part in parts]

    def gramian(self) -> Vector:
        """The m x m inner products, in float64."""
        out = np.zeros((self.m, self.m))
        for block in self.blocks:
            block.add_gramian(out)
        return out

    def joint(self, others: Sequence[Any]) -> Vector:
        """The inner products among these rows and those of `others`, a matrix a block."""
        m = self.m + (len(others[0]) if len(others) else 0)
        out = np.zeros((m, m))
        for block, other in zip(self.blocks, others):
            block.add_gramian(out, other)
        return out

    def excess(self, squares: list[Any]) -> Vector:
        """Adds the squared rows to `squares`; sum_c J_ic^2 / sqrt(squares_ic + 1e-7) after it."""
        out = np.zeros(self.m)
        for block, part in zip(self.blocks, squares):
            block.excess(part, out)
        return out

    def is_finite(self) -> bool:
        """Whether no entry is NaN or infinite."""
        return all(block.is_finite() for block in self.blocks)

    def combine(self, weights: Vector, zero_below: float = -1.0) -> Any:
        """The weighted sum of the rows; exact zeros if it is not longer than `zero_below`."""
        return self.wrap(self.combined(weights, zero_below)[0])

    def combined(self, weights: Vector, zero_below: float = -1.0) -> tuple[list[Any], float]:
        """As `combine`, one vector a block, with the length of their whole."""
        parts = [block.combine(weights) for block in self.blocks]
        vectors = [vector for vector, _ in parts]
        length = float(sum(square for _, square in parts)) ** 0.5
        if length <= zero_below:
            for vector in vectors:
                vector[...] = 0.0
            length = 0.0
        return vectors, length

    def is_native(self) -> bool:
        """Whether all columns are in the native core's reach."""
        return all(isinstance(block, Native) for block in self.blocks)

    def each(self, make: Callable[[Block], Any]) -> Any:
        """One vector a block, in kind."""
        return self.wrap([make(block) for block in self.blocks])

    def nan(self) -> Any:
        """A vector of NaN."""
        return self.each(lambda block: block.data[0] * float("nan"))

    def wrap(self, vectors: Sequence[Any]) -> Any:
        """Vectors, one a block, in the form that the Jacobian came in."""
        if not self.listed:
            return vectors[0]
        return [vector.reshape(shape) for vector, shape in zip(vectors, self.shapes)]

    @property
    def key(self) -> list[Any]:
        """What a state that goes with these rows must agree on."""
        return [[tuple(block.data.shape), str(block.data.dtype)] for block in self.blocks]


def _check(parts: Sequence[Any], names: Sequence[str], listed: bool) -> int:
    for part, name in zip(parts, names):
        _check_kind(part, name)
        if (part.ndim < 1) if listed else (part.ndim != 2):
            allowed = "of shape (m, ...), a row for each loss" if listed else "of shape (m, d)"
            raise ValueError(
                f"{name} must be {allowed}, got shape {tuple(part.shape)}; "
                "stack the gradients of the losses as rows"
            )
        if part.shape[0] != parts[0].shape[0]:
            raise ValueError(
                f"{name} of shape {tuple(part.shape)} does not match {names[0]} of shape "
                f"{tuple(parts[0].shape)}; give every parameter one row for each loss"
            )
        if is_tensor(part) != is_tensor(parts[0]):
            raise TypeError(
                f"{name} must be of the kind of {names[0]}, got {type(part).__name__}; "
                "pass arrays or tensors, not both"
            )
    return int(parts[0].shape[0])


def _check_kind(part: Any, name: str) -> None:
    if is_tensor(part):
        torch = sys.modules["torch"]
        if part.layout != torch.strided:
            raise TypeError(f"{name} must be dense, got {part.layout}; call .to_dense()")
        if not part.dtype.is_floating_point:
            raise TypeError(f"{name} must be floating point, got {part.dtype}; call .float()")
    elif not isinstance(part, np.ndarray):
        raise TypeError(
            f"{name} must be a numpy array, a torch tensor or a list of them, "
            f"got {type(part).__name__}; convert it with numpy.asarray"
        )
    elif part.dtype not in (np.float32, np.float64):
        raise TypeError(
            f"{name} must be float32 or float64, got {part.dtype}; "
            f"convert it with {name}.astype(np.float64)"
        )


def _block(part: Any) -> Block:
    if not is_tensor(part):
        return Native(part.reshape(part.shape[0], -1) if part.size else _empty(part))
    part = part.detach()
    part = part.reshape(part.shape[0], -1) if part.numel() else _empty(part)
    torch = sys.modules["torch"]
    if part.device.type == "cpu" and part.dtype in (torch.float32, torch.float64):
        return Native(part)
    return Reference(part)


def _empty(part: Any) -> Any:
    """`reshape(m, -1)` cannot guess a length of zero."""
    return part.reshape(part.shape[0], int(np.prod(part.shape[1:])))
