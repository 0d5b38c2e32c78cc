"""MAX-SAT by shaders, against counting clause by clause in Python integers."""

import pickle

import numpy as np
import pytest
from gpu.adapter import gpu
from hypothesis import given, settings
from hypothesis import strategies as st

from thalweg.search import minimize, objectives


def cost(clauses, weights, values):
    """Weight of the clauses that no literal satisfies."""
    return sum(
        weight
        for clause, weight in zip(clauses, weights)
        if not any(values[abs(literal) - 1] == (literal > 0) for literal in clause)
    )


@st.composite
def problems(draw):
    n = draw(st.integers(1, 40))
    literal = st.integers(1, n).flatmap(lambda v: st.sampled_from([v, -v]))
    width = draw(st.sampled_from([None, 1, 2, 3]))
    lengths = (0, 6) if width is None else (width, width)
    clauses = draw(
        st.lists(st.lists(literal, min_size=lengths[0], max_size=lengths[1]), max_size=60)
    )
    heaviest = draw(st.sampled_from([1, 2**33, 2**50]))
    weights = [draw(st.integers(1, heaviest)) for _ in clauses]
    seed = draw(st.integers(0, 2**32))
    return n, clauses, weights, np.random.default_rng(seed)


@settings(max_examples=60, deadline=None)
@given(problems())
def test_costs_gains_and_probes_are_those_of_counting(drawn):
    n, clauses, weights, rng = drawn
    problem = gpu.MaxSat(objectives.MaxSat(clauses, np.array(weights, np.int64), variables=n))
    rows = rng.integers(0, 2, (3, n)).astype(bool)
    want = [cost(clauses, weights, row) for row in rows]
    assert problem.evaluate(rows).tolist() == want
    assert problem.evaluate(rows[0]) == want[0]
    assert problem(np.where(rows, 0.5, -2.0)).tolist() == want

    def after(flips):
        turned = rows[0].copy()
        turned[flips] ^= True
        return cost(clauses, weights, turned) - want[0]

    assert problem.flip_gains(rows[0]).tolist() == [after([v]) for v in range(n)]
    probes = [rng.choice(n, rng.integers(0, min(n, 6) + 1), replace=False) for _ in range(9)]
    assert problem.probe(rows[0], probes).tolist() == [after(flips) for flips in probes]


def test_hard_clauses_outweigh_all_soft_ones():
    rng = np.random.default_rng(1)
    clauses = rng.integers(1, 31, (200, 3)) * rng.choice([-1, 1], (200, 3))
    hard = rng.random(200) < 0.2
    cpu = objectives.MaxSat(clauses, rng.integers(1, 2**40, 200), hard=hard)
    rows = rng.integers(0, 2, (70, 30)).astype(bool)
    costs = gpu.MaxSat(cpu).evaluate(rows)
    assert costs.max() > 2**45
    assert costs.tolist() == cpu.evaluate(rows).tolist()


def test_many_clauses_take_several_workgroups():
    cpu = objectives.MaxSat.random(2500, seed=3)
    problem = gpu.MaxSat(cpu)
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 2, (5, 2500)).astype(bool)
    assert problem.evaluate(rows).tolist() == cpu.evaluate(rows).tolist()
    assert (problem.flip_gains(rows[0]) == cpu.flip_gains(rows[0])).all()
    pairs = rng.permutation(2500).reshape(-1, 2)
    assert (problem.probe(rows[0], pairs) == cpu.probe(rows[0], pairs)).all()


@pytest.mark.parametrize("clauses", [[], [[]], [[1, -1]]])
def test_without_clauses_that_can_fail_or_hold(clauses):
    cpu = objectives.MaxSat(clauses, variables=2)
    problem = gpu.MaxSat(cpu)
    assert problem.evaluate([[0, 1], [1, 1]]).tolist() == [cpu.evaluate([0, 1])] * 2
    assert problem.flip_gains([0, 1]).tolist() == [0, 0]
    assert problem.probe([0, 1], [[0, 1]]).tolist() == [0]
    nothing = gpu.MaxSat(objectives.MaxSat([]))
    assert nothing.evaluate(np.zeros((3, 0), bool)).tolist() == [0, 0, 0]
    assert nothing.flip_gains(np.zeros(0, bool)).tolist() == []


def test_small_buffers_give_the_same():
    cpu = objectives.MaxSat.random(300, seed=2)
    small = gpu.MaxSat(cpu, max_binding=16384)
    rows = np.random.default_rng(0).integers(0, 2, (900, 300)).astype(bool)
    assert small.evaluate(rows).tolist() == cpu.evaluate(rows).tolist()


def test_searchers_take_it_as_they_take_the_cpu():
    cpu = objectives.MaxSat.random(30, seed=4)
    x0 = np.random.default_rng(0).normal(0, 0.1, 30)
    runs = [
        minimize(fun, x0, method="polystep", vectorized=True, seed=1, maxiter=15)
        for fun in (cpu, gpu.MaxSat(cpu))
    ]
    assert runs[0].fun == runs[1].fun < cpu(x0)
    assert (runs[0].x == runs[1].x).all()


def test_it_pickles():
    problem = pickle.loads(pickle.dumps(gpu.MaxSat(objectives.MaxSat.random(9, seed=0))))
    assert problem.evaluate(np.ones(9, bool)) == problem.problem.evaluate(np.ones(9, bool))
    assert "9 variables" in repr(problem)


def test_refusals_leave_the_arrays_alone():
    cpu = objectives.MaxSat.random(2000, seed=0)
    with pytest.raises(TypeError, match=r"must be a thalweg\.search\.objectives\.MaxSat, got list"):
        gpu.MaxSat([[1, 2]])
    with pytest.raises(ValueError, match=r"the literals must be at most 4096 bytes .* got 102"):
        gpu.MaxSat(cpu, max_binding=4096)
    with pytest.raises(ValueError, match="must be the number or a part of the name"):
        gpu.MaxSat(cpu, adapter="no such card")
    problem = gpu.MaxSat(cpu)
    row = np.zeros(2000, bool)
    with pytest.raises(TypeError, match="must be boolean or 0/1 integers, got float64"):
        problem.evaluate(row * 0.5)
    with pytest.raises(ValueError, match=r"must be of shape \(2000,\)"):
        problem.evaluate(row[:7])
    with pytest.raises(ValueError, match="pass one row"):
        problem.flip_gains(row[None])
    with pytest.raises(ValueError, match="variables below 2000, got 2000"):
        problem.probe(row, [[2000]])
    with pytest.raises(ValueError, match="got 5 twice"):
        problem.probe(row, [[5, 5]])
    assert not row.any()


def test_a_lost_device_says_so_and_a_new_object_works():
    problem = gpu.MaxSat(objectives.MaxSat([[1]]))
    gpu.release()
    with pytest.raises(RuntimeError, match="is lost, with all that lay on it; make a new object"):
        problem.evaluate([True])
    assert gpu.MaxSat(problem.problem).evaluate([False]) == 1
