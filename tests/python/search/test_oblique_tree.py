"""Oblique trees: they fit what hyperplanes separate, follow the seed, refuse bad input."""

import os
import signal
import threading

import numpy as np
import pytest

import thalweg
from thalweg.search.objectives import ObliqueTree


def checkerboard(n, rng, cells=3):
    X = rng.uniform(0, cells, (n, 2))
    return X - cells / 2, (X.astype(int).sum(1) % 2)


def test_fits_an_oblique_boundary_that_needs_many_axis_parallel_splits():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3))
    y = np.where(X @ [1.0, -2.0, 0.5] + 0.3 > 0, "up", "down")
    tree = ObliqueTree(depth=1).fit(X, y)
    assert tree.train_error_ < 0.01
    fresh = rng.normal(size=(600, 3))
    assert tree.score(fresh, np.where(fresh @ [1.0, -2.0, 0.5] + 0.3 > 0, "up", "down")) > 0.97


def test_fits_a_checkerboard():
    rng = np.random.default_rng(1)
    X, y = checkerboard(1500, rng)
    tree = ObliqueTree(depth=4, seed=1).fit(X, y)
    assert tree.score(X, y) == pytest.approx(1 - tree.train_error_, abs=1e-12)
    assert tree.train_error_ < 0.15
    assert tree.n_evaluations_ == 4 * 300 * 32 * 15


def test_is_a_function_of_the_seed_for_any_number_of_threads():
    X, y = checkerboard(300, np.random.default_rng(2))
    runs = []
    for threads in (1, 2, 5):
        thalweg.set_num_threads(threads)
        runs.append(ObliqueTree(depth=3, steps=30, seed=7).fit(X, y).splits_.tobytes())
    thalweg.set_num_threads(0)
    assert runs[0] == runs[1] == runs[2]
    assert ObliqueTree(depth=3, steps=30, seed=8).fit(X, y).splits_.tobytes() != runs[0]


def test_a_single_class_and_a_single_sample():
    assert ObliqueTree(depth=2, steps=3).fit([[1.0, 2.0]], ["a"]).predict([[0.0, 0.0]]) == ["a"]


@pytest.mark.parametrize(
    ("settings", "X", "y", "match"),
    [
        ({"depth": 13}, [[0.0]], [0], "depth must be in"),
        ({"depth": 0}, [[0.0]], [0], "depth must be in"),
        ({}, [[np.nan]], [0], "NaN or infinity"),
        ({}, [[0.0]], [0, 1], "does not match X"),
        ({}, [0.0], [0], "reshape"),
    ],
)
def test_refuses_bad_data(settings, X, y, match):
    with pytest.raises(ValueError, match=match):
        ObliqueTree(**settings).fit(X, y)


@pytest.mark.parametrize(
    "settings", [{"steps": 0}, {"directions": 0}, {"probe_radius": 0.0}, {"decay": 2.0}]
)
def test_refuses_bad_settings(settings):
    with pytest.raises(ValueError, match="must be"):
        ObliqueTree(**settings)


def test_ctrl_c_keeps_the_best_tree():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 10))
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    tree = ObliqueTree(5, steps=100_000).fit(X, y)
    timer.cancel()
    assert tree.interrupted_
    assert tree.n_evaluations_ > 0
    assert tree.score(X, y) == pytest.approx(1 - tree.train_error_)
