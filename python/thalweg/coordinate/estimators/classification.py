"""Linear classification: one model for two classes, one a class for more."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from thalweg.coordinate._solve import solve
from thalweg.coordinate._svm import solve_svm
from thalweg.coordinate.estimators.base import LinearModel, seed_of, store, warn_unless


class Classification(ClassifierMixin, LinearModel):  # type: ignore[misc]
    """One-versus-rest over labels -1 and 1."""

    def _binary(self, X: Any, signs: Any, sample_weight: Any, start: dict[str, Any]) -> Any:
        raise NotImplementedError

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit the model.

        Parameters
        ----------
        X : array, frame or sparse matrix, shape (n_samples, n_features)
            Features.
        y : array_like, shape (n_samples,)
            Labels of any kind.
        sample_weight : array_like, shape (n_samples,), optional
            Weights, >= 0.

        Returns
        -------
        self
        """
        X, y, sample_weight = self._inputs(X, y, sample_weight)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        count = len(self.classes_)
        if count < 2:
            raise ValueError(
                f"y must hold at least 2 classes, got one class, {self.classes_[0]!r}; add samples"
            )
        positives = [1] if count == 2 else range(count)
        shape = (len(positives), X.shape[1])
        last: Any = (getattr(self, "coef_", None), getattr(self, "intercept_", None))
        warm = getattr(self, "warm_start", False) and getattr(last[0], "shape", None) == shape
        solutions = []
        for k, label in enumerate(positives):
            start = {"coef_init": last[0][k], "intercept_init": float(last[1][k])} if warm else {}
            signs = np.where(codes == label, 1.0, -1.0)
            solutions.append(self._binary(X, signs, sample_weight, start))
            warn_unless(solutions[-1], type(self).__name__)
        self.coef_ = np.stack([s.coef for s in solutions])
        self.intercept_ = np.array([s.intercept for s in solutions], dtype=self.coef_.dtype)
        self.dual_gap_ = max(s.dual_gap for s in solutions)
        self.n_iter_ = max(s.n_iter for s in solutions)
        self.solutions_ = solutions
        return self

    def decision_function(self, X: Any) -> Any:
        """Signed scores: shape (n_samples,) for two classes, else (n_samples, n_classes)."""
        scores = self._predictor(X)
        return scores.ravel() if scores.shape[1] == 1 else scores

    def predict(self, X: Any) -> Any:
        """Predicted labels."""
        scores = self.decision_function(X)
        codes = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return self.classes_[codes]


class SparseLogisticRegression(Classification):
    """Logistic regression with an l1 or elastic net penalty.

    Use it for a classifier of few features.

    Parameters
    ----------
    alpha : float, default 0.01
        Strength, >= 0: 1 / (C n_samples) of scikit-learn's `LogisticRegression`.
    l1_ratio : float, default 1.0
        Share of the l1 norm, in [0, 1].
    fit_intercept : bool, default True
        Add an unpenalised constant.
    weights : array_like, shape (n_features,), optional
        Factors of the penalty.
    max_iter : int, default 100
        Passes over all features.
    tol : float, default 1e-4
        Duality gap to reach, relative to log 2.
    warm_start : bool, default False
        Start from the last solution.
    verbose : int, default 0
        Print a progress line for each pass.

    Attributes
    ----------
    classes_ : ndarray
        Labels.
    coef_ : ndarray, shape (1 or n_classes, n_features)
        Coefficients; one row for two classes.
    intercept_ : ndarray, shape (1 or n_classes,)
        Constants.
    dual_gap_ : float
        Largest certified gap.
    n_iter_ : int
        Most passes over all features.
    """

    def __init__(
        self,
        alpha: float = 0.01,
        *,
        l1_ratio: float = 1.0,
        fit_intercept: bool = True,
        weights: Any = None,
        max_iter: int = 100,
        tol: float = 1e-4,
        warm_start: bool = False,
        verbose: int = 0,
    ) -> None:
        store(self, locals())

    def _binary(self, X: Any, signs: Any, sample_weight: Any, start: dict[str, Any]) -> Any:
        return solve(
            X,
            signs,
            self.alpha,
            datafit="logistic",
            penalty="elastic_net",
            l1_ratio=self.l1_ratio,
            weights=self.weights,
            fit_intercept=self.fit_intercept,
            sample_weight=sample_weight,
            tol=self.tol,
            max_iter=self.max_iter,
            verbose=self.verbose,
            **start,
        )

    def predict_proba(self, X: Any) -> Any:
        """Probabilities of the classes, shape (n_samples, n_classes)."""
        scores = self.decision_function(X)
        positive = 1.0 / (1.0 + np.exp(-np.clip(scores, -700, 700)))
        if positive.ndim == 1:
            return np.column_stack([1.0 - positive, positive])
        total = positive.sum(axis=1, keepdims=True)
        return np.where(total > 0, positive / np.maximum(total, 1e-300), 1.0 / positive.shape[1])

    def predict_log_proba(self, X: Any) -> Any:
        """Logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))


class LinearSVC(Classification):
    """Linear support vector machine, solved in the dual with a certified gap.

    Use it for large-margin classification with many samples or features.

    Parameters
    ----------
    C : float, default 1.0
        Cost of a violation, > 0; infinity with loss="hinge" asks for a hard margin.
    loss : {"squared_hinge", "hinge"}
        How violations count.
    fit_intercept : bool, default True
        Append a constant feature.
    intercept_scaling : float, default 1.0
        Its value; it is regularised as the other features are, and not at all if infinite.
    max_iter : int, default 10000
        Passes over the samples.
    tol : float, default 1e-4
        Duality gap to reach, relative to the objective at zero.
    random_state : int, RandomState or None
        Seed of the permutations.
    verbose : int, default 0
        Print a progress line for each check of the gap.

    Attributes
    ----------
    classes_ : ndarray
        Labels.
    coef_ : ndarray, shape (1 or n_classes, n_features)
        Coefficients.
    intercept_ : ndarray, shape (1 or n_classes,)
        Constants.
    dual_gap_ : float
        Largest certified gap.
    n_iter_ : int
        Most passes over the samples.
    """

    def __init__(
        self,
        C: float = 1.0,
        *,
        loss: str = "squared_hinge",
        fit_intercept: bool = True,
        intercept_scaling: float = 1.0,
        max_iter: int = 10_000,
        tol: float = 1e-4,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        store(self, locals())

    def _binary(self, X: Any, signs: Any, sample_weight: Any, start: dict[str, Any]) -> Any:
        return solve_svm(
            X,
            signs,
            self.C,
            loss=self.loss,
            fit_intercept=self.fit_intercept,
            intercept_scaling=self.intercept_scaling,
            sample_weight=sample_weight,
            tol=self.tol,
            max_iter=self.max_iter,
            seed=seed_of(self.random_state),
            verbose=self.verbose,
        )
