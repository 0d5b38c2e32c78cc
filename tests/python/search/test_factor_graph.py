"""FactorGraph against its definition, by brute force over every assignment."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import thalweg
from thalweg.search.objectives import FactorGraph

VALUES = (2, 3, 2, 2)
EVERY = list(itertools.product(*(range(k) for k in VALUES)))


def oracle(tables, weights, z):
    """Cost by the definition."""
    a, b, c, d = z
    spin = [2 * v - 1 for v in z]
    return (
        tables[0][a][b]
        + tables[1][b][c]
        + tables[2][b][d]
        + weights[0] * ((a + b + c) % 2 != 1)
        + weights[1] * (not a == c == d)
        + weights[2] * ((b == c) + (b == d) + (c == d))
        + weights[3] * (a + b + d - 2) ** 2
        + weights[0] * spin[0] * spin[2]
        - weights[1] * spin[2] * spin[3]
    )


@given(
    st.lists(st.integers(-9, 9), min_size=18, max_size=18),
    st.lists(st.integers(-9, 9), min_size=4, max_size=4),
    st.sampled_from(EVERY),
)
@settings(deadline=None, max_examples=40)
def test_costs_and_probes_equal_the_definition(entries, weights, start):
    flat = np.reshape(entries, (3, 3, 2))
    # The first table has variable 0 as its first axis: shape (2, 3).
    tables = [flat[0].T, flat[1], flat[2]]
    graph = FactorGraph(4, VALUES)
    graph.add_table([[0, 1]], tables[0])
    graph.add_table([[1, 2], [1, 3]], np.stack(tables[1:]))
    graph.add("parity", [[0, 1, 2]], weight=weights[0], target=1)
    graph.add("equal", [[0, 2, 3]], weight=weights[1])
    graph.add("different", [[1, 2, 3]], weight=weights[2])
    graph.add("count", [[0, 1, 3]], weight=weights[3], target=2)
    graph.add("spin", [[0, 2], [2, 3]], weight=[weights[0], -weights[1]])
    costs = [oracle(tables, weights, z) for z in EVERY]
    assert [graph.evaluate(z) for z in EVERY] == costs
    base = oracle(tables, weights, start)
    changed = [[v for v in range(4) if z[v] != start[v]] for z in EVERY]
    new = [[z[v] for v in row] for z, row in zip(EVERY, changed, strict=True)]
    assert graph.probe(start, changed, new).tolist() == [cost - base for cost in costs]
    state = graph.state(start)
    for z in EVERY[::5]:
        state.set(np.arange(4), z)
        assert state.cost == oracle(tables, weights, z)
        assert state.assignment.tolist() == list(z)


def ring(n, colours):
    graph = FactorGraph(n, colours)
    graph.add("different", [[i, (i + 1) % n] for i in range(n)])
    return graph


def test_polystep_colours_a_ring_and_is_independent_of_threads():
    graph = ring(300, 3)
    runs = []
    for threads in (1, 2, 7):
        thalweg.set_num_threads(threads)
        runs.append(graph.polystep(300, seed=1))
    thalweg.set_num_threads(0)
    assert all((run.x == runs[0].x).all() and run.fun == runs[0].fun for run in runs)
    assert graph.evaluate(runs[0].x) == runs[0].fun <= 8
    assert (runs[0].nit, runs[0].nfev) == (300, 300 * 2 * 900)
    assert (graph.polystep(0, x0=runs[0].x).x == runs[0].x).all()


def test_a_planted_spin_glass_is_found():
    rng = np.random.default_rng(0)
    planted = rng.integers(0, 2, 200)
    edges = np.array([rng.choice(200, 2, replace=False) for _ in range(1000)])
    signs = (2 * planted[edges[:, 0]] - 1) * (2 * planted[edges[:, 1]] - 1)
    graph = FactorGraph(200)
    graph.add("spin", edges, weight=-signs)
    assert graph.evaluate(planted) == -1000
    assert graph.polystep(500).fun == -1000


def test_callbacks_stop():
    heard = []
    run = ring(3000, 3).polystep(100_000, callback=lambda step, best: heard.append(best) or True)
    assert (run.status, len(heard)) == (3, 1)


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (ValueError, r"values\[0\] must be in \[1", lambda g: FactorGraph(2, 0)),
        (ValueError, r"values of shape \(3,\)", lambda g: FactorGraph(2, [2, 2, 2])),
        (TypeError, r"values must be integers", lambda g: FactorGraph(2, 2.5)),
        (ValueError, r"table of shape \(2, 2\)", lambda g: g.add_table([[0, 1]], np.ones((2, 2)))),
        (ValueError, r"table of shape \(3, 2\)", lambda g: g.add_table([[0, 1]], np.ones((3, 2)))),
        (ValueError, r"scopes must be variables below 4", lambda g: g.add_table([[4]], [1, 2])),
        (ValueError, r"table holds NaN", lambda g: g.add_table([[0]], [0, np.nan])),
        (ValueError, r"scopes must be of shape", lambda g: g.add("equal", [0, 1])),
        (ValueError, r"got 0 twice", lambda g: g.add("equal", [[0, 0]])),
        (ValueError, r"kind must be parity", lambda g: g.add("xor", [[0, 1]])),
        (ValueError, r"target must be 0 or 1", lambda g: g.add("parity", [[0]], target=2)),
        (ValueError, r"weight of shape \(2,\)", lambda g: g.add("equal", [[0, 2]], weight=[1, 2])),
        (ValueError, r"two values for spin", lambda g: g.add("spin", [[0, 1]])),
        (ValueError, r"variable 1 must be below 3", lambda g: g.evaluate([0, 3, 0, 0])),
        (ValueError, r"integers from 0", lambda g: g.evaluate([0, -1, 0, 0])),
        (ValueError, r"assignment of shape \(1,\)", lambda g: g.evaluate([0])),
        (ValueError, r"as many as variables", lambda g: g.probe([0] * 4, [[1]], [[0, 0]])),
        (ValueError, r"variables must be below 4", lambda g: g.probe([0] * 4, [[4]], [[0]])),
        (ValueError, r"max_steps must be given", lambda g: g.polystep()),
    ],
)
def test_refusals(error, message, call):
    graph = FactorGraph(4, VALUES)
    with pytest.raises(error, match=message):
        call(graph)
    assert graph.terms == 0
