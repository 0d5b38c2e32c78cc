"""One problem: any datafit with any separable penalty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from thalweg import _core
from thalweg.coordinate._matrix import (
    choice,
    in_range,
    matrix,
    normalised,
    reporter,
    settings,
    vector,
)
from thalweg.coordinate._solution import Solution

DATAFITS = ("quadratic", "logistic", "squared_hinge", "huber", "poisson")
PENALTIES = ("l1", "elastic_net", "mcp", "scad")


def run(
    X: Any,
    y: ArrayLike,
    alphas: Any,
    *,
    datafit: str,
    penalty: str,
    l1_ratio: float,
    gamma: float,
    delta: float,
    weights: ArrayLike | None,
    positive: bool,
    bounds: tuple[float, float] | None,
    sample_weight: ArrayLike | None,
    fit_intercept: bool,
    coef_init: ArrayLike | None,
    intercept_init: float,
    verbose: int,
    callback: Callable[[dict[str, float]], Any] | None,
    **options: Any,
) -> list[Solution]:
    """Check the arguments and solve for each of `alphas` in turn."""
    choice("datafit", datafit, DATAFITS)
    choice("penalty", penalty, PENALTIES)
    strengths = [in_range("alpha", alpha, 0.0) for alpha in alphas]
    if any(np.isinf(strengths)):
        raise ValueError("alpha must be finite, got inf; use weights=inf to remove features")
    low, high = (-np.inf, np.inf) if bounds is None else (float(bounds[0]), float(bounds[1]))
    if positive:
        low = max(low, 0.0)
    if not low <= 0.0 <= high:
        raise ValueError(f"bounds must hold 0, got ({low:g}, {high:g}); shift the problem")
    if penalty in ("mcp", "scad"):
        least = 1.0 if penalty == "mcp" else 2.0
        in_range("gamma", gamma, least, strict=True)
        if (low, high) != (-np.inf, np.inf):
            raise NotImplementedError(
                f"bounds with penalty {penalty!r} are not supported; use penalty='l1'"
            )
    buffers, n, _p, dtype = matrix(X)
    specification = {
        "name": "elastic_net" if penalty == "l1" else penalty,
        "l1_ratio": 1.0 if penalty == "l1" else in_range("l1_ratio", l1_ratio, 0.0, 1.0),
        "gamma": float(gamma),
        "bounds": (low, high),
        "factors": None if weights is None else vector(weights, name="weights"),
    }
    start = None
    if coef_init is not None:
        start = (vector(coef_init, name="coef_init").copy(), float(intercept_init))
    result = _core.coordinate_path(
        buffers,
        vector(y),
        normalised(sample_weight, n),
        datafit,
        in_range("delta", delta, 0.0, strict=True),
        specification,
        strengths,
        bool(fit_intercept),
        settings(**options),
        start,
        reporter(verbose, callback),
    )
    names = ("objective", "gap", "violation", "remaining", "support", "epochs")
    solutions = []
    for k, history in enumerate(result["histories"]):
        last = history[-1]
        solutions.append(
            Solution(
                coef=result["coefs"][k].astype(dtype, copy=False),
                intercept=float(result["intercepts"][k]),
                objective=last[0],
                dual_gap=last[1],
                target=float(result["targets"][k]),
                violation=last[2],
                dual=result["duals"][k],
                n_iter=len(history),
                n_epochs=int(last[5]),
                status=result["statuses"][k],
                history=[dict(zip(names, row)) for row in history],
            )
        )
    return solutions


def solve(
    X: Any,
    y: ArrayLike,
    alpha: float = 1.0,
    *,
    datafit: str = "quadratic",
    penalty: str = "l1",
    l1_ratio: float = 0.5,
    gamma: float = 3.0,
    delta: float = 1.35,
    weights: ArrayLike | None = None,
    positive: bool = False,
    bounds: tuple[float, float] | None = None,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = True,
    coef_init: ArrayLike | None = None,
    intercept_init: float = 0.0,
    tol: float = 1e-4,
    max_iter: int = 100,
    max_epochs: int = 100_000,
    p0: int = 100,
    selection: str = "cyclic",
    seed: int = 0,
    working_set: bool | None = None,
    accelerate: bool | None = None,
    verbose: int = 0,
    callback: Callable[[dict[str, float]], Any] | None = None,
) -> Solution:
    """Minimise a datafit plus a separable penalty, with a certificate.

    Use it when no estimator fits, or without scikit-learn.

    Parameters
    ----------
    X : array or scipy.sparse matrix, shape (n_samples, n_features)
        float32 or float64. Dense in either order and CSC are read in place; CSR is converted.
    y : array_like, shape (n_samples,)
        Targets; -1 or 1 for "logistic" and "squared_hinge", >= 0 for "poisson".
    alpha : float, default 1.0
        Strength, >= 0. The loss is the weighted mean over the samples.
    datafit : {"quadratic", "logistic", "squared_hinge", "huber", "poisson"}
        Loss of a sample.
    penalty : {"l1", "elastic_net", "mcp", "scad"}
        Penalty of a coefficient.
    l1_ratio : float, default 0.5
        Share of the l1 norm in the elastic net, in [0, 1].
    gamma : float, default 3.0
        Width of the concave part: > 1 for "mcp", > 2 for "scad".
    delta : float, default 1.35
        Where the Huber loss turns linear, > 0.
    weights : array_like, shape (n_features,), optional
        Factors of the penalty, >= 0: 0 leaves a feature unpenalised, infinity removes it.
    positive : bool, default False
        Keep the coefficients non-negative.
    bounds : (float, float), optional
        Lower bound <= 0 and upper bound >= 0 of all coefficients.
    sample_weight : array_like, shape (n_samples,), optional
        Weights, >= 0; only their ratios matter.
    fit_intercept : bool, default True
        Add an unpenalised constant. Sparse input stays sparse.
    coef_init, intercept_init : array_like and float, optional
        Where to start.
    tol : float, default 1e-4
        Duality gap to reach, relative to the weighted mean of y^2 ("quadratic"), to log 2
        ("logistic") or to the null model's objective. Without certificate (concave penalties,
        alpha = 0, unpenalised features): largest violation, relative to the largest gradient at
        the start.
    max_iter, max_epochs : int
        Limits of passes over all features and over working sets.
    p0 : int, default 100
        Least growth of a working set.
    selection : {"cyclic", "shuffled", "random", "greedy"}
        Order of the coordinates; "greedy" takes the one that lowers the model most each time, and
        keeps all inner products of the working set.
    seed : int, default 0
        Seed of the order.
    working_set, accelerate : bool, optional
        Default: True for convex penalties. False for concave ones, whose local minimum depends on
        the order: plain passes in natural order from zero are the contract.
    verbose : int, default 0
        Print a line for each pass over all features.
    callback : callable, optional
        Called with a dict after each pass over all features; an exception stops the work.

    Returns
    -------
    Solution

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range or the data hold NaN or infinity.

    Notes
    -----
    Time O(n_samples * n_features) for each of few passes, plus the work on the support.

    References
    ----------
    Massias, Gramfort, Salmon 2018, ICML; Bertrand et al. 2022, NeurIPS; Ndiaye et al. 2017, JMLR.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> solution = solve(X, [2.0, 0.0, 2.0], alpha=0.1, fit_intercept=False, tol=1e-10)
    >>> solution.coef.round(6).tolist(), solution.success
    ([1.85, 0.0], True)
    """
    convex = penalty not in ("mcp", "scad")
    return run(
        X,
        y,
        [alpha],
        datafit=datafit,
        penalty=penalty,
        l1_ratio=l1_ratio,
        gamma=gamma,
        delta=delta,
        weights=weights,
        positive=positive,
        bounds=bounds,
        sample_weight=sample_weight,
        fit_intercept=fit_intercept,
        coef_init=coef_init,
        intercept_init=intercept_init,
        tol=tol,
        max_iter=max_iter,
        max_epochs=max_epochs,
        p0=p0,
        selection=selection,
        seed=seed,
        working_set=convex if working_set is None else working_set,
        accelerate=convex if accelerate is None else accelerate,
        verbose=verbose,
        callback=callback,
    )[0]
