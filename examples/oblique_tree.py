"""A tree of hyperplanes on a rotated checkerboard, next to an axis-parallel one of equal depth."""

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from thalweg.search.objectives import ObliqueTree

rng = np.random.default_rng(0)


def board(n):
    X = rng.uniform(0, 3, (n, 2))
    y = X.astype(int).sum(1) % 2
    turn = np.array([[np.cos(0.6), -np.sin(0.6)], [np.sin(0.6), np.cos(0.6)]])
    return (X - 1.5) @ turn, y


X, y = board(2000)
Xt, yt = board(2000)
oblique = ObliqueTree(depth=4, seed=0).fit(X, y)
parallel = DecisionTreeClassifier(max_depth=4, random_state=0).fit(X, y)
print(f"oblique  {100 * oblique.score(Xt, yt):.1f} % with {oblique.n_evaluations_} probes")
print(f"parallel {100 * parallel.score(Xt, yt):.1f} %")
