"""Least squares with concave penalties."""

from __future__ import annotations

from typing import Any

from thalweg.coordinate.estimators.base import store
from thalweg.coordinate.estimators.regression import ATTRIBUTES, PARAMETERS, Regression


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
        store(self, locals())

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
        store(self, locals())
