"""Projections and transport beside their peers: one process, interleaved, float64.

    python benches/project.py [--threads 1] [--only simplex ...] [--seconds 2.0]

Each line: the median of ours / peer over interleaved turns of at least 5 ms, its quartiles, the
best time of each side, and how far the results are apart. Peers that are not installed are skipped
by name.
"""

import argparse
import os
import time
import warnings

os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import thalweg
import thalweg.project as pr


def sort_simplex(x):
    u = np.sort(x)[::-1]
    taus = (np.cumsum(u) - 1) / np.arange(1, len(x) + 1)
    k = np.flatnonzero(u > taus)[-1]
    return np.maximum(x - taus[k], 0)


def jax_with_double():
    import jax

    jax.config.update("jax_enable_x64", True)
    import jaxopt.projection

    return jax, jaxopt.projection


def simplex(rng):
    x = rng.standard_normal(10**6)
    return lambda: pr.simplex(x), lambda: sort_simplex(x), 0.15


def batched_simplex(rng):
    jax, peer = jax_with_double()
    x = rng.standard_normal((10000, 100))
    y = jax.numpy.asarray(x)
    each = jax.jit(jax.vmap(peer.projection_simplex))
    return lambda: pr.simplex(x), lambda: np.asarray(each(y).block_until_ready()), 0.05


def isotonic(rng):
    from sklearn.isotonic import isotonic_regression

    x = rng.standard_normal(10**6) + np.linspace(0, 3, 10**6)
    return lambda: pr.isotonic(x), lambda: isotonic_regression(x), 0.6


def tv1d(rng):
    import pyproximal

    x = np.repeat(rng.standard_normal(100), 100) + 0.3 * rng.standard_normal(10**4)
    peer = pyproximal.TV((10**4,), sigma=1.0, niter=1000, rtol=1e-10)
    return lambda: pr.prox.tv1d(x, 1.0), lambda: peer.prox(x, 1.0), 0.02


def costs(rng, n):
    x, y = rng.standard_normal((n, 2)), rng.standard_normal((n, 2)) + 0.5
    return ((x[:, None] - y) ** 2).sum(-1)


def sinkhorn(rng):
    import ot

    n, tol = 1000, 1e-9
    C = costs(rng, n)
    mass = np.full(n, 1 / n)
    eps = 0.05 * np.median(C)

    def peer():  # its criterion is the Euclidean length of the error of one marginal
        return ot.sinkhorn(
            mass, mass, C, eps, method="sinkhorn_log", stopThr=tol / np.sqrt(n), numItermax=10**5
        )

    return lambda: pr.sinkhorn(C, eps=eps, tol=tol).plan, peer, 0.5


def newton_sparse(rng):
    n, tol = 1000, 1e-10
    C = costs(rng, n)
    eps = 0.01 * np.median(C)
    ours = lambda: pr.sinkhorn(C, eps=eps, method="newton_sparse", tol=tol).plan  # noqa: E731
    return ours, lambda: pr.sinkhorn(C, eps=eps, tol=tol, max_iter=10**5).plan, 0.2


def birkhoff(rng):
    # The peer stops at a gradient of 1e-3: its marginals are off by as much as the results differ.
    jax, peer = jax_with_double()
    x = rng.standard_normal((50, 50))
    y = jax.numpy.asarray(x)
    function = jax.jit(peer.projection_birkhoff)
    return lambda: pr.birkhoff(x), lambda: np.asarray(function(y).block_until_ready()), 0.05


CASES = [simplex, batched_simplex, isotonic, tv1d, sinkhorn, newton_sparse, birkhoff]


TURN = 5e-3


def timed(function, calls):
    """Seconds a call."""
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def compare(ours, peer, seconds):
    apart = np.abs(ours() - peer()).max()
    sides = ours, peer
    # A turn of a quick function is several calls: after the other side's turn the first is cold.
    calls = [max(1, round(TURN / timed(side, 1))) for side in sides]
    found = []
    end = time.perf_counter() + seconds
    while len(found) < 3 or (time.perf_counter() < end and len(found) < 100):
        order = (0, 1) if len(found) % 2 else (1, 0)
        times = [0.0, 0.0]
        for side in order:
            times[side] = timed(sides[side], calls[side])
        found.append(times)
    times = np.array(found)
    ratio = np.percentile(times[:, 0] / times[:, 1], [50, 25, 75])
    return ratio, times.min(0) * 1e3, len(found), apart


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=None)
    parser.add_argument("--seconds", type=float, default=2.0)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    thalweg.set_num_threads(args.threads)
    print(f"numpy {np.__version__}, thalweg {thalweg.__version__}, {args.threads} thread(s)")
    print(
        f"{'':16s} {'ratio':>7s} {'quartiles':>15s} {'limit':>6s} {'ours ms':>9s} {'peer ms':>9s}"
    )
    for case in CASES:
        if args.only and case.__name__ not in args.only:
            continue
        try:
            ours, peer, limit = case(np.random.default_rng(0))
        except ImportError as error:
            print(f"{case.__name__:16s} {error.name} is not installed; skipped")
            continue
        ratio, best, n, apart = compare(ours, peer, args.seconds)
        print(
            f"{case.__name__:16s} {ratio[0]:7.4f} {f'{ratio[1]:.4f}..{ratio[2]:.4f}':>15s}"
            f" {limit:6.2f} {best[0]:9.3f} {best[1]:9.3f}  n={n} apart={apart:.1e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
