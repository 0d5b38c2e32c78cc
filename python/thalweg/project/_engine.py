"""Axes, batches, kinds and types of arrays, once for every set.

A set sees rows of contiguous vectors (or matrices, as vectors of their entries). CPU arrays and
tensors of float32 and float64 go to the native core; tensors elsewhere, or of another type, to the
plain torch form of the set (`_reference`), which autograd differentiates.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from thalweg import _core
from thalweg._extras import require

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
TOLERANCE = 1e-10  # relative residual above which an iterative set warns


class ConvergenceWarning(UserWarning):
    """A method stopped before its optimality conditions held to tolerance."""


@dataclass(frozen=True)
class Set:
    """A line of the native registry with its parameters."""

    name: str
    scalars: tuple[float, ...] = ()
    vectors: tuple[Floats, ...] = ()
    matrix: bool = False


def is_tensor(x: Any) -> bool:
    """Whether `x` is a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def values(given: Any, name: str) -> Floats:
    """A parameter as contiguous float64 of any shape."""
    if is_tensor(given):
        if given.requires_grad:
            raise TypeError(
                f"{name} must be a constant, got a tensor that requires grad; "
                "gradients flow to x alone: pass .detach()"
            )
        given = given.cpu().double().numpy()
    try:
        out: Floats = np.ascontiguousarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} must be a number or an array of numbers, got {type(given).__name__}; "
            "see the documentation"
        ) from None
    return out


def vector(given: Any, name: str) -> Floats:
    """A parameter as a vector: a number becomes one of length 1."""
    out = values(given, name)
    if np.ndim(given) > 1:
        raise ValueError(
            f"{name} must be a number or a vector, got shape {out.shape}; "
            "give one value for each entry along the axis"
        )
    return out.reshape(-1)


def number(given: Any, name: str) -> float:
    """A parameter as a float; the core checks its range."""
    if is_tensor(given) and given.requires_grad:
        values(given, name)
    try:
        return float(given)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} must be a number, got {type(given).__name__}; see the documentation"
        ) from None


def radius_of(given: Any) -> float:
    """A radius, >= 0."""
    out = number(given, "radius")
    if not 0 <= out < math.inf:
        raise ValueError(f"radius must be finite and >= 0, got {given!r}; the set is empty")
    return out


def system(rows: Any, sides: Any, n: int, names: tuple[str, str]) -> tuple[Floats, Floats]:
    """Coefficients (k, n), flat, and right-hand sides (k,) of linear conditions."""
    a, b = values(rows, names[0]), vector(sides, names[1])
    if np.ndim(rows) != 2 or a.shape[1] != n:
        raise ValueError(
            f"{names[0]} must be of shape (k, {n}), got {a.shape}; "
            "give one coefficient for each entry along the axis"
        )
    if len(b) == 1:
        b = np.full(len(a), b[0])
    if len(b) != len(a):
        raise ValueError(
            f"{names[1]} of shape {b.shape} does not match {names[0]} of shape {a.shape}; "
            "give one right-hand side for each row"
        )
    return a.reshape(-1), b


def integer(given: Any, name: str, low: int = 0) -> int:
    """A parameter as an integer >= low."""
    if isinstance(given, bool) or int(given) != given or given < low:
        raise ValueError(f"{name} must be an integer >= {low}, got {given!r}; see the function")
    return int(given)


def checked(x: Any, name: str = "x") -> Any:
    """`x` as a floating array or tensor."""
    if is_tensor(x):
        if not x.dtype.is_floating_point:
            raise TypeError(f"{name} must be floating point, got {x.dtype}; call .float()")
        return x
    x = np.asarray(x)
    if x.dtype not in (np.float32, np.float64):
        raise TypeError(
            f"{name} must be float32 or float64, got {x.dtype}; "
            f"convert it with {name}.astype(np.float64)"
        )
    return x


def run(what: Set, x: Any, *, axis: int | Sequence[int] = -1, out: Any = None) -> Any:
    """Project `x` along `axis` (two axes for sets of matrices), every batch entry on its own."""
    x = checked(x)
    axes = _axes(x.ndim, axis, what.matrix)
    if is_tensor(x):
        return _tensor(what, x, axes, out)
    if out is not None:
        check_out(x, out)
    return _native(what, x, axes, out)


def size(x: Any, axis: int) -> int:
    """Length of `x` along `axis`, checked."""
    x = checked(x)
    return int(x.shape[_axes(x.ndim, axis, False)[0]])


def shape(x: Any, axes: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of the matrices in `x`, checked."""
    x = checked(x)
    first, second = _axes(x.ndim, axes, True)
    return int(x.shape[first]), int(x.shape[second])


def _axes(ndim: int, axis: int | Sequence[int], matrix: bool) -> tuple[int, ...]:
    given = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    name = "axes" if matrix else "axis"
    if len(given) != 1 + matrix or any(not -ndim <= a < ndim for a in given):
        words = "two axes" if matrix else "an axis"
        raise ValueError(
            f"{name} must be {words} of an array of {ndim} dimensions, got {axis!r}; "
            "the last ones are the default"
        )
    found = tuple(int(a) % ndim for a in given)
    if len(set(found)) < len(found):
        raise ValueError(f"axes must be two different axes, got {axis!r}; pass (-2, -1)")
    return found


def check_out(x: Any, out: Any) -> None:
    if type(out) is not type(x) and not (isinstance(out, np.ndarray) and not is_tensor(x)):
        raise TypeError(
            f"out must be of the kind of x, got {type(out).__name__}; "
            "pass an array for an array, a tensor for a tensor"
        )
    if out.dtype != x.dtype:
        raise TypeError(f"out must be of the dtype of x, {x.dtype}, got {out.dtype}; convert it")
    if tuple(out.shape) != tuple(x.shape):
        raise ValueError(
            f"out of shape {tuple(out.shape)} does not match x of shape {tuple(x.shape)}; "
            "pass an array like x"
        )
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        raise ValueError("out must be writeable, got a read-only array; pass a copy")


def _straight(ndim: int, axes: tuple[int, ...]) -> bool:
    """Whether the axes are the last ones, in order."""
    return axes == tuple(range(ndim - len(axes), ndim))


def _rows(x: Array, axes: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
    """Vectors of `x` as contiguous rows, and the shape before they were flattened."""
    moved = x if _straight(x.ndim, axes) else np.moveaxis(x, axes, range(-len(axes), 0))
    batch, n = moved.shape[: -len(axes)], math.prod(moved.shape[-len(axes) :])
    rows = np.ascontiguousarray(moved).reshape(math.prod(batch), n)
    return (rows if rows.flags.aligned else rows.copy()), moved.shape


def _back(rows: Array, moved: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    out = rows.reshape(moved)
    if _straight(len(moved), axes):
        return out
    return np.moveaxis(out, range(-len(axes), 0), axes)


def _native(what: Set, x: Array, axes: tuple[int, ...], out: Array | None) -> Array:
    rows, moved = _rows(x, axes)
    usable = out is not None and out.flags.c_contiguous and out.flags.aligned
    usable = usable and _straight(x.ndim, axes) and not np.may_share_memory(out, rows)
    result = out.reshape(rows.shape) if out is not None and usable else np.empty_like(rows)
    residual = _core.project_apply(what.name, what.scalars, what.vectors, rows, result)
    if residual != 0:  # NaN too
        warn(what, residual)
    if out is None:
        return np.ascontiguousarray(_back(result, moved, axes))
    if not usable:
        np.copyto(out, _back(result, moved, axes))
    return out


def _native_pull(what: Set, x: Array, y: Array, v: Array, axes: tuple[int, ...]) -> Array:
    (x_rows, moved), (y_rows, _), (v_rows, _) = (_rows(a, axes) for a in (x, y, v))
    result = np.empty_like(x_rows)
    _core.project_pull(what.name, what.scalars, what.vectors, x_rows, y_rows, v_rows, result)
    return np.ascontiguousarray(_back(result, moved, axes))


def warn(what: Set, residual: float) -> None:
    """Say what did not converge, or is not unique; refuse what is empty."""
    if math.isnan(residual):
        raise ValueError(
            f"{what.name} must have a point, got constraints that contradict; it is empty"
        )
    if residual == math.inf:
        warnings.warn(
            f"{what.name}: the smallest singular value is 0 up to rounding, so the nearest point "
            "is not unique; one of them is returned",
            ConvergenceWarning,
            stacklevel=5,
        )
    elif residual > TOLERANCE:
        warnings.warn(
            f"{what.name}: residual {residual:.1e} > {TOLERANCE:.0e}; the result is approximate, "
            "rescale x or use float64",
            ConvergenceWarning,
            stacklevel=5,
        )


def _tensor(what: Set, x: Any, axes: tuple[int, ...], out: Any) -> Any:
    torch = require("torch")
    if out is not None:
        if torch.is_grad_enabled() and (x.requires_grad or out.requires_grad):
            raise ValueError(
                "out must be None where a gradient is recorded, got a tensor; "
                "leave it out, or call under torch.no_grad()"
            )
        check_out(x, out)
    native = (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and x.layout == torch.strided
    )
    if native and out is not None:
        _native(what, x.detach().numpy(), axes, out.detach().numpy())
        torch.autograd.graph.increment_version([out])
        return out
    result = _function().apply(x, what, axes) if native else reference(what, x, axes)
    return result if out is None else out.copy_(result)


@cache
def _refusal() -> Any:
    torch = require("torch")

    class Refusal(torch.autograd.Function):  # type: ignore[misc, name-defined, unused-ignore]
        """The identity, which cannot be differentiated."""

        @staticmethod
        def forward(ctx: Any, gradient: Any, *sources: Any) -> Any:
            return gradient.view_as(gradient)

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            raise NotImplementedError(
                "second derivatives of thalweg.project are not supported; "
                "call backward without create_graph, or detach the gradient"
            )

    return Refusal


def once(gradient: Any, *sources: Any) -> Any:
    """Make `gradient` refuse a second differentiation, which would miss how it depends on them."""
    if require("torch").is_grad_enabled() and gradient is not None:
        return _refusal().apply(gradient, *sources)
    return gradient


@cache
def _carried() -> Any:
    torch = require("torch")

    class Carried(torch.autograd.Function):  # type: ignore[misc, name-defined, unused-ignore]
        """A known image of x with its vector-Jacobian product."""

        @staticmethod
        def forward(ctx: Any, x: Any, y: Any, pull: Any) -> Any:
            ctx.pull = pull
            ctx.save_for_backward(x)
            return y.view_as(y)

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            (x,) = ctx.saved_tensors
            return once(ctx.pull(v.detach()), x, v), None, None

    return Carried


def carried(y: Any, x: Any, pull: Any) -> Any:
    """`y`, found from `x` without a graph, with the vector-Jacobian product `pull`."""
    return _carried().apply(x, y, pull)


@cache
def _function() -> Any:
    torch = require("torch")

    class Project(torch.autograd.Function):  # type: ignore[misc, name-defined, unused-ignore]
        """Projection with its exact vector-Jacobian product."""

        @staticmethod
        def forward(ctx: Any, x: Any, what: Set, axes: tuple[int, ...]) -> Any:
            y = torch.from_numpy(_native(what, x.detach().numpy(), axes, None))
            ctx.what, ctx.axes = what, axes
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            x, y = ctx.saved_tensors
            first, image, cotangent = (t.detach().numpy() for t in (x, y, v))
            pulled = _native_pull(ctx.what, first, image, cotangent, ctx.axes)
            return once(torch.from_numpy(pulled), x, v), None, None

    return Project


def reference(what: Set, x: Any, axes: tuple[int, ...]) -> Any:
    """The plain torch form, in float64 where the device has it, rounded once."""
    torch = require("torch")
    from thalweg.project._reference import MATRIX_FORMS, REFERENCE

    if not bool(x.isfinite().all()):
        raise ValueError("x holds NaN or infinity; replace such entries before the call")
    wide = torch.float32 if x.device.type == "mps" else torch.float64
    moved = x.movedim(axes, tuple(range(-len(axes), 0))).to(wide)
    full = moved.shape
    batch, n = math.prod(full[: -len(axes)]), math.prod(full[-len(axes) :])
    # The checks of the core, on one vector of the right length.
    _core.project_apply(what.name, what.scalars, what.vectors, np.zeros((0, n)), np.zeros((0, n)))
    vectors = [torch.as_tensor(v).to(device=x.device, dtype=wide) for v in what.vectors]
    if what.matrix and what.name not in MATRIX_FORMS:  # a set of vectors, of all entries
        moved = moved.flatten(-2)
    y = REFERENCE[what.name](moved, what.scalars, vectors) if moved.numel() else None
    if y is None:  # nothing to do, or more than the plain form could: the core, on the host
        flat = moved.reshape(batch, n)
        y = _function().apply(flat.cpu().double(), what, (1,)).to(device=x.device, dtype=wide)
    return y.reshape(full).to(x.dtype).movedim(tuple(range(-len(axes), 0)), axes)
