"""Optimizer steps on numpy arrays: no torch anywhere.

Logistic regression with gradients by hand; the arrays are changed in place. Runs in a second.
"""

import sys

import numpy as np

from thalweg import steps


def main():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2000, 20))
    truth = rng.standard_normal(20)
    y = (x @ truth + 0.3 > 0).astype(float)

    accuracies = {}
    for rule in (steps.AdamW(lr=0.05), steps.Lion(lr=0.01), steps.DiffGrad(lr=0.05)):
        weights, bias = np.zeros(20), np.zeros(1)
        for _ in range(200):
            chance = 1.0 / (1.0 + np.exp(-(x @ weights + bias)))
            error = (chance - y) / len(y)
            rule.step([weights, bias], [x.T @ error, error.sum(keepdims=True)])
        accuracies[type(rule).__name__] = ((x @ weights + bias > 0) == (y > 0.5)).mean()

    for name, accuracy in accuracies.items():
        print(f"{name:<9} {accuracy:.3f} right")
    assert "torch" not in sys.modules
    return 0 if min(accuracies.values()) > 0.95 else 1


if __name__ == "__main__":
    sys.exit(main())
