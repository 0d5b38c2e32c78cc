"""What the native core reads: matrices as borrowed buffers, targets and weights as float64."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def is_sparse(X: Any) -> bool:
    """Whether `X` is a scipy sparse matrix or array."""
    return hasattr(X, "tocsc") and hasattr(X, "nnz")


def matrix(X: Any, *, name: str = "X", transposed: bool = False) -> tuple[Any, int, int, Any]:
    """Return the buffers of `X` (or of its transpose), its shape and its dtype, without a copy.

    CSR is converted to CSC (the transpose: CSC to CSR), strided arrays to Fortran order.
    """
    if is_sparse(X):
        X = X.T.tocsc() if transposed else X.tocsc()
        _check_dtype(X.dtype, name)
        index = X.indptr.dtype if X.indptr.dtype == X.indices.dtype else np.dtype(np.int64)
        indices = X.indices.astype(index, copy=False)
        starts = X.indptr.astype(index, copy=False)
        return (X.data, indices, starts, X.shape[0]), X.shape[0], X.shape[1], X.dtype
    X = np.asarray(X)
    if X.ndim != 2:
        raise ValueError(f"{name} must be a 2-D array, got {X.ndim}-D; reshape it")
    _check_dtype(X.dtype, name)
    X = X.T if transposed else X
    if not (X.flags.f_contiguous or X.flags.c_contiguous) or not X.flags.aligned:
        X = np.asfortranarray(X)
    return X, X.shape[0], X.shape[1], X.dtype


def _check_dtype(dtype: Any, name: str) -> None:
    if dtype not in (np.float32, np.float64):
        raise TypeError(
            f"{name} must be float32 or float64, got {dtype}; "
            f"convert it with {name}.astype(np.float64)"
        )


def vector(y: ArrayLike, *, name: str = "y") -> Array:
    """`y` as a contiguous float64 vector."""
    y = np.ascontiguousarray(y, dtype=np.float64)
    if y.ndim != 1:
        raise ValueError(f"{name} must be a 1-D array, got {y.ndim}-D; pass {name}.ravel()")
    return y


def normalised(sample_weight: ArrayLike | None, n: int) -> Array:
    """Weights that sum to one."""
    if n == 0:
        raise ValueError("X must hold at least one sample, got none; check its shape")
    if sample_weight is None:
        return np.full(n, 1.0 / n)
    weights = vector(sample_weight, name="sample_weight")
    if weights.shape != (n,):
        raise ValueError(
            f"sample_weight of shape {weights.shape} does not match X of {n} samples; "
            "pass one weight a sample"
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError(
            f"sample_weight must be finite and >= 0, got {weights.min()}; drop these samples"
        )
    total = weights.sum()
    if total == 0:
        raise ValueError("sample_weight must have a positive sum, got 0; keep at least one sample")
    return np.asarray(weights / total)


def in_range(
    name: str, value: Any, low: float, high: float = math.inf, *, strict: bool = False
) -> float:
    """`value` as a float inside its range."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} must be a number, got {type(value).__name__}; a usual value is 1.0"
        ) from None
    if not (low < number if strict else low <= number) or not number <= high:
        left = "(" if strict else "["
        right = ")" if math.isinf(high) else "]"
        raise ValueError(
            f"{name} must be in {left}{low:g}, {high:g}{right}, got {number:g}; choose one inside"
        )
    return number


def count(name: str, value: Any, low: int = 1) -> int:
    """`value` as an integer not below `low`."""
    if isinstance(value, bool) or int(value) != value:
        raise TypeError(f"{name} must be an integer, got {value!r}; round it")
    if value < low:
        raise ValueError(f"{name} must be >= {low}, got {value}; a usual value is 100")
    return int(value)


def choice(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """`value`, which must be one of `allowed`."""
    if value not in allowed:
        raise ValueError(
            f"{name} must be one of {', '.join(allowed)}, got {value!r}; check its spelling"
        )
    return value


def settings(
    *,
    tol: float,
    max_iter: int,
    max_epochs: int,
    p0: int,
    selection: str,
    seed: int,
    working_set: bool,
    accelerate: bool,
) -> dict[str, Any]:
    """The settings the core expects, checked."""
    return {
        "tol": in_range("tol", tol, 0.0),
        "max_iter": count("max_iter", max_iter),
        "max_epochs": count("max_epochs", max_epochs),
        "p0": count("p0", p0),
        "selection": choice("selection", selection, ("cyclic", "shuffled", "random", "greedy")),
        "seed": int(seed) % 2**64,
        "working_set": bool(working_set),
        "accelerate": bool(accelerate),
    }


PROGRESS = ("objective", "gap", "violation", "remaining", "support", "epochs")


def reporter(
    verbose: int,
    callback: Callable[[dict[str, float]], Any] | None,
    names: tuple[str, ...] = PROGRESS,
) -> Callable[[list[float]], None] | None:
    """A function that prints a progress line and calls `callback`, or None for neither."""
    if not verbose and callback is None:
        return None

    def report(row: list[float]) -> None:
        progress = dict(zip(names, row))
        if verbose:
            sys.stdout.write("  ".join(f"{name} {x:.8g}" for name, x in progress.items()) + "\n")
            sys.stdout.flush()
        if callback is not None:
            callback(progress)

    return report
