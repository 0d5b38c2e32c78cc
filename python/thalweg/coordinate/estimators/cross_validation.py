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

from thalweg import _core, get_num_threads
from thalweg.coordinate._path import alpha_grid, path

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
        # Folds keep all threads busy as it is.
        result = path(X, y, alphas, parts=False, sample_weight=weights, **shared)
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

        tasks = [(r, f) for r in range(len(ratios)) for f in range(len(folds))]
        workers = min(get_num_threads(), len(tasks))
        whole = len(tasks) - len(tasks) % workers

        def run(number: int) -> Any:
            # Tasks that leave no worker idle do best on one thread each; the rest may take more.
            _core.stay_alone(number < whole and workers > 1)
            ratio, fold = tasks[number]
            train, test = folds[fold]
            mask = np.zeros(n)
            mask[train] = base[train]
            z = self._fold(data, signs, mask, grids[ratio], float(ratios[ratio]))[test]
            if base[test].sum() == 0:
                return np.full(len(grids[ratio]), np.nan)
            return np.average(self._loss(signs[test], z), axis=0, weights=base[test])

        with ThreadPoolExecutor(workers) as pool:
            losses = list(pool.map(run, range(len(tasks))))
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


def constructor(base: Any, default_cv: Any = 5) -> Any:
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


def document(title: str) -> str:
    """The docstring of a cross-validated estimator."""
    return f"""{title}

    Parameters
    ----------
    {PARAMETERS}

    Attributes
    ----------
    {ATTRIBUTES}
    """
