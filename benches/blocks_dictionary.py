"""Wasserstein CP dictionaries: whether planted factors come back, and how fast the duals are.

First, distances of planted parts and codes to what is found, up to order, over several problems.
Second, codes of given factors: the core against scipy's L-BFGS on the same dual in numpy (log
domain, the kernel applied a mode at a time), both to the same misplaced mass; one thread,
interleaved, processor time; the ratio's median and quartiles are printed. No peer has this
dictionary.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benches/blocks_dictionary.py [--problems 5]
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy.optimize import linear_sum_assignment, minimize
from scipy.special import logsumexp

import thalweg
from thalweg.coordinate import wasserstein_cp

GAMMA, RHO, TOL = 0.003, 0.01, 1e-3


def planted(seed: int, sizes: tuple[int, int] = (12, 10), samples: int = 20) -> Any:
    rng = np.random.default_rng(seed)

    def bumps(n: int) -> Any:
        centres = (np.array([0.2, 0.5, 0.8]) + rng.uniform(-0.05, 0.05, 3)) * n
        x = np.exp(-0.5 * (np.arange(n)[:, None] - rng.permutation(centres)) ** 2)
        return x / x.sum(axis=0)

    factors = [bumps(n) for n in sizes]
    codes = rng.dirichlet(0.4 * np.ones(3), samples)
    atoms = np.einsum("ir,jr->rij", *factors)
    return np.einsum("sr,rij->sij", codes, atoms), factors, atoms, codes


def along(z: Any, scaled: list[Any]) -> Any:
    """Logarithm of the kernel times exp(z), a mode at a time."""
    z = logsumexp(z[None, :, :] - scaled[0][:, :, None], axis=1)
    return logsumexp(z[:, None, :] - scaled[1][None, :, :], axis=2)


def codes_by_scipy(X: Any, atoms: Any) -> Any:
    grids = [np.arange(n) / (n - 1) for n in X.shape[1:]]
    scaled = [(grid[:, None] - grid) ** 2 / GAMMA for grid in grids]
    flat = atoms.reshape(len(atoms), -1)
    codes = []
    for x in X:
        log_x = np.log(x)

        def dual(g: Any, x: Any = x, log_x: Any = log_x) -> Any:
            a = g.reshape(x.shape) / GAMMA
            ratio = log_x - along(a, scaled)
            q = np.exp(a + along(ratio, [c.T for c in scaled]))
            z = -flat @ g / RHO
            code = np.exp(z - logsumexp(z))
            value = -GAMMA * np.sum(x * ratio) + RHO * logsumexp(z)
            return value, q.ravel() - code @ flat, code

        found = minimize(
            lambda g, dual=dual: dual(g)[:2],
            np.zeros(x.size),
            jac=True,
            method="L-BFGS-B",
            options={"gtol": 1e-12, "ftol": 0.0, "maxiter": 2000, "maxcor": 12, "maxfun": 4000},
            callback=_until(dual),
        )
        codes.append(dual(found.x)[2])
    return np.array(codes)


def _until(dual: Any) -> Any:
    def stop(intermediate_result: Any) -> None:
        if np.abs(dual(intermediate_result.x)[1]).sum() <= TOL:
            raise StopIteration

    return stop


def recovery(problems: int) -> None:
    for seed in range(problems):
        X, _, atoms, codes = planted(seed)
        start = time.process_time()
        found = wasserstein_cp(X, 3, gamma=GAMMA, max_iter=40, seed=seed)
        spent = time.process_time() - start
        apart = np.abs(found.atoms()[:, None] - atoms).sum(axis=(2, 3)) / 2
        ours, theirs = linear_sum_assignment(apart)
        worst = np.abs(found.codes[:, ours] - codes[:, theirs]).max()
        print(
            f"problem {seed}: parts within {apart[ours, theirs].max():.3f} (total variation), "
            f"codes within {worst:.3f}, {found.n_iter} sweeps, {found.status}, {spent:.1f} s"
        )


def speed(rounds: int) -> None:
    X, factors, atoms, _ = planted(0, samples=3)
    ratios, apart = [], 0.0
    for _ in range(rounds):
        start = time.process_time()
        # tau = 0: one sweep is the whole solve, and the second confirms it.
        ours = wasserstein_cp(
            X,
            3,
            gamma=GAMMA,
            rho=RHO,
            tau=0.0,
            factors=factors,
            update_factors=False,
            inner_tol=TOL,
            inner_max_iter=2000,
        )
        middle = time.process_time()
        theirs = codes_by_scipy(X, atoms)
        ratios.append((middle - start) / (time.process_time() - middle))
        apart = max(apart, float(np.abs(ours.codes - theirs).max()))
    low, middle_ratio, high = np.percentile(ratios, [25, 50, 75])
    print(f"codes, time over numpy and scipy: {middle_ratio:.4f} [{low:.4f}, {high:.4f}]")
    print(f"largest difference of codes {apart:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--problems", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    thalweg.set_num_threads(1)
    recovery(arguments.problems)
    speed(arguments.rounds)


if __name__ == "__main__":
    main()
