"""Train a hard leaky integrate-and-fire network on digits without a gradient.

Spikes are thresholds: their derivative is zero almost everywhere. Nothing here differentiates.
"""

import numpy as np
from sklearn.datasets import load_digits

from thalweg.search.objectives import Dense, Network

X, y = load_digits(return_X_y=True)
X = ((X - X.mean()) / X.std()).astype(np.float32)
rng = np.random.default_rng(0)
order = rng.permutation(len(X))
train, test = order[:1400], order[1400:]

network = Network(
    [
        Dense.random(64, 64, "lif", rng=rng, beta=0.95, threshold=1.0, steps=15),
        # a small positive bias, so that every class fires for some sample from the start
        Dense.random(64, 10, "lif", rng=rng, bias=0.2, beta=0.95, threshold=1.0, steps=15),
    ]
)
out = network.train(X[train], y[train], epochs=60, batch_size=200, seed=0)
print(f"{out.evaluations} evaluations in {out.seconds:.1f} s")
print(f"test accuracy {100 * network.accuracy(X[test], y[test]):.1f} %")
