"""TOPO next to its published code, on random graphs, in one process.

git clone https://github.com/Duntrain/TOPO
python benches/blocks_topo.py --peer TOPO
python benches/blocks_topo.py --peer TOPO --sizes 100 --samples 200

Both start from the same random order of the same data, with the same sizes of the candidate sets
(by default those of the published demonstration, scaled: 3 d and 13 d, at most all pairs; above 20
nodes 10 and 30, for the sake of the published code), and run in turn. Prints for every graph both
scores, that of the default sizes (all pairs), and the ratio of times; then its quartiles.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import sys
import time
from pathlib import Path

import numpy as np

from thalweg.coordinate import topo


def load(folder, file, name):
    spec = importlib.util.spec_from_file_location(name, Path(folder) / file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def graph(rng, d, n, edges=4):
    """Data of a random graph with `edges` edges a node, unit normal noise."""
    W = np.triu(rng.uniform(0.5, 2, (d, d)) * rng.choice([-1, 1], (d, d)), 1)
    W *= rng.random((d, d)) < min(1, 2 * edges / (d - 1))
    X = rng.standard_normal((n, d))
    for j in range(d):
        X[:, j] += X @ W[:, j]
    return X[:, rng.permutation(d)]


def published(peer, X, order, small, large):
    from sklearn.linear_model import LinearRegression

    def regress(X, y):
        return LinearRegression(fit_intercept=False).fit(X, y).coef_

    def score(X, W):
        R = X - X @ W
        return 0.5 / len(X) * (R**2).sum(), -X.T @ R / len(X)

    peer.X = X  # the class reads a global of its module
    with contextlib.redirect_stdout(io.StringIO()):
        search = peer.TOPO_linear(score=score, regress=regress)
        _, found, _, value = search.fit(X, list(order), 1, small, large)
    return [int(node) for node in found], value


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peer", required=True, help="folder of the published code")
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=[10] * 8 + [20] * 4 + [30] * 3 + [50] * 3 + [100] * 2,
    )
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--size-small", type=int)
    parser.add_argument("--size-large", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    load(options.peer, "Topo_utils.py", "topo_utils")
    peer = load(options.peer, "Topo_linear.py", "topo_linear")
    ratios, worse = [], 0
    for k, d in enumerate(options.sizes):
        rng = np.random.default_rng([options.seed, k])
        X = graph(rng, d, options.samples)
        order, pairs = rng.permutation(d), d * (d - 1) // 2
        small = min(options.size_small or (3 * d if d <= 20 else 10), pairs)
        large = min(options.size_large or (13 * d if d <= 20 else 30), pairs)
        start = time.perf_counter()
        _, value = published(peer, X, order, small, large)
        theirs = time.perf_counter() - start
        sizes = {"size_small": small, "size_large": large}
        times = []
        for _ in range(5):
            start = time.perf_counter()
            ours = topo(X, order=order, fit_intercept=False, **sizes)
            times.append(time.perf_counter() - start)
        default = topo(X, order=order, fit_intercept=False)
        ratios.append(theirs / np.median(times))
        worse += ours.score > value * (1 + 1e-9)
        print(
            f"d {d:3d}  published {value:.6f} in {theirs:7.2f} s  "
            f"ours {ours.score:.6f}, all pairs {default.score:.6f}  {ratios[-1]:6.0f} times faster",
            flush=True,
        )
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    print(f"{len(ratios)} graphs, {worse} with a worse score than the published code")
    print(f"times faster: median {middle:.0f}, quartiles {low:.0f} and {high:.0f}")
    print(f"least {min(ratios):.0f}")


if __name__ == "__main__":
    main()
