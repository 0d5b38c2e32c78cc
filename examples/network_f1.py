"""Maximise F1 itself on an imbalanced checkerboard, with a network of sign units."""

import numpy as np

from thalweg.search.objectives import Dense, Layer, Network

rng = np.random.default_rng(0)


def board(n):
    X = rng.uniform(0, 3, (n, 2))
    return X - 1.5, ((X.astype(int) == 1).all(1) | (X.astype(int) == 0).all(1)).astype(int)


X, y = board(2000)
Xt, yt = board(2000)


def train(loss):
    network = Network(
        [Dense.random(2, 16, "sign", rng=1), Dense.random(16, 1, "linear", rng=2)], loss
    )
    plan = [Layer(8, 0.5, 0.05, "random"), Layer(8, 0.5, 0.05, "random")]
    network.train(X, y, epochs=400, batch_size=1000, plan=plan, seed=3)
    return 1 - as_f1(network).evaluate(Xt, yt)


def as_f1(network):
    """The same weights, scored by F1."""
    twin = Network(network.layers, "f1")
    twin.theta = network.theta
    return twin


for loss in ("f1", "cross_entropy"):
    print(f"trained on {loss}: test F1 {train(loss):.3f}")
