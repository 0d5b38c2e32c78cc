# Written by `make stubs`; do not edit.

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "get_num_threads",
    "optim_check",
    "optim_normal",
    "optim_rules",
    "optim_states",
    "optim_step",
    "set_num_threads",
]

def get_num_threads() -> int: ...
def optim_check(rule: str, hyper: dict[Any, Any], on_nonfinite: str) -> None: ...
def optim_normal(out: NDArray[np.float64], seed: int, stream: int) -> None: ...
def optim_rules() -> list[Any]: ...
def optim_states(rule: str, hyper: dict[Any, Any]) -> list[tuple[str, float]]: ...
def optim_step(
    groups: list[Any], state: dict[Any, Any], host: Any, grad_scale: float, on_nonfinite: str
) -> tuple[list[Any], bool, float | None] | None: ...
def set_num_threads(n: int) -> None: ...
