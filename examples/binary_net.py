"""A network of one-bit units and two-bit weights, trained without a straight-through estimator.

Every forward pass uses signs and weights rounded to four values, so the loss is constant almost
everywhere; the latent weights move by what finite probes find.
"""

import numpy as np
from sklearn.datasets import load_digits

from thalweg.search.objectives import Dense, Network

X, y = load_digits(return_X_y=True)
X = ((X - X.mean()) / X.std()).astype(np.float32)
rng = np.random.default_rng(0)
order = rng.permutation(len(X))
train, test = order[:1400], order[1400:]

two_bits = {"scale": 0.1, "bits": 2}
network = Network(
    [
        Dense.random(64, 128, "sign", rng=rng, **two_bits),
        Dense.random(128, 10, "linear", rng=rng, **two_bits),
    ]
)
out = network.train(X[train], y[train], epochs=100, batch_size=200, seed=0)
latent, _ = network.parameters()[0]
used = np.unique(np.clip(np.round(latent / 0.1), -2, 1)).astype(int)
print(f"{out.evaluations} evaluations in {out.seconds:.1f} s, weights in {used.tolist()} tenths")
print(f"test accuracy {100 * network.accuracy(X[test], y[test]):.1f} %")
