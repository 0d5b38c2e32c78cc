"""Arguments that every searcher takes, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Bounds(NamedTuple):
    """Lower and upper bounds, for those without scipy; each a number or one for each coordinate."""

    lb: Any
    ub: Any


def as_start(x0: ArrayLike) -> Array:
    """`x0` as float64 of shape (d,) or (n, d), copied."""
    start = np.array(x0, dtype=np.float64)
    if start.ndim not in (1, 2) or start.size == 0:
        raise ValueError(
            f"x0 must be of shape (d,) or (n, d) with d >= 1, got {start.shape}; "
            "flatten it with np.ravel"
        )
    if not np.isfinite(start).all():
        raise ValueError("x0 holds NaN or infinity; start from finite numbers")
    return start


def as_bounds(bounds: Any, dim: int) -> Bounds | None:
    """Bounds as two arrays of shape (dim,), from pairs as scipy's or an object with lb and ub."""
    if bounds is None:
        return None
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        low, high = bounds.lb, bounds.ub
    else:
        pairs = list(bounds)
        # A bare (low, high) would be ambiguous for two coordinates.
        if len(pairs) != dim or any(np.size(pair) != 2 for pair in pairs):
            raise ValueError(
                f"bounds must be {dim} pairs (low, high) or Bounds, got {len(pairs)} entries; "
                "pass thalweg.search.Bounds(low, high) for two arrays"
            )
        # None stands for no bound, as in scipy.
        low = [-np.inf if pair[0] is None else pair[0] for pair in pairs]
        high = [np.inf if pair[1] is None else pair[1] for pair in pairs]
    try:
        low = np.ascontiguousarray(np.broadcast_to(np.asarray(low, dtype=float), (dim,)))
        high = np.ascontiguousarray(np.broadcast_to(np.asarray(high, dtype=float), (dim,)))
    except ValueError as error:
        raise ValueError(
            f"bounds must fit {dim} coordinates, got {error}; give each coordinate a pair"
        ) from error
    if not (low <= high).all():
        raise ValueError(
            f"bounds must be low <= high without NaN, got low {low} and high {high}; swap them"
        )
    return Bounds(low, high)


def as_seed(seed: int | np.random.Generator | None) -> int:
    """A 64-bit seed from None, an integer >= 0 or a Generator (advanced once)."""
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(0, 2**63))
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(
            f"seed must be None, an int or a numpy Generator, got {type(seed).__name__}; "
            "pass an int"
        )
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be in [0, 2**64), got {seed}; a usual value is 0")
    return int(seed)


def as_costs(costs: Any) -> Array:
    """One real cost for each candidate, as float64 of shape (n,)."""
    if getattr(costs, "requires_grad", False):
        raise TypeError(
            "costs must be plain numbers, got a tensor that carries gradients; "
            "evaluate under torch.no_grad() or pass costs.detach()"
        )
    array = np.asarray(costs)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"costs must be real numbers, got {array.dtype}; return one number a candidate"
        )
    if array.ndim == 2 and 1 in array.shape:
        array = array.reshape(-1)
    if array.ndim != 1:
        raise ValueError(
            f"costs must be of shape (n,), got {array.shape}; return one number a candidate"
        )
    return np.ascontiguousarray(array, dtype=np.float64)


def as_count(name: str, value: Any, most: int | None = None) -> int:
    """An integer >= 1, and no larger than `most`."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < 1 or (most is not None and value > most):
        allowed = "an integer >= 1" if most is None else f"an integer in [1, {most}]"
        raise ValueError(f"{name} must be {allowed}, got {value!r}; choose another number")
    return int(value)


def as_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse what is not one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {allowed}, got {value!r}; choose one of these")


def as_schedule(changes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Pairs (step, rank) in the order of their steps."""
    schedule = [(int(step), int(rank)) for step, rank in changes]
    steps = [step for step, _ in schedule]
    if any(a >= b for a, b in pairwise([-1, *steps])) or any(rank < 1 for _, rank in schedule):
        raise ValueError(
            f"rank_schedule must be pairs (step, rank) with steps increasing from 0 and ranks "
            f">= 1, got {schedule}; order them"
        )
    return schedule
