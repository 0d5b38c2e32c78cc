"""The cross-validated estimators."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.coordinate._block_path import block_grid, group_lasso_path
from thalweg.coordinate._path import alpha_grid, path
from thalweg.coordinate._svm import solve_svm
from thalweg.coordinate.estimators.base import seed_of, store
from thalweg.coordinate.estimators.blocks import GroupLasso, MultiTaskLasso
from thalweg.coordinate.estimators.classification import LinearSVC, SparseLogisticRegression
from thalweg.coordinate.estimators.concave import MCPRegression, SCADRegression
from thalweg.coordinate.estimators.cross_validation import CrossValidated, constructor, document
from thalweg.coordinate.estimators.lasso import ElasticNet, Lasso
from thalweg.coordinate.estimators.likelihood import HuberRegression, PoissonRegression


class LassoCV(CrossValidated, Lasso):  # noqa: D101
    __doc__ = document("`Lasso` with the strength chosen by cross-validation.")
    _estimator = Lasso
    __init__ = constructor(Lasso)


class ElasticNetCV(CrossValidated, ElasticNet):  # noqa: D101
    __doc__ = document("`ElasticNet` with strength and `l1_ratio` (one or several) chosen.")
    _estimator = ElasticNet
    _ratios = True
    __init__ = constructor(ElasticNet)


class HuberRegressionCV(CrossValidated, HuberRegression):  # noqa: D101
    __doc__ = document("`HuberRegression` with the strength chosen by the held-out Huber loss.")
    _estimator = HuberRegression
    __init__ = constructor(HuberRegression)

    def _loss(self, y: Any, z: Any) -> Any:
        r = np.abs(y[:, None] - z)
        return np.where(r <= self.delta, 0.5 * r * r, self.delta * (r - 0.5 * self.delta))


class PoissonRegressionCV(CrossValidated, PoissonRegression):  # noqa: D101
    __doc__ = document("`PoissonRegression` with the strength chosen by the held-out likelihood.")
    _estimator = PoissonRegression
    __init__ = constructor(PoissonRegression)

    def _loss(self, y: Any, z: Any) -> Any:
        return np.exp(np.minimum(z, 700.0)) - y[:, None] * z


class MCPRegressionCV(CrossValidated, MCPRegression):  # noqa: D101
    __doc__ = document("`MCPRegression` with the strength chosen by cross-validation.")
    _estimator = MCPRegression
    __init__ = constructor(MCPRegression)


class SCADRegressionCV(CrossValidated, SCADRegression):  # noqa: D101
    __doc__ = document("`SCADRegression` with the strength chosen by cross-validation.")
    _estimator = SCADRegression
    __init__ = constructor(SCADRegression)


class _Blocks(CrossValidated):
    def _block_options(self) -> dict[str, Any]:
        raise NotImplementedError

    def _grid(self, X: Any, y: Any, sample_weight: Any, l1_ratio: float) -> Any:
        if not isinstance(self.alphas, int):
            return np.sort(np.asarray(self.alphas, dtype=float))[::-1]
        options = self._block_options()
        options["sample_weight"] = sample_weight
        Y = y.reshape(len(y), -1)
        count, eps = self.alphas, self.eps
        return block_grid(X, Y, options.pop("groups"), count, eps, options)

    def _fold(self, X: Any, y: Any, weights: Any, alphas: Any, l1_ratio: float) -> Any:
        result = group_lasso_path(
            X,
            y,
            alphas=alphas,
            sample_weight=weights,
            tol=self.tol,
            max_iter=self.max_iter,
            **self._block_options(),
        )
        if result.coefs.ndim == 2:
            return X @ result.coefs + result.intercepts
        return np.stack(
            [
                X @ result.coefs[..., k].T + result.intercepts[..., k]
                for k in range(len(result.alphas))
            ],
            axis=-1,
        )

    def _loss(self, y: Any, z: Any) -> Any:
        loss = (y[..., None] - z) ** 2
        return loss.mean(axis=1) if loss.ndim == 3 else loss


class GroupLassoCV(_Blocks, GroupLasso):  # noqa: D101
    __doc__ = document("`GroupLasso` with the strength chosen by cross-validation.")
    _estimator = GroupLasso
    __init__ = constructor(GroupLasso)

    def _block_options(self) -> dict[str, Any]:
        names = ("groups", "l1_ratio", "weights", "positive", "fit_intercept")
        return {name: getattr(self, name) for name in names}


class MultiTaskLassoCV(_Blocks, MultiTaskLasso):  # noqa: D101
    __doc__ = document("`MultiTaskLasso` with the strength chosen by cross-validation.")
    _estimator = MultiTaskLasso
    __init__ = constructor(MultiTaskLasso)

    def _block_options(self) -> dict[str, Any]:
        weights = "unit" if self.weights is None else self.weights
        return {"groups": 1, "weights": weights, "fit_intercept": self.fit_intercept}


def _signs(y: Any) -> Any:
    """Labels -1 and 1: a column for two classes, one a class for more."""
    classes = np.unique(y)
    if len(classes) < 2:
        raise ValueError(
            f"y must hold at least 2 classes, got one class, {classes[0]!r}; add samples"
        )
    chosen = classes[1:] if len(classes) == 2 else classes
    return np.where(np.asarray(y)[:, None] == chosen, 1.0, -1.0)


class SparseLogisticRegressionCV(CrossValidated, SparseLogisticRegression):  # noqa: D101
    __doc__ = document(
        "`SparseLogisticRegression` with the strength chosen by the held-out likelihood.\n\n"
        "    For more than two classes the losses of the one-versus-rest models are added."
    )
    _estimator = SparseLogisticRegression
    _ratios = True
    __init__ = constructor(SparseLogisticRegression)

    def _targets(self, y: Any) -> Any:
        return _signs(y)

    def _grid(self, X: Any, y: Any, sample_weight: Any, l1_ratio: float) -> Any:
        if not isinstance(self.alphas, int):
            return np.sort(np.asarray(self.alphas, dtype=float))[::-1]
        grids = [
            alpha_grid(
                X,
                column,
                n_alphas=self.alphas,
                eps=self.eps,
                datafit="logistic",
                l1_ratio=max(l1_ratio, 1e-3),
                weights=self.weights,
                sample_weight=sample_weight,
                fit_intercept=self.fit_intercept,
            )
            for column in y.T
        ]
        return max(grids, key=lambda grid: grid[0])

    def _fold(self, X: Any, y: Any, weights: Any, alphas: Any, l1_ratio: float) -> Any:
        predictors = []
        for column in y.T:
            result = path(
                X,
                column,
                alphas,
                datafit="logistic",
                penalty="elastic_net",
                l1_ratio=l1_ratio,
                weights=self.weights,
                sample_weight=weights,
                fit_intercept=self.fit_intercept,
                tol=self.tol,
                max_iter=self.max_iter,
            )
            predictors.append(X @ result.coefs + result.intercepts)
        return np.stack(predictors, axis=1)

    def _loss(self, y: Any, z: Any) -> Any:
        return np.logaddexp(0.0, -y[..., None] * z).sum(axis=1)


class LinearSVCCV(CrossValidated, LinearSVC):
    """`LinearSVC` with C chosen by the held-out error rate.

    Parameters
    ----------
    Cs : array_like, default (0.01, 0.1, 1.0, 10.0, 100.0)
        Costs to try.
    cv : int, splitter or iterable, default 5
        Folds.
    loss, fit_intercept, intercept_scaling, max_iter, tol, random_state, verbose
        As in `LinearSVC`.

    Attributes
    ----------
    C_ : float
        Best cost.
    Cs_, mse_path_
        Costs tried and error rates, shape (n_costs, n_folds).
    coef_, intercept_, dual_gap_, n_iter_
        Of the model refitted on all data.
    """

    def __init__(
        self,
        *,
        Cs: Any = (0.01, 0.1, 1.0, 10.0, 100.0),
        cv: Any = 5,
        loss: str = "squared_hinge",
        fit_intercept: bool = True,
        intercept_scaling: float = 1.0,
        max_iter: int = 10_000,
        tol: float = 1e-4,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        store(self, locals())

    def _targets(self, y: Any) -> Any:
        return _signs(y)

    def _grid(self, X: Any, y: Any, sample_weight: Any, l1_ratio: float) -> Any:
        return np.asarray(self.Cs, dtype=float)

    def _fold(self, X: Any, y: Any, weights: Any, alphas: Any, l1_ratio: float) -> Any:
        scores = np.empty((X.shape[0], y.shape[1], len(alphas)))
        for k, C in enumerate(alphas):
            for t in range(y.shape[1]):
                s = solve_svm(
                    X,
                    y[:, t],
                    C,
                    loss=self.loss,
                    fit_intercept=self.fit_intercept,
                    intercept_scaling=self.intercept_scaling,
                    sample_weight=weights,
                    tol=self.tol,
                    max_iter=self.max_iter,
                    seed=seed_of(self.random_state),
                )
                scores[:, t, k] = X @ s.coef + s.intercept
        return scores

    def _loss(self, y: Any, z: Any) -> Any:
        if y.shape[1] == 1:
            return ((z[:, 0] > 0) != (y > 0)).astype(float)
        return (z.argmax(axis=1) != y.argmax(axis=1)[:, None]).astype(float)

    def _model(self, alpha: float, l1_ratio: float) -> Any:
        names = LinearSVC._get_param_names()
        values = {name: getattr(self, name) for name in names if name != "C"}
        return LinearSVC(C=alpha, **values)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Choose C by cross-validation and fit on all data."""
        super().fit(X, y, sample_weight)
        self.C_, self.Cs_ = self.alpha_, self.alphas_
        return self
