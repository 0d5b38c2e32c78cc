"""scikit-learn estimators over the functional layer."""

from thalweg.coordinate.estimators.blocks import GroupLasso, MultiTaskLasso
from thalweg.coordinate.estimators.classification import LinearSVC, SparseLogisticRegression
from thalweg.coordinate.estimators.cv import (
    ElasticNetCV,
    GroupLassoCV,
    HuberRegressionCV,
    LassoCV,
    LinearSVCCV,
    MCPRegressionCV,
    MultiTaskLassoCV,
    PoissonRegressionCV,
    SCADRegressionCV,
    SparseLogisticRegressionCV,
)
from thalweg.coordinate.estimators.nmf import NMF
from thalweg.coordinate.estimators.regression import (
    ElasticNet,
    HuberRegression,
    Lasso,
    MCPRegression,
    PoissonRegression,
    SCADRegression,
)

__all__ = [
    "NMF",
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
    "PoissonRegression",
    "PoissonRegressionCV",
    "SCADRegression",
    "SCADRegressionCV",
    "SparseLogisticRegression",
    "SparseLogisticRegressionCV",
]
