"""Histograms whose parts move: dictionaries under transport, and blocks of a factorization."""

import numpy as np

from thalweg import project
from thalweg.coordinate import bcd_pr, wasserstein_cp


def bumps(n, centres):
    x = np.exp(-0.5 * (np.arange(n)[:, None] - np.array(centres)) ** 2)
    return x / x.sum(axis=0)


rng = np.random.default_rng(0)
planted = np.einsum("ir,jr->rij", bumps(10, (2.0, 5.0, 8.0)), bumps(9, (6.5, 1.5, 4.0)))
codes = rng.dirichlet(0.5 * np.ones(3), 20)
X = np.einsum("sr,rij->sij", codes, planted)

found = wasserstein_cp(X, 3, gamma=0.004, max_iter=25)
apart = np.abs(found.atoms()[:, None] - planted).sum(axis=(2, 3)) / 2
print("under transport: distance of each planted part to its nearest:", apart.min(axis=0).round(3))

# The same samples flattened, by least squares with rows on simplices.
V = X.reshape(len(X), -1)
start = [rng.dirichlet(np.ones(3), len(V)), rng.dirichlet(np.ones(V.shape[1]), 3)]


def fun(blocks):
    return 0.5 * np.sum((V - blocks[0] @ blocks[1]) ** 2)


def grad(blocks, i):
    residual = blocks[0] @ blocks[1] - V
    return residual @ blocks[1].T if i == 0 else blocks[0].T @ residual


plain = bcd_pr(fun, start, grad=grad, project=project.simplex, tol=1e-5, max_iter=300)
print(f"least squares: objective {plain.objective:.2e}, {plain.message}")
