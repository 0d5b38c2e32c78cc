"""scikit-learn estimators over the functional layer."""

from thalweg.coordinate.estimators.blocks import GroupLasso, MultiTaskLasso
from thalweg.coordinate.estimators.classification import LinearSVC, SparseLogisticRegression
from thalweg.coordinate.estimators.concave import MCPRegression, SCADRegression
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
from thalweg.coordinate.estimators.lasso import ElasticNet, Lasso
from thalweg.coordinate.estimators.likelihood import HuberRegression, PoissonRegression
from thalweg.coordinate.estimators.nmf import NMF

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
