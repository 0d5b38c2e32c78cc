"""Non-negative matrix factorization as a transformer."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from thalweg.coordinate._nmf import Factors, factorize
from thalweg.coordinate.estimators.base import DTYPES, seed_of, store


class NMF(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Non-negative matrix factorization X ~ W H by coordinate descent.

    Use it for parts-based representations and topic models.

    Parameters
    ----------
    n_components : int or None, default None
        Number of components; None for the number of features.
    init : {"nndsvda", "random"}
        Where to start.
    tol : float, default 1e-4
        Projected gradient to reach, relative to its first value.
    max_iter : int, default 200
        Sweeps over both factors.
    random_state : int, RandomState or None
        Seed of the start.
    alpha_W, alpha_H : float
        Strengths, multiplied by n_features and n_samples; "same" takes `alpha_W` for H.
    l1_ratio : float, default 0.0
        Share of the l1 norm, in [0, 1].
    verbose : int, default 0
        Print a progress line for each sweep.

    Attributes
    ----------
    components_ : ndarray, shape (n_components, n_features)
        H.
    n_components_, n_iter_ : int
        Components, sweeps.
    reconstruction_err_ : float
        Frobenius norm of X - W H.
    """

    def __init__(
        self,
        n_components: int | None = None,
        *,
        init: str = "nndsvda",
        tol: float = 1e-4,
        max_iter: int = 200,
        random_state: Any = None,
        alpha_W: float = 0.0,
        alpha_H: Any = "same",
        l1_ratio: float = 0.0,
        verbose: int = 0,
    ) -> None:
        store(self, locals())

    def _matrix(self, X: Any, *, reset: bool) -> Any:
        X = validate_data(self, X, accept_sparse=("csr", "csc"), dtype=DTYPES, reset=reset)
        values = X.data if hasattr(X, "nnz") else X
        if values.size and values.min() < 0:
            raise ValueError("Negative values in data passed to NMF; shift or clip the data")
        return X

    def _factorize(self, X: Any, **more: Any) -> Factors:
        return factorize(
            X,
            tol=self.tol,
            max_iter=self.max_iter,
            seed=seed_of(self.random_state),
            alpha_W=self.alpha_W,
            alpha_H=None if self.alpha_H == "same" else self.alpha_H,
            l1_ratio=self.l1_ratio,
            **more,
        )

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Fit and return W, shape (n_samples, n_components)."""
        X = self._matrix(X, reset=True)
        k = X.shape[1] if self.n_components is None else self.n_components
        factors = self._factorize(X, n_components=k, init=self.init, verbose=self.verbose)
        self.components_, self.n_components_ = factors.H, k
        self.n_iter_ = factors.n_iter
        total = float((X.multiply(X) if hasattr(X, "nnz") else X * X).sum())
        cross = float(np.sum((X @ factors.H.T) * factors.W))
        square = float(np.sum((factors.W.T @ factors.W) * (factors.H @ factors.H.T)))
        self.reconstruction_err_ = float(np.sqrt(max(total - 2 * cross + square, 0.0)))
        if not factors.success and self.tol > 0:
            warnings.warn(
                f"NMF: projected gradient {factors.ratio:.1e} > tol {self.tol:.1e} of its first "
                f"value after {factors.n_iter} iterations; raise max_iter or loosen tol",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self._weights(X)

    def fit(self, X: Any, y: Any = None) -> Any:
        """Fit the factors.

        Parameters
        ----------
        X : array or sparse matrix, shape (n_samples, n_features)
            Non-negative data.
        y : ignored

        Returns
        -------
        self
        """
        self.fit_transform(X)
        return self

    def transform(self, X: Any) -> Any:
        """W for the fitted components, shape (n_samples, n_components)."""
        check_is_fitted(self)
        return self._weights(self._matrix(X, reset=False))

    def _weights(self, X: Any) -> Any:
        # A convex problem, solved well enough that fit_transform and transform agree.
        mean = np.sqrt(max(float(X.mean()), 0.0) / self.n_components_)
        W = np.full((X.shape[0], self.n_components_), mean)
        return factorize(
            X,
            self.n_components_,
            tol=min(self.tol, 1e-6),
            max_iter=max(self.max_iter, 1000),
            alpha_W=self.alpha_W,
            alpha_H=0.0,
            l1_ratio=self.l1_ratio,
            init="custom",
            W=W,
            H=self.components_,
            update_H=False,
        ).W

    def inverse_transform(self, X: Any) -> Any:
        """W H, shape (n_samples, n_features)."""
        check_is_fitted(self)
        return X @ self.components_

    @property
    def _n_features_out(self) -> int:
        return int(self.components_.shape[0])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
