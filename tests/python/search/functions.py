"""Functions of rows of points that searchers are measured on; all have their minimum 0."""

import numpy as np


def sphere(x):
    return (x**2).sum(axis=1)


def ellipsoid(x):
    return (x**2 * 10 ** np.linspace(0, 4, x.shape[1])).sum(axis=1)


def rosenbrock(x):
    return (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(axis=1)


def rastrigin(x):
    return (x**2 - 10 * np.cos(2 * np.pi * x) + 10).sum(axis=1)


def lowest(search, cost, evaluations):
    """The best cost within a budget."""
    while search.evaluations + search.population <= evaluations:
        search.tell(cost(search.ask()))
    return search.best.cost
