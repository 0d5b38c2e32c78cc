"""The conductivity of a rod from its temperatures, by an ensemble of guesses and no gradient.

A rod of 60 cells is heated along its length and kept at zero at both ends. Its temperatures are
measured in 30 places, with noise. What conducts how well is a smooth function, drawn as the
exponential of a Gaussian process: 200 draws of it are moved until the model says what was seen.
"""

import numpy as np

from thalweg.search import EnsembleKalman

CELLS, PLACES, NOISE = 60, 30, 0.002


def temperatures(log_conductivity):
    """Steady heat equation, finite volumes: -(k u')' = 1 with u = 0 at both ends."""
    k = np.exp(log_conductivity)
    # Conductivity between neighbours: their harmonic mean.
    between = np.concatenate([[2 * k[0]], 2 / (1 / k[1:] + 1 / k[:-1]), [2 * k[-1]]])
    matrix = np.diag(between[1:] + between[:-1])
    matrix -= np.diag(between[1:-1], 1) + np.diag(between[1:-1], -1)
    u = np.linalg.solve(matrix, np.full(CELLS, 1 / CELLS**2))
    return u[:: CELLS // PLACES]


def error(guess, truth):
    return np.sqrt(np.mean((guess - truth) ** 2))


rng = np.random.default_rng(0)
cells = np.linspace(0, 1, CELLS)
covariance = np.exp(-((cells[:, None] - cells) ** 2) / (2 * 0.15**2)) + 1e-8 * np.eye(CELLS)
root = np.linalg.cholesky(covariance)
truth = root @ rng.normal(size=CELLS)
seen = temperatures(truth) + NOISE * rng.normal(size=PLACES)

prior = rng.normal(size=(200, CELLS)) @ root.T
search = EnsembleKalman(prior, seen, noise=NOISE**2, seed=0)
print(f"error of the mean of the prior {error(prior.mean(axis=0), truth):.3f}")
for _ in range(8):
    search.tell(np.array([temperatures(x) for x in search.ask()]))
    print(
        f"step {search.step}: error {error(search.x, truth):.3f}, "
        f"squared residual a place {2 * search.best.cost / PLACES:.2f} in units of the noise"
    )
assert error(search.x, truth) < 0.5 * error(prior.mean(axis=0), truth)
