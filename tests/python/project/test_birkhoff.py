"""Couplings in the Euclidean norm: an independent solver, certificates, degenerate input."""

import numpy as np
import pytest

import thalweg.project as pr

scipy = pytest.importorskip("scipy.optimize")


def shift(z, mass):
    """What to add to the rows of z so that their positive parts sum to mass, by sorting."""
    falling = -np.sort(-z, 1)
    taus = (np.cumsum(falling, 1) - mass[:, None]) / np.arange(1, z.shape[1] + 1)
    last = (falling > taus).sum(1) - 1
    return -taus[np.arange(len(z)), last]


def alternating(x, a, b, rounds=60000):
    """Exact projections of rows and columns in the dual, in turn, to the last bits."""
    g = np.zeros(len(b))
    for _ in range(rounds):
        f = shift(x + g, a)
        new = shift((x + f[:, None]).T, b)
        moved, g = np.abs(new - g).max(), new
        if moved <= 1e-15 * max(1.0, np.abs(x).max()):
            break
    return np.maximum(x + f[:, None] + g, 0)


def inputs(n, rng):
    perm = np.eye(n)[rng.permutation(n)]
    ties = rng.integers(-1, 2, (n, n)).astype(float)
    same = np.repeat(rng.standard_normal((1, n)), n, 0)
    return {
        "random": rng.standard_normal((n, n)),
        "small": 1e-3 * rng.standard_normal((n, n)),
        "ties": ties,
        "constant": np.full((n, n), 3.7),
        "equal rows": same,
        "permutation": perm,
        "near a vertex": perm + 1e-9 * rng.standard_normal((n, n)),
        "inside": np.full((n, n), 1 / n) + 1e-4 * rng.standard_normal((n, n)),
        "rank one": np.outer(rng.standard_normal(n), rng.standard_normal(n)),
        "blocks": np.kron(np.eye(2), np.ones((n // 2, n // 2))) * 5,
    }


@pytest.mark.parametrize("n", [2, 10, 50])
def test_agrees_with_an_independent_solver(n):
    for name, x in inputs(n, np.random.default_rng(n)).items():
        want = alternating(x, np.ones(n), np.ones(n))
        assert np.abs(pr.birkhoff(x) - want).max() <= 1e-10, name


def test_masses_of_any_size():
    rng = np.random.default_rng(1)
    for n, m in ((6, 40), (40, 6), (1, 9), (9, 1), (30, 30)):
        a, b = rng.uniform(0.1, 5, n), rng.uniform(0.1, 5, m)
        b *= a.sum() / b.sum()
        x = rng.standard_normal((n, m))
        assert np.abs(pr.transport(x, a, b) - alternating(x, a, b)).max() <= 1e-10
        some = rng.permutation(m) < max(1, m // 2)
        empty = np.where(some, b, 0.0) * b.sum() / b[some].sum()
        got = pr.transport(x, a, empty)
        assert not got[:, ~some].any()
        assert np.abs(got[:, some] - alternating(x[:, some], a, empty[some])).max() <= 1e-10


@pytest.mark.parametrize("scale", [1e-6, 1.0, 10.0, 1e3, 1e6])
def test_no_coupling_is_nearer(scale):
    """Optimal iff no vertex lies in the direction of x - P: an assignment problem decides."""
    for seed in range(20):
        x = scale * np.random.default_rng(seed).standard_normal((50, 50))
        p = pr.birkhoff(x)
        size = max(1.0, np.abs(x).max())
        assert p.min() >= 0
        assert np.abs(p.sum(0) - 1).max() <= 1e-13 * size
        assert np.abs(p.sum(1) - 1).max() <= 1e-13 * size
        rows, columns = scipy.linear_sum_assignment(p - x)
        gap = (x - p)[rows, columns].sum() - ((x - p) * p).sum()
        assert gap <= 1e-11 * size


@pytest.mark.parametrize("scale", [1e-3, 10.0, 1e3, 1e6])
def test_far_entries_and_any_masses_converge(scale):
    """Supports fall apart on the way to what is nearly a linear program; warnings are errors."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        a, b = rng.uniform(0.2, 1, 30), rng.uniform(0.2, 1, 20)
        b *= a.sum() / b.sum()
        x = scale * rng.standard_normal((30, 20))
        p = pr.transport(x, a, b)
        size = max(1.0, np.abs(x).max())
        assert np.abs(p.sum(1) - a).max() <= 1e-13 * size
        assert np.abs(p.sum(0) - b).max() <= 1e-13 * size


def test_a_batch_is_solved_in_parallel_and_as_one_by_one():
    x = np.random.default_rng(3).standard_normal((2, 9, 30, 30)).transpose(2, 0, 3, 1)
    got = pr.birkhoff(x, axes=(0, 2))
    for i in range(2):
        for j in range(9):
            one = pr.birkhoff(np.ascontiguousarray(x[:, i, :, j]))
            assert np.array_equal(got[:, i, :, j], one)
