"""Networks on MNIST itself: exact probes, and what a few seconds of training reach.

The files are looked for in the folder THALWEG_MNIST names, else in ../shared/data/mnist; without
them these tests are skipped.
"""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from thalweg.search.objectives import Attention, Dense, Network, Routed, shifted

FOLDER = Path(
    os.environ.get("THALWEG_MNIST", Path(__file__).parents[4] / "shared" / "data" / "mnist")
)
pytestmark = pytest.mark.skipif(
    not (FOLDER / "train-images-idx3-ubyte.gz").is_file(), reason="MNIST is not here"
)
LIF = {"beta": 0.95, "threshold": 1.0, "steps": 15}


def read(part):
    packed = gzip.decompress((FOLDER / f"{part}-images-idx3-ubyte.gz").read_bytes())
    images = np.frombuffer(packed, np.uint8, offset=16).reshape(-1, 784).astype(np.float32)
    packed = gzip.decompress((FOLDER / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    return (images / 255 - 0.1307) / 0.3081, np.frombuffer(packed, np.uint8, offset=8)


@pytest.fixture(scope="module")
def mnist():
    return read("train"), read("t10k")


def spiking(rng):
    return [
        Dense.random(784, 128, "lif", rng=rng, **LIF),
        Dense.random(128, 10, "lif", rng=rng, bias=0.2, **LIF),
    ]


def mlp(rng):
    return [Dense.random(784, 128, rng=rng), Dense.random(128, 10, "linear", rng=rng)]


def staircase(rng):
    return [
        Dense.random(784, 128, "staircase", rng=rng),
        Dense.random(128, 128, "staircase", rng=rng),
        Dense.random(128, 10, "linear", rng=rng),
    ]


def int8(rng):
    return [
        Dense.random(784, 128, rng=rng),
        Dense.random(128, 128, rng=rng, scale=0.01),
        Dense.random(128, 10, "linear", rng=rng),
    ]


def attention(rng):
    return [
        Dense.random(784, 128, rng=rng),
        Attention.random(128, 8, rng=rng),
        Dense.random(128, 10, "linear", rng=rng),
    ]


def routed(rng):
    return [
        Dense.random(784, 128, rng=rng),
        Routed.random(128, 128, 128, 4, rng=rng),
        Dense.random(128, 10, "linear", rng=rng),
    ]


# Least accuracy after the samples given, well below what a seed reaches: they are few, to be quick.
CASES = [
    (spiking, 55_000, 0.91),
    (mlp, 20_000, 0.88),
    (staircase, 10_000, 0.60),
    (int8, 5_000, 0.45),
    (attention, 5_000, 0.45),
    (routed, 1_024, 0.20),
]


@pytest.mark.parametrize(
    ("build", "samples", "least"), CASES, ids=lambda c: getattr(c, "__name__", "")
)
def test_one_epoch(mnist, build, samples, least):
    (X, y), (Xt, yt) = mnist
    network = Network(build(np.random.default_rng(0)))
    before = network.accuracy(Xt, yt)
    out = network.train(X[:samples], y[:samples], epochs=1, seed=0, augment=shifted(28))
    assert out.evaluations > 0
    assert network.accuracy(Xt, yt) > max(least, before + 0.05)
    exact(network, X[:256], y[:256])


def exact(network, X, y):
    """Probes are cost differences of full forward passes, to 1e-5, trained weights included."""
    rng, theta, start = np.random.default_rng(1), network.theta, 0
    f, base = network.objective(X, y), network.evaluate(X, y)
    for index, matrix in enumerate(network.matrices):
        o, i = np.shape(matrix.weights)
        u = rng.normal(size=(1, i + 1)).astype(np.float32) * 0.2 / np.sqrt(i)
        costs = network.probe(X, y, index, u)
        for unit in rng.integers(0, o, 5):
            for sign, cost in zip((1, -1), costs[unit], strict=True):
                moved = theta.copy()
                moved[start + unit * i : start + (unit + 1) * i] += sign * u[0, :-1]
                moved[start + o * i + unit] += sign * u[0, -1]
                assert f(moved) - base == pytest.approx(cost, abs=1e-5)
        start += o * (i + 1)
