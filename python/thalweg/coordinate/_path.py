"""Regularisation paths: a grid of strengths, each solved from the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from thalweg._extras import require
from thalweg.coordinate._matrix import Array, count, in_range, normalised, vector
from thalweg.coordinate._parts import in_parts
from thalweg.coordinate._solve import run


@dataclass
class CoefPath:
    """Solutions along a grid of strengths; unpacks as `alphas, coefs, dual_gaps`.

    Attributes
    ----------
    alphas : ndarray, shape (n_alphas,)
        Strengths, descending.
    coefs : ndarray, shape (n_features, n_alphas), or (n_tasks, n_features, n_alphas)
        Coefficients.
    intercepts : ndarray, shape (n_alphas,), or (n_tasks, n_alphas)
        Constants.
    dual_gaps : ndarray, shape (n_alphas,)
        Certified gaps.
    n_iters : ndarray, shape (n_alphas,)
        Passes over all features.
    statuses : list of str
        As in `Solution.status`.
    """

    alphas: Array
    coefs: Array
    intercepts: Array
    dual_gaps: Array
    n_iters: Any
    statuses: list[str]

    def __iter__(self) -> Iterator[Any]:
        return iter((self.alphas, self.coefs, self.dual_gaps))

    def plot(self, ax: Any = None, names: list[str] | None = None) -> Any:
        """Draw each coefficient against the strength.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Where to draw.
        names : list of str, optional
            Names of the features, written at the end of their line.

        Returns
        -------
        matplotlib axes
        """
        if ax is None:
            ax = require("matplotlib.pyplot").subplots()[1]
        coefs = self.coefs if self.coefs.ndim == 2 else np.linalg.norm(self.coefs, axis=0)
        for j in np.flatnonzero((coefs != 0).any(axis=1)):
            (line,) = ax.plot(self.alphas, coefs[j], linewidth=1)
            if names is not None:
                place = (self.alphas[-1], coefs[j, -1])
                ax.annotate(str(names[j]), place, color=line.get_color(), fontsize=8)
        ax.set_xscale("log")
        ax.invert_xaxis()
        ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        ax.set_xlabel("alpha")
        ax.set_ylabel("coefficient")
        return ax


def _null_gradient(
    X: Any, y: Array, datafit: str, delta: float, weights: Array, fit_intercept: bool
) -> Array:
    """X'(W u) at the null model."""
    z = 0.0
    mean = float(weights @ y)
    if fit_intercept:
        if datafit == "quadratic":
            z = mean
        elif datafit == "logistic":
            z = float(np.log1p(mean) - np.log1p(-mean)) if abs(mean) < 1 else 0.0
        elif datafit == "poisson":
            z = float(np.log(mean)) if mean > 0 else 0.0
        else:
            # The constant of this loss has no closed form: fit it on an empty matrix.
            empty = np.zeros((len(y), 1), order="F")
            z = run(empty, y, [1.0], **_defaults(datafit=datafit, delta=delta, tol=1e-12))[
                0
            ].intercept
    terms: dict[str, Callable[[], Any]] = {
        "quadratic": lambda: y - z,
        "logistic": lambda: y / (1 + np.exp(y * z)),
        "squared_hinge": lambda: 2 * y * np.maximum(0, 1 - y * z),
        "huber": lambda: np.clip(y - z, -delta, delta),
        "poisson": lambda: y - np.exp(z),
    }
    v = weights * terms[datafit]()
    if fit_intercept:
        v = v - weights * v.sum()
    return np.asarray(X.T @ v)


def _defaults(**changes: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "datafit": "quadratic",
        "penalty": "l1",
        "l1_ratio": 0.5,
        "gamma": 3.0,
        "delta": 1.35,
        "weights": None,
        "positive": False,
        "bounds": None,
        "sample_weight": None,
        "fit_intercept": True,
        "coef_init": None,
        "intercept_init": 0.0,
        "tol": 1e-4,
        "max_iter": 100,
        "max_epochs": 100_000,
        "p0": 100,
        "selection": "cyclic",
        "seed": 0,
        "working_set": None,
        "accelerate": None,
        "verbose": 0,
        "callback": None,
    }
    unknown = sorted(changes.keys() - defaults.keys())
    if unknown:
        raise TypeError(f"path() got an unexpected keyword argument {unknown[0]!r}")
    defaults.update(changes)
    convex = defaults["penalty"] not in ("mcp", "scad")
    for name in ("working_set", "accelerate"):
        if defaults[name] is None:
            defaults[name] = convex
    return defaults


def alpha_grid(
    X: Any,
    y: ArrayLike,
    *,
    n_alphas: int = 100,
    eps: float = 1e-3,
    datafit: str = "quadratic",
    l1_ratio: float = 1.0,
    delta: float = 1.35,
    weights: ArrayLike | None = None,
    positive: bool = False,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = True,
) -> Array:
    """Geometric grid from the smallest strength with an empty model down to `eps` times it.

    Parameters
    ----------
    X, y, datafit, l1_ratio, delta, weights, positive, sample_weight, fit_intercept
        As in `solve`.
    n_alphas : int, default 100
        Length of the grid.
    eps : float, default 1e-3
        Last over first, in (0, 1].

    Returns
    -------
    ndarray, shape (n_alphas,)
        Descending. Tiny when y holds no signal.

    Examples
    --------
    >>> import numpy as np
    >>> grid = alpha_grid(np.eye(2), [2.0, 0.0], n_alphas=3, eps=0.01, fit_intercept=False)
    >>> grid.round(6).tolist()
    [1.0, 0.1, 0.01]
    """
    y = vector(y)
    in_range("eps", eps, 0.0, 1.0, strict=True)
    in_range("l1_ratio", l1_ratio, 0.0, 1.0, strict=True)
    sample = normalised(sample_weight, len(y))
    gradient = _null_gradient(X, y, datafit, delta, sample, fit_intercept)
    gradient = np.maximum(gradient, 0) if positive else np.abs(gradient)
    if weights is not None:
        factors = vector(weights, name="weights")
        kept = (factors > 0) & np.isfinite(factors)
        gradient = gradient[kept] / factors[kept]
    largest = max(float(gradient.max(initial=0.0)) / l1_ratio, float(np.finfo(float).resolution))
    if count("n_alphas", n_alphas) == 1:
        return np.array([largest])
    return np.asarray(largest * np.logspace(0.0, np.log10(eps), n_alphas))


def descending(alphas: ArrayLike) -> Array:
    return np.sort(vector(alphas, name="alphas"))[::-1].copy()


def path(
    X: Any,
    y: ArrayLike,
    alphas: ArrayLike | None = None,
    *,
    n_alphas: int = 100,
    eps: float = 1e-3,
    parts: bool = True,
    **options: Any,
) -> CoefPath:
    """Solve for a grid of strengths, each from the solution before it.

    Use it to choose a strength, or to see features enter.

    Parameters
    ----------
    X, y
        As in `solve`.
    alphas : array_like, optional
        Strengths; sorted in descending order. Default: `alpha_grid`.
    n_alphas, eps
        Of the default grid.
    parts : bool, default True
        Solve the last fifth of a long path at the same time as the rest, from zero: least squares,
        at least 50 strengths and 200,000 entries of X. The number of threads changes no bit.
    **options
        As in `solve`: datafit, penalty, weights, tol, ...

    Returns
    -------
    CoefPath

    References
    ----------
    Friedman, Hastie, Tibshirani 2010, "Regularization paths for generalized linear models via
    coordinate descent", J. Stat. Softw. 33; Tibshirani et al. 2012, "Strong rules", JRSS B 74.

    Examples
    --------
    >>> import numpy as np
    >>> alphas, coefs, gaps = path(np.eye(2), [2.0, 0.0], [1.0, 0.5], fit_intercept=False)
    >>> coefs.round(6).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    options = _defaults(**options)
    if alphas is None:
        shared = ("datafit", "delta", "weights", "positive", "sample_weight", "fit_intercept")
        grid = alpha_grid(
            X,
            y,
            n_alphas=n_alphas,
            eps=eps,
            l1_ratio=options["l1_ratio"] if options["penalty"] == "elastic_net" else 1.0,
            **{name: options[name] for name in shared},
        )
    else:
        grid = descending(alphas)
    solutions = in_parts(X, y, grid, options) if parts else run(X, y, grid, **options)
    return CoefPath(
        alphas=grid[: len(solutions)],
        coefs=np.stack([s.coef for s in solutions], axis=1),
        intercepts=np.array([s.intercept for s in solutions]),
        dual_gaps=np.array([s.dual_gap for s in solutions]),
        n_iters=np.array([s.n_iter for s in solutions]),
        statuses=[s.status for s in solutions],
    )


def _named(summary: str, **fixed: Any) -> Callable[..., CoefPath]:
    def function(X: Any, y: ArrayLike, alphas: ArrayLike | None = None, **options: Any) -> CoefPath:
        return path(X, y, alphas, **{**fixed, **options})

    function.__doc__ = f"""{summary}

    Parameters
    ----------
    X, y, alphas, **options
        As in `path`, with {", ".join(f"{k}={v!r}" for k, v in fixed.items())}.

    Returns
    -------
    CoefPath
    """
    return function


lasso_path = _named("Lasso path.", penalty="l1")
enet_path = _named("Elastic net path.", penalty="elastic_net")
mcp_path = _named("Path of the minimax concave penalty.", penalty="mcp")
scad_path = _named("Path of the SCAD penalty.", penalty="scad", gamma=3.7)
huber_path = _named("Path of the Huber regression with l1.", datafit="huber")
poisson_path = _named("Path of the Poisson regression with l1.", datafit="poisson")
logistic_path = _named("Path of the logistic regression with l1.", datafit="logistic")
for _name in ("lasso", "enet", "mcp", "scad", "huber", "poisson", "logistic"):
    globals()[f"{_name}_path"].__name__ = f"{_name}_path"
    globals()[f"{_name}_path"].__qualname__ = f"{_name}_path"
