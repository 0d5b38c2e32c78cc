"""Gradient-free training of networks on MNIST: accuracy, time, evaluations a second, exactness.

python benches/search_network.py lif --seeds 1 2 3 4 5 --threads 2
python benches/search_network.py rates

MNIST is read from --data, by default ../shared/data/mnist: 55000 samples train, the last 5000 of
the training set validate, 10000 test. Accuracies are those at the end of training. Seconds are
training alone, wall and CPU; on a busy machine only the second one means something.
"""

from __future__ import annotations

import argparse
import gzip
import resource
import time
from pathlib import Path

import numpy as np

import thalweg
from thalweg.search.objectives import Attention, Dense, Layer, Network, Routed, shifted

LIF = {"beta": 0.95, "threshold": 1.0, "steps": 15}


def mnist(folder):
    def read(name, offset):
        return np.frombuffer(gzip.open(Path(folder) / name).read(), np.uint8, offset=offset)

    def images(name):
        pixels = read(name, 16).reshape(-1, 784).astype(np.float32)
        return (pixels / 255 - 0.1307) / 0.3081

    X, y = images("train-images-idx3-ubyte.gz"), read("train-labels-idx1-ubyte.gz", 8)
    test = images("t10k-images-idx3-ubyte.gz"), read("t10k-labels-idx1-ubyte.gz", 8)
    return (X[:55000], y[:55000]), (X[55000:], y[55000:]), test


def lif(rng):
    return [
        Dense.random(784, 128, "lif", rng=rng, **LIF),
        Dense.random(128, 10, "lif", rng=rng, bias=0.2, **LIF),
    ]


def mlp(rng):
    return [Dense.random(784, 128, "relu", rng=rng), Dense.random(128, 10, "linear", rng=rng)]


def staircase(rng):
    return [
        Dense.random(784, 128, "staircase", rng=rng),
        Dense.random(128, 128, "staircase", rng=rng),
        Dense.random(128, 10, "linear", rng=rng),
    ]


def int8(rng):
    return [
        Dense.random(784, 128, "relu", rng=rng),
        Dense.random(128, 128, "relu", rng=rng, scale=0.01, bits=8),
        Dense.random(128, 10, "linear", rng=rng),
    ]


def attention(rng):
    return [
        Dense.random(784, 128, "relu", rng=rng),
        Attention.random(128, 8, rng=rng),
        Dense.random(128, 10, "linear", rng=rng),
    ]


def routed(rng):
    return [
        Dense.random(784, 128, "relu", rng=rng),
        Routed.random(128, 128, 128, 4, rng=rng),
        Dense.random(128, 10, "linear", rng=rng),
    ]


TASKS = {
    "lif": (lif, 20),
    "mlp": (mlp, 12),
    "staircase": (staircase, 8),
    "int8": (int8, 6),
    "attention": (attention, 6),
    "routed": (routed, 2),
}


# Trained on images moved by up to a pixel, each epoch anew.
SHIFTED = ("lif",)


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def exactness(network, X, y, rng, count=20):
    """Largest difference of probes and full forward passes of the moved networks."""
    theta = network.theta
    f = network.objective(X, y)
    base = network.evaluate(X, y)
    worst, start = 0.0, 0
    for index, matrix in enumerate(network.matrices):
        o, i = np.shape(matrix.weights)
        u = rng.normal(size=(1, i + 1)).astype(np.float32) * 0.2 / np.sqrt(i)
        costs = network.probe(X, y, index, u)
        for unit in rng.integers(0, o, count):
            for sign, cost in zip((1, -1), costs[unit], strict=True):
                moved = theta.copy()
                moved[start + unit * i : start + (unit + 1) * i] += sign * u[0, :-1]
                moved[start + o * i + unit] += sign * u[0, -1]
                worst = max(worst, abs(f(moved) - base - cost))
        start += o * (i + 1)
    return worst


def train(task, seed, epochs, data, plan, plain):
    build, usual = TASKS[task]
    (X, y), (Xv, yv), (Xt, yt) = data
    epochs = epochs or usual
    augment = shifted(28) if task in SHIFTED and not plain else None
    network = Network(build(np.random.default_rng(seed)))
    mark = {"cpu": 0.0, "since": cpu()}

    def report(entry):
        mark["cpu"] += cpu() - mark["since"]
        test = network.accuracy(Xt, yt)
        print(
            f"{task} seed {seed} epoch {entry.epoch}: cost {entry.cost:.4f} validation "
            f"{100 * entry.validation_accuracy:.2f} test {100 * test:.2f} wall {entry.seconds:.1f} "
            f"cpu {mark['cpu']:.1f} s, {entry.evaluations / 1e6:.2f} M evaluations, "
            f"{entry.evaluations / mark['cpu'] / 1e3:.0f} K a cpu second, silent {entry.silent} "
            f"healed {entry.healed}",
            flush=True,
        )
        mark["since"] = cpu()

    network.train(
        X, y, epochs=epochs, validation=(Xv, yv), seed=seed, callback=report, plan=plan,
        augment=augment,
    )  # fmt: skip
    worst = exactness(network, X[:512], y[:512], np.random.default_rng(seed))
    print(f"{task} seed {seed}: probes against full forward passes differ by at most {worst:.1e}")
    return network.accuracy(Xt, yt)


def rates(data):
    """Evaluations a CPU second on one core, probe work and everything else of a training step."""
    (X, y), _, _ = data
    thalweg.set_num_threads(1)
    series = np.repeat(X[:2048, None], LIF["steps"], 1)
    series *= np.random.default_rng(0).random(series.shape, np.float32) < 0.5
    cases = {name: (build, X[:16384], y[:16384]) for name, (build, _) in TASKS.items()}
    cases["lif, input varying in time"] = (lif, series, y[:2048])
    for name, (build, features, labels) in cases.items():
        network = Network(build(np.random.default_rng(0)))
        limit = 4.0
        start = cpu()
        out = network.train(features, labels, epochs=100, seconds=limit)
        spent = cpu() - start
        rate = out.evaluations / spent
        print(
            f"{name}: {rate / 1e3:.0f} K evaluations a cpu second ({out.steps} steps)", flush=True
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=[*TASKS, "rates"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--data", default="../shared/data/mnist")
    parser.add_argument("--plain", action="store_true", help="no shifted images in training")
    parser.add_argument("--plan", nargs="+", help="p,rho,s[,source] for each matrix")
    options = parser.parse_args()
    thalweg.set_num_threads(options.threads)
    data = mnist(options.data)
    if options.task == "rates":
        rates(data)
        return
    plan = None
    if options.plan:
        parts = [item.split(",") for item in options.plan]
        plan = [Layer(int(p), float(rho), float(s), *rest) for p, rho, s, *rest in parts]
    start = time.perf_counter()
    test = [
        train(options.task, seed, options.epochs, data, plan, options.plain)
        for seed in options.seeds
    ]
    shares = [round(100 * t, 2) for t in test]
    print(f"{options.task}: test {shares}, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
