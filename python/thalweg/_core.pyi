# Written by `make stubs`; do not edit.

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "coordinate_block",
    "coordinate_nmf",
    "coordinate_path",
    "coordinate_svm",
    "get_num_threads",
    "optim_check",
    "optim_normal",
    "optim_rules",
    "optim_states",
    "optim_step",
    "set_num_threads",
]

def coordinate_block(
    x: Any,
    y: NDArray[np.float64],
    weights: NDArray[np.float64],
    groups: Sequence[Sequence[int]],
    norm: Sequence[float],
    ridge: Sequence[float],
    l1: float,
    positive: bool,
    intercept: bool,
    settings: Any,
    callback: Any = None,
) -> dict[Any, Any]: ...
def coordinate_nmf(
    x: Any,
    xt: Any,
    w: NDArray[np.float64],
    h: NDArray[np.float64],
    strengths: Sequence[float],
    fix_h: bool,
    tol: float,
    max_iter: int,
    callback: Any = None,
) -> tuple[int, float, str]: ...
def coordinate_path(
    x: Any,
    y: NDArray[np.float64],
    weights: NDArray[np.float64],
    loss: str,
    delta: float,
    penalty: Any,
    alphas: Sequence[float],
    intercept: bool,
    settings: Any,
    start: tuple[NDArray[np.float64], float] | None = None,
    callback: Any = None,
) -> dict[Any, Any]: ...
def coordinate_svm(
    x: Any,
    y: NDArray[np.float64],
    cost: NDArray[np.float64],
    squared: bool,
    scaling: float,
    tol: float,
    max_iter: int,
    seed: int,
    callback: Any = None,
) -> dict[Any, Any]: ...
def get_num_threads() -> int: ...
def optim_check(rule: str, hyper: dict[Any, Any], on_nonfinite: str) -> None: ...
def optim_normal(out: NDArray[np.float64], seed: int, stream: int) -> None: ...
def optim_rules() -> list[Any]: ...
def optim_states(rule: str, hyper: dict[Any, Any]) -> list[tuple[str, float]]: ...
def optim_step(
    groups: list[Any], state: dict[Any, Any], host: Any, grad_scale: float, on_nonfinite: str
) -> tuple[list[Any], bool, float | None] | None: ...
def set_num_threads(n: int) -> None: ...
