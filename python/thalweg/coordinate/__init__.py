"""Sparse linear models by coordinate descent, with certified duality gaps.

=========================  ==================================================================
`solve`, `path`            any datafit and penalty; numpy and scipy alone
`lasso_path`, ...          the same, one function a model
`solve_blocks`             groups of features and several tasks
`solve_svm`, `factorize`   support vector machines; non-negative factorization
`topo`                     directed acyclic graphs, by swaps in their order
`BlockCoordinateTrainer`   ReLU networks by closed forms (extra: torch)
`fractional`               ratios: fractional and parametric coordinate descent
`Lasso`, `LassoCV`, ...    scikit-learn estimators (extra: sklearn)
=========================  ==================================================================
"""

from __future__ import annotations

from typing import Any

from thalweg.coordinate import fractional
from thalweg.coordinate._block_path import group_lasso_path, multitask_lasso_path
from thalweg.coordinate._blocks import BlockSolution, solve_blocks
from thalweg.coordinate._dag import Dag, topological_order, varsortability
from thalweg.coordinate._nmf import Factors, factorize
from thalweg.coordinate._path import (
    CoefPath,
    alpha_grid,
    enet_path,
    huber_path,
    lasso_path,
    logistic_path,
    mcp_path,
    path,
    poisson_path,
    scad_path,
)
from thalweg.coordinate._solution import Solution
from thalweg.coordinate._solve import solve
from thalweg.coordinate._svm import SVMSolution, solve_svm
from thalweg.coordinate._topo import topo
from thalweg.coordinate._trainer import BlockCoordinateTrainer

_ESTIMATORS = [
    "ElasticNet",
    "ElasticNetCV",
    "GroupLasso",
    "GroupLassoCV",
    "HuberRegression",
    "HuberRegressionCV",
    "Lasso",
    "LassoCV",
    "LinearSVC",
    "LinearSVCCV",
    "MCPRegression",
    "MCPRegressionCV",
    "MultiTaskLasso",
    "MultiTaskLassoCV",
    "NMF",
    "PoissonRegression",
    "PoissonRegressionCV",
    "SCADRegression",
    "SCADRegressionCV",
    "SparseLogisticRegression",
    "SparseLogisticRegressionCV",
]

__all__ = [
    "BlockCoordinateTrainer",
    "BlockSolution",
    "CoefPath",
    "Dag",
    "Factors",
    "SVMSolution",
    "Solution",
    "alpha_grid",
    "enet_path",
    "factorize",
    "fractional",
    "group_lasso_path",
    "huber_path",
    "lasso_path",
    "logistic_path",
    "mcp_path",
    "multitask_lasso_path",
    "path",
    "poisson_path",
    "scad_path",
    "solve",
    "solve_blocks",
    "solve_svm",
    "topo",
    "topological_order",
    "varsortability",
]


def __getattr__(name: str) -> Any:
    """Import the estimators, and scikit-learn with them, on first use."""
    if name in _ESTIMATORS:
        from thalweg._extras import require

        require("sklearn")
        from thalweg.coordinate import estimators

        return getattr(estimators, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_ESTIMATORS])
