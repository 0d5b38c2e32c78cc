"""What the estimators share: validation, warnings, prediction."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

DTYPES = [np.float64, np.float32]


def seed_of(random_state: Any) -> int:
    """An integer seed from what scikit-learn calls a random state."""
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def store(estimator: Any, arguments: dict[str, Any]) -> None:
    """Set the arguments of a constructor, its `locals()`, as attributes of the same name."""
    for name, value in arguments.items():
        if name not in ("self", "__class__"):
            setattr(estimator, name, value)


def warn_unless(solution: Any, name: str) -> None:
    """Warn with the gap when the solver stopped early."""
    if not solution.success:
        message = getattr(solution, "message", None) or (
            f"dual gap {solution.dual_gap:.1e} after {solution.n_iter} iterations; "
            "raise max_iter or loosen tol"
        )
        warnings.warn(f"{name}: {message}", ConvergenceWarning, stacklevel=3)


class LinearModel(BaseEstimator):  # type: ignore[misc]
    """A linear predictor on validated input."""

    _multi_output = False

    def _inputs(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
        # The core finds NaN in X in its first pass, so that no extra one is needed here.
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=("csc", "csr"),
            dtype=DTYPES,
            ensure_all_finite=False,
            multi_output=self._multi_output,
            y_numeric=self._estimator_type_name() == "regressor",
        )
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        return X, y, sample_weight

    def _estimator_type_name(self) -> str:
        return str(self.__sklearn_tags__().estimator_type)

    def _predictor(self, X: Any) -> Any:
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=("csc", "csr"), dtype=DTYPES, reset=False)
        return X @ self.coef_.T + self.intercept_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @property
    def sparse_coef_(self) -> Any:
        """`coef_` as a sparse matrix."""
        from scipy import sparse

        return sparse.csr_matrix(np.atleast_2d(self.coef_))
