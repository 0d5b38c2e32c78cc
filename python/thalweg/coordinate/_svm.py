"""Linear support vector machines in the dual."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from thalweg import _core
from thalweg.coordinate._matrix import Array, choice, count, in_range, matrix, reporter, vector


@dataclass
class SVMSolution:
    """Coefficients, constant, dual variables and certified gap.

    `status` is "converged", "limit", or "unbounded" when a hard margin does not exist.
    """

    coef: Array
    intercept: float
    dual: Array
    objective: float
    dual_gap: float
    n_iter: int
    status: str

    @property
    def success(self) -> bool:
        """Whether the criterion is met."""
        return self.status == "converged"


def solve_svm(
    X: Any,
    y: ArrayLike,
    C: float = 1.0,
    *,
    loss: str = "squared_hinge",
    fit_intercept: bool = True,
    intercept_scaling: float = 1.0,
    sample_weight: ArrayLike | None = None,
    tol: float = 1e-4,
    max_iter: int = 1000,
    seed: int = 0,
    verbose: int = 0,
    callback: Callable[[dict[str, float]], Any] | None = None,
) -> SVMSolution:
    """Minimise ||w||^2 / 2 + C sum_i s_i max(0, 1 - y_i (x_i . w + b))^k.

    Use it for dense classification models with many samples or features.

    Parameters
    ----------
    X : array or scipy.sparse matrix, shape (n_samples, n_features)
        float32 or float64. C order and CSR are read in place.
    y : array_like, shape (n_samples,)
        Labels, -1 or 1.
    C : float, default 1.0
        Cost of a violation, > 0; infinity with loss="hinge" asks for a hard margin.
    loss : {"squared_hinge", "hinge"}
        k = 2 or 1.
    fit_intercept : bool, default True
        Append a constant feature, which is regularised as the others are.
    intercept_scaling : float, default 1.0
        Value of the constant feature, > 0: larger values regularise it less, and infinity not at
        all (steps are then on pairs of samples, and `max_iter` counts rounds of them).
    sample_weight : array_like, shape (n_samples,), optional
        Factors of C, >= 0.
    tol : float, default 1e-4
        Duality gap, relative to the objective at zero (1 for a hard margin).
    max_iter : int, default 1000
        Passes over the samples.
    seed : int, default 0
        Seed of the permutations.
    verbose, callback
        As in `solve`: a line, or a call, for each check of the gap.

    Returns
    -------
    SVMSolution

    References
    ----------
    Hsieh et al. 2008, "A dual coordinate descent method for large-scale linear SVM", ICML.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[-1.0], [1.0]])
    >>> s = solve_svm(X, [-1, 1], np.inf, loss="hinge", fit_intercept=False, tol=1e-10)
    >>> s.coef.round(6).tolist()
    [1.0]
    """
    choice("loss", loss, ("squared_hinge", "hinge"))
    cost = in_range("C", C, 0.0, strict=True)
    scaling = in_range("intercept_scaling", intercept_scaling, 0.0, strict=True)
    buffers, _, n, dtype = matrix(X, transposed=True)
    if n == 0:
        raise ValueError("X must hold at least one sample, got none; check its shape")
    factors = np.ones(n) if sample_weight is None else vector(sample_weight, name="sample_weight")
    if not np.isfinite(factors).all() or (factors < 0).any() or factors.sum() == 0:
        raise ValueError(
            "sample_weight must be finite, >= 0 and not all zero, got others; drop these samples"
        )
    costs = np.where(factors > 0, cost * np.where(factors > 0, factors, 1.0), 0.0)
    result = _core.coordinate_svm(
        buffers,
        vector(y),
        costs,
        loss == "squared_hinge",
        scaling if fit_intercept else 0.0,
        in_range("tol", tol, 0.0),
        count("max_iter", max_iter),
        int(seed) % 2**64,
        reporter(verbose, callback, ("objective", "gap", "passes")),
    )
    return SVMSolution(
        coef=result["coef"].astype(dtype, copy=False),
        intercept=result["intercept"],
        dual=result["dual"],
        objective=result["objective"],
        dual_gap=result["gap"],
        n_iter=result["n_iter"],
        status=result["status"],
    )
