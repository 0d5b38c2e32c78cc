"""Which measurements tell a malignant tumour? A sparse classifier, with its certificate."""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

from thalweg.coordinate import SparseLogisticRegressionCV

data = load_breast_cancer()
X = StandardScaler().fit_transform(data.data)
model = SparseLogisticRegressionCV(alphas=30, eps=1e-2, cv=5, tol=1e-6).fit(X, data.target)

order = np.argsort(-np.abs(model.coef_[0]))
for j in order[np.abs(model.coef_[0][order]) > 0]:
    print(f"{data.feature_names[j]:28s} {model.coef_[0, j]:+.3f}")
print(f"accuracy on the training data {model.score(X, data.target):.3f}, alpha {model.alpha_:.2g}")
print(f"the objective is at most {model.dual_gap_:.1e} above its optimum")
