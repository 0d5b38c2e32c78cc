"""Paths of group and multi-task models."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from thalweg.coordinate._blocks import group_factors, group_list, run_blocks
from thalweg.coordinate._matrix import Array, normalised
from thalweg.coordinate._path import CoefPath, descending


def group_lasso_path(
    X: Any,
    y: ArrayLike,
    groups: Any,
    alphas: ArrayLike | None = None,
    *,
    n_alphas: int = 100,
    eps: float = 1e-3,
    **options: Any,
) -> CoefPath:
    """Group lasso for a grid of strengths, each solved from the solution before it.

    Parameters
    ----------
    X, y, groups, **options
        As in `solve_blocks`.
    alphas, n_alphas, eps
        As in `path`.

    Returns
    -------
    CoefPath
    """
    Y = np.asarray(y, dtype=np.float64)
    if alphas is None:
        alphas = block_grid(X, Y.reshape(len(Y), -1), groups, n_alphas, eps, options)
    grid = descending(alphas)
    solutions = run_blocks(X, Y, grid, groups=groups, **options)
    return CoefPath(
        alphas=grid[: len(solutions)],
        coefs=np.stack([s.coef for s in solutions], axis=-1),
        intercepts=np.stack([s.intercept for s in solutions], axis=-1),
        dual_gaps=np.array([s.dual_gap for s in solutions]),
        n_iters=np.array([s.n_iter for s in solutions]),
        statuses=[s.status for s in solutions],
    )


def multitask_lasso_path(
    X: Any, Y: ArrayLike, alphas: ArrayLike | None = None, **options: Any
) -> CoefPath:
    """Multi-task lasso for a grid of strengths.

    Parameters
    ----------
    X, Y, **options
        As in `solve_blocks`, Y of shape (n_samples, n_tasks).
    alphas, n_alphas, eps
        As in `path`.

    Returns
    -------
    CoefPath
        Coefficients of shape (n_tasks, n_features, n_alphas).
    """
    return group_lasso_path(X, Y, 1, alphas, **{"weights": "unit", **options})


def block_grid(
    X: Any, Y: Array, groups: Any, n_alphas: int, eps: float, options: dict[str, Any]
) -> Array:
    """Geometric grid from the smallest strength with an empty model, for `group_lasso_path`."""
    sample = normalised(options.get("sample_weight"), len(Y))
    if options.get("fit_intercept", True):
        Y = Y - sample @ Y
    gradient = np.asarray(X.T @ (sample[:, None] * Y))
    gradient = np.maximum(gradient, 0) if options.get("positive", False) else np.abs(gradient)
    members = group_list(groups, gradient.shape[0])
    factors = group_factors(options.get("weights", "size"), members)
    share = options.get("l1_ratio", 0.0)
    kept = [(gradient[g], v) for g, v in zip(members, factors) if 0 < v < np.inf]
    sizes = [_entry(x, v, share) for x, v in kept]
    largest = max(max(sizes, default=0.0), float(np.finfo(float).resolution))
    return np.asarray(largest * np.logspace(0.0, np.log10(eps), n_alphas))


def _entry(x: Array, v: float, share: float) -> float:
    """The strength at which a group enters: ||(x - alpha share)_+|| = alpha (1 - share) v."""
    if share == 0:
        return float(np.linalg.norm(x) / v)
    low, high = 0.0, float(x.max() / share)
    for _ in range(60):
        middle = 0.5 * (low + high)
        rest = np.linalg.norm(np.maximum(x - middle * share, 0))
        low, high = (middle, high) if rest > middle * (1 - share) * v else (low, middle)
    return high
