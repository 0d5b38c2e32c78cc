"""Cross-validation over strengths (and l1 ratios): every fold is one warm-started path.

A fold is a mask of zero weights, not a copy of the data; folds and ratios are independent and run
in parallel.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils.validation import has_fit_parameter

from thalweg import get_num_threads
from thalweg.coordinate._path import alpha_grid, group_lasso_path, path
from thalweg.coordinate._svm import solve_svm
from thalweg.coordinate.estimators.blocks import GroupLasso, MultiTaskLasso
from thalweg.coordinate.estimators.classification import LinearSVC, SparseLogisticRegression
from thalweg.coordinate.estimators.regression import (
    ElasticNet,
    HuberRegression,
    Lasso,
    MCPRegression,
    PoissonRegression,
    SCADRegression,
)

PARAMETERS = """alphas : int or array_like, default 100
        Strengths to try, or the length of the grid.
    eps : float, default 1e-3
        Last over first strength of the grid.
    cv : int, splitter or iterable, default 5
        Folds.
    **options
        As in the estimator."""

ATTRIBUTES = """alpha_ : float
        Best strength.
    alphas_ : ndarray
        Strengths tried; a row for each l1 ratio when several are given.
    mse_path_ : ndarray, shape (n_alphas, n_folds), with l1 ratios in front when several
        Mean loss on each held-out fold.
    coef_, intercept_, dual_gap_, n_iter_
        Of the model refitted on all data."""


def _squared(y: Any, z: Any) -> Any:
    return (y[:, None] - z) ** 2


class CrossValidated:
    """Mixin in front of an estimator with `alpha`."""

    alphas: Any
    eps: float
    cv: Any
    tol: float
    max_iter: int
    fit_intercept: bool
    _estimator: Any
    _problem: Any
    _inputs: Any
    _ratios = False

    def _shared(self) -> dict[str, Any]:
        return {"fit_intercept": self.fit_intercept, **self._problem()}

    def _grid(self, X: Any, y: Any, sample_weight: Any, l1_ratio: float) -> Any:
        if not isinstance(self.alphas, int):
            return np.sort(np.asarray(self.alphas, dtype=float))[::-1]
        shared = self._shared()
        names = ("datafit", "delta", "weights", "positive", "fit_intercept")
        return alpha_grid(
            X,
            y,
            n_alphas=self.alphas,
            eps=self.eps,
            l1_ratio=l1_ratio,
            sample_weight=sample_weight,
            **{name: shared[name] for name in names if name in shared},
        )

    def _fold(self, X: Any, y: Any, weights: Any, alphas: Any, l1_ratio: float) -> Any:
        """Linear predictors of all samples, shape (n_samples, n_alphas)."""
        shared = {**self._shared(), "tol": self.tol, "max_iter": self.max_iter}
        if "l1_ratio" in shared:
            shared["l1_ratio"] = l1_ratio
        result = path(X, y, alphas, sample_weight=weights, **shared)
        return X @ result.coefs + result.intercepts

    def _loss(self, y: Any, z: Any) -> Any:
        return _squared(y, z)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Choose the strength by cross-validation and fit on all data.

        Parameters
        ----------
        X, y, sample_weight
            As in the estimator.

        Returns
        -------
        self
        """
        data, targets, weights = self._inputs(X, y, sample_weight)
        signs = self._targets(targets)
        n = data.shape[0]
        base = np.ones(n) if weights is None else weights
        if is_classifier(self) and len(np.unique(np.asarray(targets)[base > 0])) < 2:
            raise ValueError(
                "y must hold at least 2 classes of positive weight, got one class; add samples"
            )
        splitter = check_cv(self.cv, targets, classifier=is_classifier(self))
        folds = list(splitter.split(data, targets))
        ratios = np.atleast_1d(getattr(self, "l1_ratio", 1.0)) if self._ratios else np.array([1.0])
        grids = [self._grid(data, signs, base, float(ratio)) for ratio in ratios]

        def run(task: tuple[int, int]) -> Any:
            ratio, fold = task
            train, test = folds[fold]
            mask = np.zeros(n)
            mask[train] = base[train]
            z = self._fold(data, signs, mask, grids[ratio], float(ratios[ratio]))[test]
            if base[test].sum() == 0:
                return np.full(len(grids[ratio]), np.nan)
            return np.average(self._loss(signs[test], z), axis=0, weights=base[test])

        tasks = [(r, f) for r in range(len(ratios)) for f in range(len(folds))]
        with ThreadPoolExecutor(min(get_num_threads(), len(tasks))) as pool:
            losses = list(pool.map(run, tasks))
        table = np.array(losses).reshape(len(ratios), len(folds), -1).transpose(0, 2, 1)
        means = np.nanmean(table, axis=2)
        best = np.unravel_index(np.nanargmin(means), means.shape)
        self.alpha_ = float(grids[best[0]][best[1]])
        several = len(ratios) > 1
        self.alphas_ = np.stack(grids) if several else grids[0]
        self.mse_path_ = table if several else table[0]
        model = self._model(self.alpha_, float(ratios[best[0]]))
        if self._ratios:
            self.l1_ratio_ = float(ratios[best[0]])
        if has_fit_parameter(model, "sample_weight") and sample_weight is not None:
            model.fit(data, targets, sample_weight=weights)
        else:
            model.fit(data, targets)
        copied = [name for name in vars(model) if name.endswith("_") and not name.startswith("n_f")]
        for name in copied:
            setattr(self, name, getattr(model, name))
        return self

    def _targets(self, y: Any) -> Any:
        return np.asarray(y, dtype=np.float64)

    def _model(self, alpha: float, l1_ratio: float) -> Any:
        base = self._estimator
        names = base._get_param_names()
        values = {name: getattr(self, name) for name in names if name != "alpha"}
        if self._ratios:
            values["l1_ratio"] = l1_ratio
        return base(alpha=alpha, **values)


def _signature(base: Any, default_cv: Any = 5) -> Any:
    """A constructor with the arguments of `base`, `alphas`, `eps` and `cv` in place of `alpha`."""
    import inspect

    parameters = [
        p for p in inspect.signature(base.__init__).parameters.values() if p.name != "alpha"
    ]
    keyword = inspect.Parameter.KEYWORD_ONLY
    extra = [
        inspect.Parameter(name, keyword, default=value)
        for name, value in (("alphas", 100), ("eps", 1e-3), ("cv", default_cv))
    ]
    signature = inspect.Signature([*parameters, *extra])

    def __init__(self: Any, **options: Any) -> None:
        bound = signature.bind(self, **options)
        bound.apply_defaults()
        for name, value in bound.arguments.items():
            if name != "self":
                setattr(self, name, value)

    __init__.__dict__["__signature__"] = signature
    return __init__


def _document(title: str) -> str:
    return f"""{title}

    Parameters
    ----------
    {PARAMETERS}

    Attributes
    ----------
    {ATTRIBUTES}
    """


class LassoCV(CrossValidated, Lasso):  # noqa: D101
    __doc__ = _document("`Lasso` with the strength chosen by cross-validation.")
    _estimator = Lasso
    __init__ = _signature(Lasso)


class ElasticNetCV(CrossValidated, ElasticNet):  # noqa: D101
    __doc__ = _document("`ElasticNet` with strength and `l1_ratio` (one or several) chosen.")
    _estimator = ElasticNet
    _ratios = True
    __init__ = _signature(ElasticNet)


class HuberRegressionCV(CrossValidated, HuberRegression):  # noqa: D101
    __doc__ = _document("`HuberRegression` with the strength chosen by the held-out Huber loss.")
    _estimator = HuberRegression
    __init__ = _signature(HuberRegression)

    def _loss(self, y: Any, z: Any) -> Any:
        r = np.abs(y[:, None] - z)
        return np.where(r <= self.delta, 0.5 * r * r, self.delta * (r - 0.5 * self.delta))


class PoissonRegressionCV(CrossValidated, PoissonRegression):  # noqa: D101
    __doc__ = _document("`PoissonRegression` with the strength chosen by the held-out likelihood.")
    _estimator = PoissonRegression
    __init__ = _signature(PoissonRegression)

    def _loss(self, y: Any, z: Any) -> Any:
        return np.exp(np.minimum(z, 700.0)) - y[:, None] * z


class MCPRegressionCV(CrossValidated, MCPRegression):  # noqa: D101
    __doc__ = _document("`MCPRegression` with the strength chosen by cross-validation.")
    _estimator = MCPRegression
    __init__ = _signature(MCPRegression)


class SCADRegressionCV(CrossValidated, SCADRegression):  # noqa: D101
    __doc__ = _document("`SCADRegression` with the strength chosen by cross-validation.")
    _estimator = SCADRegression
    __init__ = _signature(SCADRegression)


class _Blocks(CrossValidated):
    def _block_options(self) -> dict[str, Any]:
        raise NotImplementedError

    def _grid(self, X: Any, y: Any, sample_weight: Any, l1_ratio: float) -> Any:
        if not isinstance(self.alphas, int):
            return np.sort(np.asarray(self.alphas, dtype=float))[::-1]
        from thalweg.coordinate._path import _block_grid

        options = self._block_options()
        options["sample_weight"] = sample_weight
        Y = y.reshape(len(y), -1)
        count, eps = self.alphas, self.eps
        return _block_grid(X, Y, options.pop("groups"), count, eps, options)

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
    __doc__ = _document("`GroupLasso` with the strength chosen by cross-validation.")
    _estimator = GroupLasso
    __init__ = _signature(GroupLasso)

    def _block_options(self) -> dict[str, Any]:
        names = ("groups", "l1_ratio", "weights", "positive", "fit_intercept")
        return {name: getattr(self, name) for name in names}


class MultiTaskLassoCV(_Blocks, MultiTaskLasso):  # noqa: D101
    __doc__ = _document("`MultiTaskLasso` with the strength chosen by cross-validation.")
    _estimator = MultiTaskLasso
    __init__ = _signature(MultiTaskLasso)

    def _block_options(self) -> dict[str, Any]:
        weights = "unit" if self.weights is None else self.weights
        return {"groups": 1, "weights": weights, "fit_intercept": self.fit_intercept}


class SparseLogisticRegressionCV(CrossValidated, SparseLogisticRegression):  # noqa: D101
    __doc__ = _document(
        "`SparseLogisticRegression` with the strength chosen by the held-out likelihood.\n\n"
        "    For more than two classes the losses of the one-versus-rest models are added."
    )
    _estimator = SparseLogisticRegression
    _ratios = True
    __init__ = _signature(SparseLogisticRegression)

    def _targets(self, y: Any) -> Any:
        classes = np.unique(y)
        if len(classes) < 2:
            raise ValueError(
                f"y must hold at least 2 classes, got one class, {classes[0]!r}; add samples"
            )
        chosen = classes[1:] if len(classes) == 2 else classes
        return np.where(np.asarray(y)[:, None] == chosen, 1.0, -1.0)

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
    loss, fit_intercept, intercept_scaling, max_iter, tol, random_state
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
    ) -> None:
        self.Cs = Cs
        self.cv = cv
        self.loss = loss
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def _targets(self, y: Any) -> Any:
        classes = np.unique(y)
        if len(classes) < 2:
            raise ValueError(
                f"y must hold at least 2 classes, got one class, {classes[0]!r}; add samples"
            )
        chosen = classes[1:] if len(classes) == 2 else classes
        return np.where(np.asarray(y)[:, None] == chosen, 1.0, -1.0)

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
