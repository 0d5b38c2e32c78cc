"""Regression with a separable penalty."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin

from thalweg.coordinate._solve import Solution, solve
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
    selection : {"cyclic", "shuffled", "random"}
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
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.weights = weights
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.selection = selection
        self.verbose = verbose

    def _problem(self) -> dict[str, Any]:
        return {
            "penalty": "elastic_net",
            "l1_ratio": self.l1_ratio,
            "positive": self.positive,
            "weights": self.weights,
        }


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
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.weights = weights
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.selection = selection
        self.verbose = verbose

    def _problem(self) -> dict[str, Any]:
        return {"penalty": "l1", "positive": self.positive, "weights": self.weights}


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
        self.alpha = alpha
        self.delta = delta
        self.fit_intercept = fit_intercept
        self.weights = weights
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.selection = selection
        self.verbose = verbose

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
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.weights = weights
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.selection = selection
        self.verbose = verbose

    def _problem(self) -> dict[str, Any]:
        return {"datafit": "poisson", "weights": self.weights}

    def predict(self, X: Any) -> Any:
        """Expected counts, shape (n_samples,)."""
        return np.exp(self._predictor(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags


class MCPRegression(Regression):  # noqa: D101
    __doc__ = f"""Least squares with the minimax concave penalty: large coefficients unbiased.

    Use it when the lasso shrinks what it selects too much. The solution is a local minimum, the one
    that passes in natural order reach from zero; there is no certificate.

    Parameters
    ----------
    {PARAMETERS}
    gamma : float, default 3.0
        Width of the concave part, > 1; infinity is the lasso.
    weights : array_like, shape (n_features,), optional
        Factors of the penalty.

    Attributes
    ----------
    {ATTRIBUTES}
    """

    _penalty = "mcp"

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        gamma: float = 3.0,
        fit_intercept: bool = True,
        weights: Any = None,
        max_iter: int = 100,
        tol: float = 1e-4,
        warm_start: bool = False,
        random_state: Any = None,
        selection: str = "cyclic",
        verbose: int = 0,
    ) -> None:
        self.alpha = alpha
        self.gamma = gamma
        self.fit_intercept = fit_intercept
        self.weights = weights
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.selection = selection
        self.verbose = verbose

    def _problem(self) -> dict[str, Any]:
        return {"penalty": self._penalty, "gamma": self.gamma, "weights": self.weights}


class SCADRegression(MCPRegression):  # noqa: D101
    __doc__ = f"""Least squares with the smoothly clipped absolute deviation penalty.

    Use it as `MCPRegression`; it keeps the lasso's shrinkage for small coefficients.

    Parameters
    ----------
    {PARAMETERS}
    gamma : float, default 3.7
        Width of the concave part, > 2.
    weights : array_like, shape (n_features,), optional
        Factors of the penalty.

    Attributes
    ----------
    {ATTRIBUTES}
    """

    _penalty = "scad"

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        gamma: float = 3.7,
        fit_intercept: bool = True,
        weights: Any = None,
        max_iter: int = 100,
        tol: float = 1e-4,
        warm_start: bool = False,
        random_state: Any = None,
        selection: str = "cyclic",
        verbose: int = 0,
    ) -> None:
        super().__init__(
            alpha,
            gamma=gamma,
            fit_intercept=fit_intercept,
            weights=weights,
            max_iter=max_iter,
            tol=tol,
            warm_start=warm_start,
            random_state=random_state,
            selection=selection,
            verbose=verbose,
        )
