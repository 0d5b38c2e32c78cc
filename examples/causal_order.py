"""Which variable drives which? A graph from data, found by swaps in a topological order."""

import numpy as np

from thalweg.coordinate import topo

names = ["rain", "soil", "river", "crop", "mill", "price"]
edges = {(0, 1): 1.2, (0, 2): 0.9, (1, 3): 1.5, (2, 4): -1.1, (3, 5): -0.8, (4, 5): 0.7}

rng = np.random.default_rng(0)
X = rng.standard_normal((2000, 6))
for (i, j), weight in sorted(edges.items()):
    X[:, j] += weight * X[:, i]

found = topo(X[:, ::-1], seed=1)
found_names = names[::-1]
print("order:", ", ".join(found_names[node] for node in found.order))
for i, j in np.argwhere(found.dag):
    print(f"{found_names[i]:>6s} -> {found_names[j]:6s} {found.dag[i, j]:+.2f}")
print(f"score {found.score:.4f} after {found.n_iter} rounds")
print(f"varsortability {found.varsortability:.2f}: near 1, sorting by variance would do as well")

recovered = {(5 - i, 5 - j) for i, j in np.argwhere(found.dag)}
assert recovered == set(edges)
