"""A long path in two parts, at the same time where threads allow."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from thalweg import _core, get_num_threads
from thalweg.coordinate._matrix import is_sparse
from thalweg.coordinate._solution import Solution
from thalweg.coordinate._solve import run

# Strengths of a path, and entries of a matrix, from which two parts pay.
LONG, LARGE = 50, 200_000
# Threads that the two parts leave nothing to do for.
FEW = 3


def in_parts(X: Any, y: Any, grid: Any, options: dict[str, Any]) -> list[Solution]:
    """`run` over a grid, the last fifth of a long one from zero instead of from its predecessor.

    Models are largest at the small strengths, so that fifth takes about as long as all before it.
    Starting it anew costs a few percent, up to a sixth where the data are small. The cut does not
    depend on the number of threads, and neither do the results.
    """
    X = _contiguous(X)
    if not _pays(X, grid, options):
        return run(X, y, grid, **options)
    cut = len(grid) * 4 // 5
    watched = options["callback"] is not None or options["verbose"]
    if get_num_threads() == 1 or watched:
        return run(X, y, grid[:cut], **options) + run(X, y, grid[cut:], **options)

    alone = get_num_threads() <= FEW
    cancelled = threading.Event()

    def check(_progress: dict[str, float]) -> None:
        if cancelled.is_set():
            raise RuntimeError("the other part of the path failed")

    def last() -> list[Solution]:
        _core.stay_alone(alone)
        return run(X, y, grid[cut:], **{**options, "callback": check})

    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(last)
        _core.stay_alone(alone)
        try:
            solutions = run(X, y, grid[:cut], **options)
        except BaseException:
            cancelled.set()
            raise
        finally:
            _core.stay_alone(False)
        return solutions + rest.result()


def _pays(X: Any, grid: Any, options: dict[str, Any]) -> bool:
    plain = options["penalty"] in ("l1", "elastic_net") and options["datafit"] == "quadratic"
    fresh = options["coef_init"] is None and options["working_set"]
    large = len(X.shape) == 2 and X.shape[0] * X.shape[1] >= LARGE
    return bool(plain and fresh and large and len(grid) >= LONG)


def _contiguous(X: Any) -> Any:
    """`X`, converted once for both parts where the core cannot borrow it."""
    if is_sparse(X):
        return X.tocsc()
    X = np.asarray(X)
    return X if X.flags.f_contiguous or X.flags.c_contiguous else np.asfortranarray(X)
