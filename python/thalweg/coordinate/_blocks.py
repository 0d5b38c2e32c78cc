"""Groups of features and several tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from thalweg import _core
from thalweg.coordinate._matrix import (
    Array,
    in_range,
    matrix,
    normalised,
    reporter,
    settings,
    vector,
)


@dataclass
class BlockSolution:
    """As `Solution`, with coefficients of shape (n_tasks, n_features) for 2-D targets."""

    coef: Array
    intercept: Any
    objective: float
    dual_gap: float
    target: float
    n_iter: int
    n_epochs: int
    status: str
    history: list[dict[str, float]] = field(repr=False)

    @property
    def success(self) -> bool:
        """Whether the criterion is met."""
        return self.status == "converged"


def group_list(groups: Any, p: int) -> list[list[int]]:
    """The features of each group, from a size, a label for each feature or a list of lists."""
    if isinstance(groups, (int, np.integer)):
        size = int(groups)
        if size < 1 or p % size:
            raise ValueError(
                f"groups must divide the {p} features, got size {size}; pass labels instead"
            )
        return [list(range(k, k + size)) for k in range(0, p, size)]
    if len(groups) and not np.isscalar(groups[0]):
        return [[int(j) for j in group] for group in groups]
    labels = np.asarray(groups)
    if labels.shape != (p,):
        raise ValueError(
            f"groups of shape {labels.shape} does not match X of {p} features; "
            "pass one label a feature"
        )
    order: dict[Any, list[int]] = {}
    for j, label in enumerate(labels.tolist()):
        order.setdefault(label, []).append(j)
    return list(order.values())


def group_factors(weights: Any, groups: list[list[int]]) -> Array:
    """Factor of each group: "size" for the root of its size, "unit" for 1, or an array."""
    if isinstance(weights, str):
        if weights == "size":
            return np.sqrt([float(len(group)) for group in groups])
        if weights == "unit":
            return np.ones(len(groups))
        raise ValueError(f"weights must be 'size', 'unit' or an array, got {weights!r}; pass one")
    factors = vector(weights, name="weights")
    if factors.shape != (len(groups),):
        raise ValueError(
            f"weights of shape {factors.shape} does not match {len(groups)} groups; "
            "pass one a group"
        )
    return factors


def run_blocks(
    X: Any,
    y: ArrayLike,
    alphas: ArrayLike,
    *,
    groups: Any = 1,
    l1_ratio: float = 0.0,
    ridge: float = 0.0,
    weights: Any = "size",
    positive: bool = False,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = True,
    coef_init: ArrayLike | None = None,
    tol: float = 1e-4,
    max_iter: int = 100,
    max_epochs: int = 100_000,
    p0: int = 100,
    working_set: bool = True,
    accelerate: bool = True,
    verbose: int = 0,
    callback: Callable[[dict[str, float]], Any] | None = None,
) -> list[BlockSolution]:
    """Check the arguments of `solve_blocks` and solve for each of `alphas` in turn."""
    strengths = [in_range("alpha", alpha, 0.0) for alpha in np.asarray(alphas)]
    in_range("l1_ratio", l1_ratio, 0.0, 1.0)
    in_range("ridge", ridge, 0.0)
    buffers, n, p, dtype = matrix(X)
    targets = np.asarray(y, dtype=np.float64)
    if targets.ndim not in (1, 2) or targets.shape[0] != n:
        raise ValueError(
            f"y of shape {targets.shape} does not match X of shape ({n}, {p}); "
            "pass one row a sample"
        )
    members = group_list(groups, p)
    factors = group_factors(weights, members)
    kept = np.where(np.isinf(factors), 1.0, factors)
    results = _core.coordinate_block(
        buffers,
        np.ascontiguousarray(targets.reshape(n, -1).T),
        normalised(sample_weight, n),
        strengths,
        members,
        np.where(np.isinf(factors), np.inf, (1.0 - l1_ratio) * kept).tolist(),
        [float(ridge)] * len(members),
        float(l1_ratio),
        bool(positive),
        bool(fit_intercept),
        settings(
            tol=tol,
            max_iter=max_iter,
            max_epochs=max_epochs,
            p0=p0,
            selection="cyclic",
            seed=0,
            working_set=working_set,
            accelerate=accelerate,
        ),
        None if coef_init is None else np.asarray(coef_init, dtype=np.float64).T.ravel(),
        reporter(verbose, callback),
    )
    return [_solution(result, p, targets.ndim, dtype) for result in results]


def _solution(result: dict[str, Any], p: int, ndim: int, dtype: Any) -> BlockSolution:
    names = ("objective", "gap", "violation", "remaining", "support", "epochs")
    history = [dict(zip(names, row)) for row in result["history"]]
    coef = result["coef"].reshape(p, -1).T.astype(dtype)
    intercept: Any = result["intercept"]
    if ndim == 1:
        coef, intercept = coef[0], float(intercept[0])
    return BlockSolution(
        coef=np.ascontiguousarray(coef),
        intercept=intercept,
        objective=history[-1]["objective"],
        dual_gap=history[-1]["gap"],
        target=result["target"],
        n_iter=len(history),
        n_epochs=int(history[-1]["epochs"]),
        status=result["status"],
        history=history,
    )


def solve_blocks(
    X: Any,
    y: ArrayLike,
    alpha: float = 1.0,
    *,
    groups: Any = 1,
    l1_ratio: float = 0.0,
    ridge: float = 0.0,
    weights: Any = "size",
    positive: bool = False,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = True,
    coef_init: ArrayLike | None = None,
    tol: float = 1e-4,
    max_iter: int = 100,
    max_epochs: int = 100_000,
    p0: int = 100,
    working_set: bool = True,
    accelerate: bool = True,
    verbose: int = 0,
    callback: Callable[[dict[str, float]], Any] | None = None,
) -> BlockSolution:
    """Least squares with a penalty on blocks of coefficients: group, sparse group, multi-task.

    Use it when features come in groups, or when tasks should share their features.

    Parameters
    ----------
    X : array or scipy.sparse matrix, shape (n_samples, n_features)
        float32 or float64.
    y : array_like, shape (n_samples,) or (n_samples, n_tasks)
        Targets.
    alpha : float, default 1.0
        Strength, >= 0.
    groups : int, labels or list of lists, default 1
        Size of consecutive groups, a label for each feature, or the features of each group.
    l1_ratio : float, default 0.0
        Share of the l1 norm (sparse group lasso), in [0, 1].
    ridge : float, default 0.0
        Strength of half the squared norm, >= 0.
    weights : {"size", "unit"} or array_like, shape (n_groups,), default "size"
        Factors of the groups.
    positive, sample_weight, fit_intercept, tol, max_iter, max_epochs, p0, working_set, accelerate
        As in `solve`.
    coef_init : array_like, shape (n_features,) or (n_tasks, n_features), optional
        Where to start.
    verbose, callback
        As in `solve`.

    Returns
    -------
    BlockSolution

    Examples
    --------
    >>> import numpy as np
    >>> solution = solve_blocks(np.eye(4), [4.0, 4.0, 0.1, 0.0], 0.1, groups=2, tol=1e-10,
    ...                         fit_intercept=False, weights="unit")
    >>> solution.coef.round(3).tolist()
    [3.717, 3.717, 0.0, 0.0]
    """
    return run_blocks(
        X,
        y,
        [alpha],
        groups=groups,
        l1_ratio=l1_ratio,
        ridge=ridge,
        weights=weights,
        positive=positive,
        sample_weight=sample_weight,
        fit_intercept=fit_intercept,
        coef_init=coef_init,
        tol=tol,
        max_iter=max_iter,
        max_epochs=max_epochs,
        p0=p0,
        working_set=working_set,
        accelerate=accelerate,
        verbose=verbose,
        callback=callback,
    )[0]
