"""Budgets, shares and errors of tables in plain numpy, written from the definitions."""

import numpy as np


def delta(rho, epsilon):
    """The conversion of Canonne, Kamath and Steinke on a fine grid of alpha."""
    alpha = 1 + np.geomspace(1e-4, 1e5, 400_001)
    exponent = (alpha - 1) * (alpha * rho - epsilon) + alpha * np.log1p(-1 / alpha)
    return np.exp((exponent - np.log(alpha - 1)).min())


def rho(epsilon, delta_):
    """The largest rho, by halving."""
    low, high = 0.0, epsilon + 1
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if delta(middle, epsilon) <= delta_ else (low, middle)
    return low


def shares(table, columns, domain, edges):
    """Shares of rows in the cells of a marginal, counted row by row."""
    codes = []
    for name in columns:
        if name in edges:
            inner = np.asarray(edges[name])[1:-1]
            codes.append([int((inner <= value).sum()) for value in table[name]])
        else:
            codes.append([list(domain[name].values).index(value) for value in table[name]])
    sizes = [
        len(edges[name]) - 1 if name in edges else len(domain[name].values) for name in columns
    ]
    out = np.zeros(sizes)
    for cell in zip(*codes):
        out[cell] += 1
    return out / len(codes[0])


def cost(search, domain):
    """Sum of squared differences between the table of a search and what it measured."""
    found = [
        shares(search.table_, columns, domain, search.edges_) - measured
        for columns, measured in search.measured_.items()
    ]
    return sum((difference**2).sum() for difference in found)
