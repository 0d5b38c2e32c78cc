"""Regression with a separable penalty."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin

from thalweg.coordinate._solution import Solution
from thalweg.coordinate._solve import solve
from thalweg.coordinate.estimators.base import LinearModel, seed_of, warn_unless

PARAMETERS = """alpha : float, default 1.0
        Strength of the penalty, >= 0; the loss is the mean over the samples.
    fit_intercept : bool, default True
        Add an unpenalised constant.
    max_iter : int, default 100
        Passes over all features.
    tol : float, default 1e-4
        Duality gap to reach, relative to the scale of the loss (see `solve`).
    warm_start : bool, default False
        Start from the last solution.
    random_state : int, RandomState or None
        Seed of the order, for `selection` other than "cyclic".
    selection : {"cyclic", "shuffled", "random", "greedy"}
        Order of the coordinates.
    verbose : int, default 0
        Print a progress line for each pass over all features."""

ATTRIBUTES = """coef_ : ndarray, shape (n_features,)
        Coefficients, in the dtype of X.
    intercept_ : float
        Constant.
    dual_gap_ : float
        Certified gap; infinite where there is no certificate.
    n_iter_ : int
        Passes over all features.
    solution_ : Solution
        Everything the solver reports: dual point, history, status."""


class Regression(RegressorMixin, LinearModel):  # type: ignore[misc]
    """A datafit and a penalty; the subclasses name them."""

    alpha: float
    fit_intercept: bool
    positive: bool
    weights: Any
    max_iter: int
    tol: float
    warm_start: bool
    random_state: Any
    selection: str
    verbose: int

    def _problem(self) -> dict[str, Any]:
        raise NotImplementedError

    def _solve(self, X: Any, y: Any, sample_weight: Any) -> Solution:
        if self.alpha == 0:
            warnings.warn(
                "alpha=0 leaves no penalty: the solution has no certificate; "
                "use ordinary least squares or a small alpha",
                UserWarning,
                stacklevel=3,
            )
        start: dict[str, Any] = {}
        if self.warm_start and hasattr(self, "coef_") and self.coef_.shape == (X.shape[1],):
            start = {"coef_init": self.coef_, "intercept_init": float(self.intercept_)}
        return solve(
            X,
            np.asarray(y, dtype=np.float64),
            self.alpha,
            fit_intercept=self.fit_intercept,
            sample_weight=sample_weight,
            tol=self.tol,
            max_iter=self.max_iter,
            selection=self.selection,
            seed=0 if self.selection == "cyclic" else seed_of(self.random_state),
            verbose=self.verbose,
            **start,
            **self._problem(),
        )

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit the model.

        Parameters
        ----------
        X : array, frame or sparse matrix, shape (n_samples, n_features)
            Features; dense Fortran order and CSC are read in place.
        y : array_like, shape (n_samples,)
            Targets.
        sample_weight : array_like, shape (n_samples,), optional
            Weights, >= 0.

        Returns
        -------
        self
        """
        X, y, sample_weight = self._inputs(X, y, sample_weight)
        solution = self._solve(X, y, sample_weight)
        self.coef_, self.intercept_ = solution.coef, solution.intercept
        self.dual_gap_, self.n_iter_ = solution.dual_gap, solution.n_iter
        self.solution_ = solution
        warn_unless(solution, type(self).__name__)
        return self

    def predict(self, X: Any) -> Any:
        """Predicted targets, shape (n_samples,)."""
        return self._predictor(X)
