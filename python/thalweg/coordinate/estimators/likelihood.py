"""Losses other than the squared one, with an l1 penalty."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.coordinate.estimators.base import store
from thalweg.coordinate.estimators.regression import ATTRIBUTES, PARAMETERS, Regression


class HuberRegression(Regression):  # noqa: D101
    __doc__ = f"""Huber loss with an l1 penalty: outliers in y count only linearly.

    Use it when some targets are far off.

    Parameters
    ----------
    {PARAMETERS}
    delta : float, default 1.35
        Residual beyond which the loss is linear, in the unit of y, > 0.
    weights : array_like, shape (n_features,), optional
        Factors of the penalty.

    Attributes
    ----------
    {ATTRIBUTES}
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        delta: float = 1.35,
        fit_intercept: bool = True,
        weights: Any = None,
        max_iter: int = 100,
        tol: float = 1e-4,
        warm_start: bool = False,
        random_state: Any = None,
        selection: str = "cyclic",
        verbose: int = 0,
    ) -> None:
        store(self, locals())

    def _problem(self) -> dict[str, Any]:
        return {"datafit": "huber", "delta": self.delta, "weights": self.weights}


class PoissonRegression(Regression):  # noqa: D101
    __doc__ = f"""Poisson likelihood with log link and an l1 penalty, for counts.

    Use it when y counts events; `predict` returns expected counts.

    Parameters
    ----------
    {PARAMETERS}
    weights : array_like, shape (n_features,), optional
        Factors of the penalty.

    Attributes
    ----------
    {ATTRIBUTES}
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        weights: Any = None,
        max_iter: int = 100,
        tol: float = 1e-4,
        warm_start: bool = False,
        random_state: Any = None,
        selection: str = "cyclic",
        verbose: int = 0,
    ) -> None:
        store(self, locals())

    def _problem(self) -> dict[str, Any]:
        return {"datafit": "poisson", "weights": self.weights}

    def predict(self, X: Any) -> Any:
        """Expected counts, shape (n_samples,)."""
        return np.exp(self._predictor(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags
