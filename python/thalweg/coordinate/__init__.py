"""Sparse linear models by coordinate descent, with certified duality gaps.

=========================  ==================================================================
`solve`, `path`            any datafit and penalty; numpy and scipy alone
`lasso_path`, ...          the same, one function a model
`solve_blocks`             groups of features and several tasks
`solve_svm`, `factorize`   support vector machines; non-negative factorization
`topo`                     directed acyclic graphs, by swaps in their order
`BlockCoordinateTrainer`   ReLU networks by closed forms (extra: torch)
`bcd_pr`, `cyclic_bcd`     any smooth function of several blocks (`CyclicBCD` in torch)
`wasserstein_cp`           dictionaries of rank-one distributions, under transport
`fractional`               ratios: fractional and parametric coordinate descent
`Lasso`, `LassoCV`, ...    scikit-learn estimators (extra: sklearn)
=========================  ==================================================================
"""

from __future__ import annotations

from typing import Any

from thalweg.coordinate import fractional
from thalweg.coordinate._bcd_pr import bcd_pr
from thalweg.coordinate._block_path import group_lasso_path, multitask_lasso_path
from thalweg.coordinate._blocks import BlockSolution, solve_blocks
from thalweg.coordinate._cyclic_bcd import cyclic_bcd
from thalweg.coordinate._dag import Dag, topological_order, varsortability
from thalweg.coordinate._descent import Descent
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
from thalweg.coordinate._wasserstein_cp import Dictionary, wasserstein_cp

# With torch (extra: torch), by module.
_TORCH = {"AlternatingCD": "alternating", "CyclicBCD": "cyclic"}

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
    "Descent",
    "Dictionary",
    "Factors",
    "SVMSolution",
    "Solution",
    "alpha_grid",
    "bcd_pr",
    "cyclic_bcd",
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
    "wasserstein_cp",
]


def __getattr__(name: str) -> Any:
    """Import the estimators, and scikit-learn with them, on first use."""
    if name in _ESTIMATORS:
        from thalweg._extras import require

        require("sklearn")
        from thalweg.coordinate import estimators

        return getattr(estimators, name)
    if name in _TORCH:
        from importlib import import_module

        return getattr(import_module(f"thalweg.coordinate.{_TORCH[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_ESTIMATORS, *_TORCH])
