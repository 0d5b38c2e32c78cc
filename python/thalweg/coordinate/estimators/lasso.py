"""Least squares with convex penalties."""

from __future__ import annotations

from typing import Any

from thalweg.coordinate.estimators.base import store
from thalweg.coordinate.estimators.regression import ATTRIBUTES, PARAMETERS, Regression


class Lasso(Regression):  # noqa: D101
    __doc__ = f"""Least squares with an l1 penalty.

    Use it for a model of few features.

    Parameters
    ----------
    {PARAMETERS}
    positive : bool, default False
        Keep the coefficients non-negative.
    weights : array_like, shape (n_features,), optional
        Factors of the penalty; 0 for none, infinity removes the feature.

    Attributes
    ----------
    {ATTRIBUTES}

    Examples
    --------
    >>> from thalweg.coordinate import Lasso
    >>> model = Lasso(alpha=0.1).fit([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]], [0.0, 1.0, 2.0])
    >>> model.coef_.round(3).tolist()
    [0.85, 0.0]
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        positive: bool = False,
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
        return {"penalty": "l1", "positive": self.positive, "weights": self.weights}


class ElasticNet(Regression):  # noqa: D101
    __doc__ = f"""Least squares with l1 and squared l2 penalties.

    Use it for correlated features, which the l1 norm alone picks from at random.

    Parameters
    ----------
    {PARAMETERS}
    l1_ratio : float, default 0.5
        Share of the l1 norm, in [0, 1].
    positive : bool, default False
        Keep the coefficients non-negative.
    weights : array_like, shape (n_features,), optional
        Factors of the penalty; 0 for none, infinity removes the feature.

    Attributes
    ----------
    {ATTRIBUTES}

    Examples
    --------
    >>> from thalweg.coordinate import ElasticNet
    >>> model = ElasticNet(alpha=0.1).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
    >>> model.predict([[1.0]]).round(3).tolist()
    [1.0]
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        l1_ratio: float = 0.5,
        fit_intercept: bool = True,
        positive: bool = False,
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
        return {
            "penalty": "elastic_net",
            "l1_ratio": self.l1_ratio,
            "positive": self.positive,
            "weights": self.weights,
        }
