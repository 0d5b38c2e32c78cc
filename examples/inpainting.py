"""Ginzburg-Landau splitting: a picture with a hole, and two moons from six labels.

A step solves one linear problem whose operator never changes; momentum needs fewer of them. Runs in
a few seconds, on numpy alone.
"""

import sys

import numpy as np

from thalweg import steps


def inpaint(n=96):
    """A black disc beside a black bar; most pixels are lost, and some of the rest lie."""
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:n, :n] / n
    picture = np.where(np.hypot(row - 0.4, column - 0.35) < 0.25, 1.0, -1.0)
    picture[(column > 0.7) & (column < 0.85)] = 1.0
    known = (rng.random((n, n)) < 0.3).astype(float)
    seen = np.where(rng.random((n, n)) < 0.1, -picture, picture) * known
    counts = {}
    for momentum in (0.0, "fista"):
        method = steps.GinzburgLandau(
            (n, n), eps=1.5, lr=10.0, momentum=momentum, fidelity=1.5, mask=known, target=seen
        )
        result = method.minimize(seen, tol=1e-4)
        counts[momentum] = result.nit
        right = (np.sign(result.x) == picture).mean()
        print(f"inpainting, momentum {momentum}: {result.nit} steps, {right:.1%} of pixels right")
    return right > 0.97 and counts["fista"] < counts[0.0]


def moons(n=400):
    """Nearest neighbours make the graph; six points have labels."""
    rng = np.random.default_rng(1)
    angle, second = np.pi * rng.random(n), np.arange(n) % 2 == 1
    points = np.stack([np.cos(angle), np.sin(angle)], 1)
    points[second] = np.array([1.0, 0.5]) - points[second]
    points += 0.08 * rng.standard_normal((n, 2))
    truth = np.where(second, 1.0, -1.0)

    squares = ((points[:, None] - points) ** 2).sum(-1)
    near = np.argsort(squares, axis=1)[:, 1:11]
    weights = np.zeros((n, n))
    np.put_along_axis(weights, near, np.exp(-np.take_along_axis(squares, near, 1) / 0.05), 1)
    weights = np.maximum(weights, weights.T)
    known = np.arange(n) < 6
    method = steps.GinzburgLandau(
        np.diag(weights.sum(0)) - weights, lr=5.0, fidelity=50.0, mask=known, target=truth * known
    )
    result = method.minimize(truth * known, tol=1e-4)
    right = (np.sign(result.x) == truth).mean()
    print(f"two moons from 6 labels: {result.nit} steps, {right:.1%} right")
    return right > 0.95


if __name__ == "__main__":
    sys.exit(0 if all([inpaint(), moons()]) else 1)
