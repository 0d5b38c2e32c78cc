"""Direct F1: train a network with hard units on the metric itself, no surrogate loss.

Few positives, sign units and F1 over the whole set: no gradient anywhere.
"""

import numpy as np

from thalweg.search import PolyStep

HIDDEN = 8


def data(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (600, 2))
    return x, (np.hypot(*(x - [0.3, 0.2]).T) < 0.45) | (x[:, 1] < -0.85)


def network(flat, x):
    """Outputs (population, n) for a population of flat parameters."""
    w1, b1, w2, b2 = np.split(flat, np.cumsum([2 * HIDDEN, HIDDEN, HIDDEN]), axis=1)
    hidden = np.sign(x @ w1.reshape(len(flat), 2, HIDDEN) + b1[:, None])
    return (hidden @ w2[..., None])[..., 0] + b2


def f1(out, y):
    hits = ((out > 0) & y).sum(1)
    return 2 * hits / ((out > 0).sum(1) + y.sum())


if __name__ == "__main__":
    x, y = data()
    test_x, test_y = data(1)
    search = PolyStep(np.random.default_rng(0).normal(size=4 * HIDDEN + 1), seed=0)
    for step in range(200):
        search.tell(1 - f1(network(search.ask(), x), y))
        if step % 40 == 39:
            print(f"step {search.step:4} train F1 {1 - search.best.cost:.3f}")
    print(f"test F1 {f1(network(search.best.x[None], test_x), test_y)[0]:.3f}")
