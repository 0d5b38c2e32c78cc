"""Regression with penalties on groups of features, or on features across tasks."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin

from thalweg.coordinate._blocks import BlockSolution, solve_blocks
from thalweg.coordinate.estimators.base import LinearModel, store, warn_unless


class BlockRegression(RegressorMixin, LinearModel):  # type: ignore[misc]
    """A penalty on blocks of coefficients."""

    warm_start: bool

    def _solve(self, X: Any, y: Any, sample_weight: Any, coef_init: Any) -> BlockSolution:
        raise NotImplementedError

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit the model.

        Parameters
        ----------
        X : array, frame or sparse matrix, shape (n_samples, n_features)
            Features.
        y : array_like, shape (n_samples,), or (n_samples, n_tasks) where supported
            Targets.
        sample_weight : array_like, shape (n_samples,), optional
            Weights, >= 0.

        Returns
        -------
        self
        """
        X, y, sample_weight = self._inputs(X, y, sample_weight)
        y = np.asarray(y, dtype=np.float64)
        last = getattr(self, "coef_", None) if self.warm_start else None
        shape = (*y.shape[1:], X.shape[1])
        start = last if last is not None and last.shape == shape else None
        solution = self._solve(X, y, sample_weight, start)
        self.coef_, self.intercept_ = solution.coef, solution.intercept
        self.dual_gap_, self.n_iter_ = solution.dual_gap, solution.n_iter
        self.solution_ = solution
        warn_unless(solution, type(self).__name__)
        return self

    def predict(self, X: Any) -> Any:
        """Predicted targets."""
        return self._predictor(X)


class GroupLasso(BlockRegression):
    """Least squares that keeps or drops whole groups of features.

    Use it for one-hot columns, basis expansions or measurements of one source.

    Parameters
    ----------
    alpha : float, default 1.0
        Strength, >= 0.
    groups : int, labels or list of lists, default 1
        Size of consecutive groups, a label for each feature, or the features of each group.
    l1_ratio : float, default 0.0
        Share of the l1 norm (sparse group lasso), in [0, 1].
    weights : {"size", "unit"} or array_like, shape (n_groups,), default "size"
        Factors of the groups; "size" is the root of the group's size.
    fit_intercept : bool, default True
        Add an unpenalised constant.
    positive : bool, default False
        Keep the coefficients non-negative.
    max_iter : int, default 100
        Passes over all features.
    tol : float, default 1e-4
        Duality gap to reach, relative to the mean of y^2.
    warm_start : bool, default False
        Start from the last solution.
    verbose : int, default 0
        Print a progress line for each pass.

    Attributes
    ----------
    coef_ : ndarray, shape (n_features,)
        Coefficients.
    intercept_ : float
        Constant.
    dual_gap_ : float
        Certified gap.
    n_iter_ : int
        Passes over all features.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        groups: Any = 1,
        l1_ratio: float = 0.0,
        weights: Any = "size",
        fit_intercept: bool = True,
        positive: bool = False,
        max_iter: int = 100,
        tol: float = 1e-4,
        warm_start: bool = False,
        verbose: int = 0,
    ) -> None:
        store(self, locals())

    def _solve(self, X: Any, y: Any, sample_weight: Any, coef_init: Any) -> BlockSolution:
        return solve_blocks(
            X,
            y,
            self.alpha,
            groups=self.groups,
            l1_ratio=self.l1_ratio,
            weights=self.weights,
            positive=self.positive,
            sample_weight=sample_weight,
            fit_intercept=self.fit_intercept,
            coef_init=coef_init,
            tol=self.tol,
            max_iter=self.max_iter,
            verbose=self.verbose,
        )


class MultiTaskLasso(BlockRegression):
    """Least squares for several targets that share their features.

    Use it when the same features matter for every task.

    Parameters
    ----------
    alpha : float, default 1.0
        Strength of the norm of each feature's coefficients, >= 0.
    fit_intercept : bool, default True
        Add an unpenalised constant for each task.
    weights : array_like, shape (n_features,), optional
        Factors of the features.
    max_iter : int, default 100
        Passes over all features.
    tol : float, default 1e-4
        Duality gap to reach, relative to the mean of the squared norm of y.
    warm_start : bool, default False
        Start from the last solution.
    verbose : int, default 0
        Print a progress line for each pass.

    Attributes
    ----------
    coef_ : ndarray, shape (n_tasks, n_features), or (n_features,) for 1-D targets
        Coefficients.
    intercept_ : ndarray, shape (n_tasks,), or float
        Constants.
    dual_gap_ : float
        Certified gap.
    n_iter_ : int
        Passes over all features.
    """

    _multi_output = True

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        weights: Any = None,
        max_iter: int = 100,
        tol: float = 1e-4,
        warm_start: bool = False,
        verbose: int = 0,
    ) -> None:
        store(self, locals())

    def _solve(self, X: Any, y: Any, sample_weight: Any, coef_init: Any) -> BlockSolution:
        return solve_blocks(
            X,
            y,
            self.alpha,
            groups=1,
            weights="unit" if self.weights is None else self.weights,
            sample_weight=sample_weight,
            fit_intercept=self.fit_intercept,
            coef_init=coef_init,
            tol=self.tol,
            max_iter=self.max_iter,
            verbose=self.verbose,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
