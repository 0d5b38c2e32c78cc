"""What descent over blocks returns, and what blocks are: numpy arrays or torch tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Descent:
    """Blocks and how they were reached.

    Attributes
    ----------
    blocks : list
        A numpy array, or a torch tensor, for each block.
    objective : float
        Value there; NaN where no function of values was given.
    stationarity : float
        What `tol` bounds; infinite where it was never measured.
    n_iter : int
        Passes over all blocks.
    n_gradients : float
        Evaluations of gradients: in `bcd_pr` of a block's gradient, in `cyclic_bcd` of one
        component's whole gradient (a block counts as one part of the number of blocks).
    status : str
        "converged", "limit" or "precision" (no step lowers the objective).
    history : list of dict
        One entry for each pass.
    state : dict
        What `cyclic_bcd` needs to go on exactly; empty otherwise.
    """

    blocks: list[Any]
    objective: float
    stationarity: float
    n_iter: int
    n_gradients: float
    status: str
    tol: float
    history: list[dict[str, float]] = field(repr=False)
    state: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def success(self) -> bool:
        """Whether the criterion is met."""
        return self.status == "converged"

    @property
    def message(self) -> str:
        """What happened, in words, with the numbers."""
        if self.success:
            return f"stationarity {self.stationarity:.1e} <= {self.tol:.1e}"
        if self.status == "precision":
            return f"stationarity {self.stationarity:.1e}, which no step lowers; loosen tol"
        return (
            f"stationarity {self.stationarity:.1e} > {self.tol:.1e} after {self.n_iter} passes; "
            "raise max_iter or loosen tol"
        )


def is_tensor(x: Any) -> bool:
    """Whether `x` is a torch tensor, without importing torch."""
    return type(x).__module__.partition(".")[0] == "torch"


def blocks_of(x0: Any) -> list[Any]:
    """Copies of the blocks to start from, checked."""
    if is_tensor(x0) or isinstance(x0, np.ndarray) or not isinstance(x0, Sequence):
        raise TypeError(
            f"x0 must be a sequence of blocks, got {type(x0).__name__}; put a block into a list"
        )
    if not x0:
        raise ValueError("x0 must hold at least one block, got none; pass a list of arrays")
    blocks = []
    for j, block in enumerate(x0):
        if is_tensor(block):
            blocks.append(block.detach().clone())
            floating = block.is_floating_point()
        else:
            blocks.append(np.array(block))
            floating = blocks[-1].dtype in (np.float32, np.float64)
        dtype = blocks[-1].dtype
        if not floating:
            raise TypeError(f"x0[{j}] must hold float32 or float64, got {dtype}; convert it")
        if math.prod(block.shape if is_tensor(block) else blocks[-1].shape) == 0:
            raise ValueError(f"x0[{j}] must not be empty, got no entries; leave it out")
        if not is_finite(blocks[-1]):
            raise ValueError(f"x0[{j}] holds NaN or infinity; start from finite values")
    if len({is_tensor(block) for block in blocks}) > 1:
        raise TypeError("x0 must hold arrays or tensors, got both; convert them to one kind")
    return blocks


def is_finite(x: Any) -> bool:
    """Whether all entries are finite."""
    return bool(x.isfinite().all()) if is_tensor(x) else bool(np.isfinite(x).all())


def square(x: Any) -> float:
    """Sum of squares."""
    return dot(x, x)


def dot(x: Any, y: Any) -> float:
    """Inner product, in float64."""
    if is_tensor(x):
        return float((x.double() * y.double()).sum())
    return float(np.vdot(x.astype(np.float64, copy=False), y.astype(np.float64, copy=False)))


def like(name: str, value: Any, block: Any) -> Any:
    """`value` as the kind and dtype of `block`, of its shape."""
    if not is_tensor(block):
        value = np.asarray(value, dtype=block.dtype)
    elif is_tensor(value):
        value = value.detach().to(block)
    else:
        value = block.new_tensor(np.asarray(value))
    if value.shape != block.shape:
        raise ValueError(
            f"{name} of shape {tuple(value.shape)} does not match its block of shape "
            f"{tuple(block.shape)}; return an array of the block's shape"
        )
    return value


def each(name: str, given: Any, n: int) -> list[Any]:
    """One entry a block: `given` for all, or a sequence of them."""
    if isinstance(given, (list, tuple)):
        if len(given) != n:
            raise ValueError(
                f"{name} must hold one entry for each of the {n} blocks, got {len(given)}; "
                "or pass one for all"
            )
        return list(given)
    return [given] * n


def functions(name: str, given: Any, n: int) -> list[Any]:
    """One function, or None, a block."""
    found = each(name, given, n)
    for function in found:
        if function is not None and not callable(function):
            raise TypeError(
                f"{name} must be a function, got {type(function).__name__}; pass None for none"
            )
    return found
