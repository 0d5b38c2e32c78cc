# Written by `make stubs`; do not edit.

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "aggregate_alignedmtl",
    "aggregate_cagrad",
    "aggregate_combine",
    "aggregate_config",
    "aggregate_draws",
    "aggregate_dualproj",
    "aggregate_fairgrad",
    "aggregate_finite",
    "aggregate_gcond",
    "aggregate_graddrop",
    "aggregate_gradvac",
    "aggregate_gramian",
    "aggregate_imtlg",
    "aggregate_krum",
    "aggregate_mgda",
    "aggregate_nashmtl",
    "aggregate_orders",
    "aggregate_pcd",
    "aggregate_pcgrad",
    "aggregate_trimmed_mean",
    "aggregate_upgrad",
    "get_num_threads",
    "oblique_tree_train",
    "optim_check",
    "optim_normal",
    "optim_rules",
    "optim_states",
    "optim_step",
    "set_num_threads",
]

def aggregate_alignedmtl(
    gramian: Any, preference: NDArray[np.float64] | None = None, scale: str = "min"
) -> Any: ...
def aggregate_cagrad(gramian: Any, c: float, rescale: str, count_zero_rows: bool) -> Any: ...
def aggregate_combine(block: Any, weights: NDArray[np.float64], out: Any) -> float: ...
def aggregate_config(
    gramian: Any,
    preference: NDArray[np.float64] | None = None,
    length: str = "projection",
    row: int | None = None,
) -> Any: ...
def aggregate_draws(seed: int, step: int, first: int, n: int) -> NDArray[np.float64]: ...
def aggregate_dualproj(
    gramian: Any,
    preference: NDArray[np.float64] | None = None,
    compat: tuple[float, float] | None = None,
) -> Any: ...
def aggregate_fairgrad(gramian: Any, alpha: float) -> Any: ...
def aggregate_finite(block: Any) -> bool: ...
def aggregate_gcond(
    gramian: Any,
    cross: Any,
    previous: Sequence[float],
    norms: Sequence[float],
    winners: Sequence[int],
    *,
    thresholds: Sequence[float],
    power: float,
    window: int,
    tie: Sequence[float],
    norm_beta: float,
    norm_cap: float | None,
    max_iters: int | None,
    absolute: float | None,
    staged: bool,
) -> tuple[NDArray[np.float64], list[float], list[int]]: ...
def aggregate_graddrop(
    block: Any, leak: Sequence[float], seed: int, step: int, first: int, out: Any
) -> None: ...
def aggregate_gradvac(
    gramian: Any, targets: NDArray[np.float64], orders: Sequence[int], beta: float, eps: float
) -> Any: ...
def aggregate_gramian(block: Any, gramian: NDArray[np.float64]) -> None: ...
def aggregate_imtlg(gramian: Any, raw: bool) -> Any: ...
def aggregate_krum(distances: Any, byzantine: int, selected: int, squared: bool) -> Any: ...
def aggregate_mgda(gramian: Any, frank_wolfe: tuple[float, int] | None = None) -> Any: ...
def aggregate_nashmtl(gramian: Any, max_norm: float) -> Any: ...
def aggregate_orders(seed: int, step: int, m: int) -> list[int]: ...
def aggregate_pcd(gramian: Any, tau: Sequence[float], scales: Sequence[float]) -> Any: ...
def aggregate_pcgrad(gramian: Any, orders: Sequence[int]) -> Any: ...
def aggregate_trimmed_mean(block: Any, trim: int, out: Any) -> None: ...
def aggregate_upgrad(
    gramian: Any,
    preference: NDArray[np.float64] | None = None,
    compat: tuple[float, float] | None = None,
) -> Any: ...
def get_num_threads() -> int: ...
def oblique_tree_train(
    features: NDArray[np.float64],
    labels: NDArray[np.uint32],
    classes: int,
    depth: int,
    steps: int,
    directions: int,
    probe_radius: float,
    step_radius: float,
    decay: float,
    seed: int,
) -> tuple[Any, float, int]: ...
def optim_check(rule: str, hyper: dict[Any, Any], on_nonfinite: str) -> None: ...
def optim_normal(out: NDArray[np.float64], seed: int, stream: int) -> None: ...
def optim_rules() -> list[Any]: ...
def optim_states(rule: str, hyper: dict[Any, Any]) -> list[tuple[str, float]]: ...
def optim_step(
    groups: list[Any], state: dict[Any, Any], host: Any, grad_scale: float, on_nonfinite: str
) -> tuple[list[Any], bool, float | None] | None: ...
def set_num_threads(n: int) -> None: ...
