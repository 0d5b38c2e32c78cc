"""Recover a binary vector from fewer equations than unknowns, without knowing its scale.

A Cauchy-Schwarz regulariser is minimised by gradient steps, each projected onto the equations
A x = b; the peer is the point of smallest largest entry, the usual convex choice
(here by the same iteration on the linf ball's proximal map). Taner, Wang, Studer 2025,
arXiv:2503.01639. Runs in a few seconds.
"""

import numpy as np

import thalweg.project as pr
from thalweg.project import cauchy_schwarz as cs

N, TRIALS = 64, 10


def problem(seed, equations):
    rng = np.random.default_rng(seed)
    x = 0.7 * rng.choice([-1.0, 1.0], N)
    A = rng.standard_normal((equations, N))
    return A, A @ x, x


def regularised(A, b, starts=8, steps=2000):
    """Best of several starts side by side, as a batch."""
    rng = np.random.default_rng(0)
    x = pr.affine(rng.standard_normal((starts, N)), A, b)
    for _ in range(steps):
        _, slope = cs.value_and_gradient("binary", x)
        # The largest curvature of the regulariser is 12 N max x^2.
        x = pr.affine(x - slope / (12 * N * (x**2).max(1, keepdims=True)), A, b)
    return x[np.argmin(cs.binary_scale_invariant(x))]


def smallest_entry(A, b, steps=1000):
    """Minimise max |x| over A x = b, by Douglas-Rachford."""
    z = pr.affine(np.zeros(N), A, b)
    for _ in range(steps):
        x = pr.affine(z, A, b)
        z += pr.prox.linf(2 * x - z, 1.0) - x
    return pr.affine(z, A, b)


def main():
    print(f"{N} unknowns, {TRIALS} trials: how often every sign is right")
    print("equations   Cauchy-Schwarz   smallest largest entry")
    for equations in (24, 32, 40):
        hits = np.zeros(2, int)
        for seed in range(TRIALS):
            A, b, x = problem(seed, equations)
            for k, solve in enumerate((regularised, smallest_entry)):
                hits[k] += (np.sign(solve(A, b)) == np.sign(x)).all()
        print(f"{equations:9d} {hits[0]:13d}/{TRIALS} {hits[1]:21d}/{TRIALS}")


if __name__ == "__main__":
    main()
