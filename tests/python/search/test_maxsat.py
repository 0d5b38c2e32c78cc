"""MaxSat against its definition, by brute force over every assignment."""

import itertools
import pickle
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import thalweg
from thalweg.search.objectives import MaxSat

N = 6
LITERALS = st.integers(-N, N).filter(bool)
CLAUSES = st.lists(st.lists(LITERALS, max_size=4), max_size=20)


def oracle(clauses, weights, assignment):
    """Cost by the definition."""
    broken = [not any((lit > 0) == assignment[abs(lit) - 1] for lit in c) for c in clauses]
    return sum(w for w, b in zip(weights, broken, strict=True) if b)


@given(CLAUSES, st.data())
@settings(deadline=None, max_examples=60)
def test_costs_gains_and_probes_equal_the_definition(clauses, data):
    weights = data.draw(st.lists(st.integers(1, 9), min_size=len(clauses), max_size=len(clauses)))
    problem = MaxSat(clauses, weights, variables=N)
    every = np.array(list(itertools.product([False, True], repeat=N)))
    costs = np.array([oracle(clauses, weights, row) for row in every])
    assert problem.evaluate(every).tolist() == costs.tolist()
    assert problem(np.where(every, 0.5, -0.5)).tolist() == costs.tolist()
    start = every[data.draw(st.integers(0, 2**N - 1))]
    base = oracle(clauses, weights, start)
    flips = [np.flatnonzero(row) for row in every]
    changes = [oracle(clauses, weights, start ^ row) - base for row in every]
    assert problem.probe(start, flips).tolist() == changes
    singles = [oracle(clauses, weights, start ^ row) - base for row in np.eye(N, dtype=bool)]
    assert problem.flip_gains(start).tolist() == singles


@given(CLAUSES, st.lists(st.integers(0, N - 1), max_size=8))
@settings(deadline=None, max_examples=40)
def test_a_state_follows_its_flips(clauses, flips):
    problem = MaxSat(clauses, variables=N)
    state = problem.state(np.zeros(N, bool))
    for flip in flips:
        state.flip(flip)
    assert state.cost == problem.evaluate(state.assignment)
    assert state.gains.tolist() == problem.flip_gains(state.assignment).tolist()


@given(CLAUSES, st.data())
@settings(deadline=None, max_examples=40)
def test_text_reads_back_to_the_same_costs(clauses, data):
    size = {"min_size": len(clauses), "max_size": len(clauses)}
    weights = data.draw(st.lists(st.integers(1, 4), **size))
    hard = np.array(data.draw(st.lists(st.booleans(), **size)), dtype=bool)
    problem = MaxSat(clauses, weights, hard=hard, variables=N)
    again = MaxSat.parse(problem.text())
    every = np.array(list(itertools.product([False, True], repeat=N)))
    assert again.evaluate(every).tolist() == problem.evaluate(every).tolist()
    assert (again.clauses, again.variables) == (len(clauses), N)
    assert pickle.loads(pickle.dumps(problem)).text() == problem.text()


def test_hard_clauses_outweigh_all_soft_ones():
    problem = MaxSat([[1], [-1], [2]], weights=[5, 7, 9], hard=[True, False, False])
    assert problem.split(problem.evaluate([False, True])) == (1, 0)
    assert problem.split(problem.evaluate([True, False])) == (0, 16)
    best = problem.polystep(200)
    assert (best.hard, best.soft, best.x.tolist()) == (0, 7, [True, True])


@pytest.mark.parametrize("suffix", [".cnf", ".cnf.gz", ".cnf.bz2", ".cnf.xz"])
def test_files_packed_or_not(tmp_path, suffix):
    path = tmp_path / f"random{suffix}"
    problem = MaxSat.random(50, seed=1)
    problem.write(path)
    assert MaxSat.read(path).text() == problem.text()


def test_a_wcnf_without_header_is_known_by_its_name(tmp_path):
    path = tmp_path / "new.wcnf"
    path.write_text("c 2022 format\nh 1 2 0\n3 -1 0\n")
    problem = MaxSat.read(path)
    assert (problem.variables, problem.has_hard) == (2, True)
    other = tmp_path / "new.cnf"
    other.write_text("3 -1 0\n")
    with pytest.raises(ValueError, match=r"new\.cnf line 1 must be a header `p cnf"):
        MaxSat.read(other)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p cnf 3 1\n1 4 0\n", "text line 2 must be literals of variables 1 to 3, got `4`; raise"),
        ("p cnf 3 1\n1 x 0\n", "text line 2 must be integers, got `x`"),
        ("p cnf 3 2\n1 0\n", "text line 3 must be one of 2 clauses, as the header says"),
        ("p cnf 3 1\n1 2", "text line 2 must be a literal or 0, got the end"),
        ("p wcnf 3 1 9\n-2 1 0", "text line 2 must be a clause with a weight above 0, got `-2`"),
    ],
)
def test_malformed_text_names_its_line(text, message):
    with pytest.raises(ValueError, match=message):
        MaxSat.parse(text)


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (ValueError, r"clauses must be literals -2 to 2", lambda: MaxSat([[3]], variables=2)),
        (ValueError, r"without 0, got 0", lambda: MaxSat([[1, 0, 2]])),
        (TypeError, r"clauses must be rows of integers", lambda: MaxSat([[1.5]])),
        (TypeError, r"clauses must hold integers", lambda: MaxSat(np.ones((2, 2)))),
        (TypeError, r"weights must be integers", lambda: MaxSat([[1]], [0.5])),
        (ValueError, r"weights must be above 0, got 0", lambda: MaxSat([[1]], [0])),
        (ValueError, r"weights of shape \(2,\)", lambda: MaxSat([[1]], [1, 1])),
        (TypeError, r"hard must be boolean", lambda: MaxSat([[1]], hard=[1])),
        (ValueError, r"weights must be of a sum", lambda: MaxSat([[1], [2]], [2**62, 1])),
        (ValueError, r"k must be in \[1, variables\]", lambda: MaxSat.random(2)),
        (TypeError, r"assignment must be boolean", lambda: MaxSat([[1]]).evaluate([0.5])),
        (ValueError, r"other integers", lambda: MaxSat([[1]]).evaluate([-1])),
        (ValueError, r"assignment must be of shape \(1,\)", lambda: MaxSat([[1]]).evaluate([1, 0])),
        (ValueError, r"pass one row", lambda: MaxSat([[1]]).state([[1]])),
        (ValueError, r"flips must be variables below 1", lambda: MaxSat([[1]]).probe([1], [[1]])),
        (ValueError, r"flips must be variables counted", lambda: MaxSat([[1]]).probe([1], [[-1]])),
        (ValueError, r"got 0 twice", lambda: MaxSat([[1]]).probe([1], [[0, 0]])),
        (ValueError, r"max_steps must be given", lambda: MaxSat([[1]]).polystep()),
        (ValueError, r"epsilon must be > 0", lambda: MaxSat([[1]]).polystep(1, epsilon=0)),
        (ValueError, r"forget must be in", lambda: MaxSat([[1]]).polystep(1, forget=(0.5, 1.0))),
        (TypeError, r"momentum must be a number", lambda: MaxSat([[1]]).polystep(1, momentum="x")),
        (ValueError, r"max_flips must be given", lambda: MaxSat([[1]]).polish([0])),
    ],
)
def test_refusals(error, message, call):
    with pytest.raises(error, match=message):
        call()


def test_polystep_is_good_reproducible_and_independent_of_threads():
    problem = MaxSat.random(5000, seed=3)
    runs = []
    for threads in (1, 2, 7):
        thalweg.set_num_threads(threads)
        runs.append(problem.polystep(200, seed=5))
    thalweg.set_num_threads(0)
    assert all((run.x == runs[0].x).all() and run.flips == runs[0].flips for run in runs)
    assert problem.evaluate(runs[0].x) == runs[0].fun
    assert runs[0].satisfied > 0.985
    assert (problem.polystep(200, seed=6).x != runs[0].x).any()
    polished = problem.polish(runs[0].x, 200_000)
    assert polished.fun < runs[0].fun
    assert problem.evaluate(polished.x) == polished.fun


def test_the_published_dynamics_are_a_setting():
    # Radii that stay, momentum, temperature far above the differences: arXiv:2605.01928.
    problem = MaxSat.random(5000, seed=42)
    run = problem.polystep(1000, forget=0.0, momentum=(0.5, 0.95), step_radius=0.03)
    assert 0.975 < run.satisfied < 0.99


def test_callbacks_hear_improvements_and_stop():
    problem = MaxSat.random(50_000, seed=1)
    heard = []

    def callback(step, best):
        heard.append((step, best))
        return len(heard) == 2

    run = problem.polystep(100_000, callback=callback)
    assert (run.status, run.success, len(heard)) == (3, False, 2)
    assert heard[1][1] < heard[0][1]
    with pytest.raises(ZeroDivisionError):
        problem.polystep(100_000, callback=lambda step, best: 1 / 0)


def test_time_limits_hold():
    problem = MaxSat.random(20_000)
    start = time.perf_counter()
    run = problem.polystep(seconds=0.2)
    assert (run.status, run.success) == (2, True)
    assert problem.polish(run.x, seconds=0.2).fun <= run.fun
    assert time.perf_counter() - start < 5.0


@pytest.mark.parametrize("method", ["polystep", "polish"])
def test_ctrl_c_returns_the_best_so_far(method):
    import _thread

    problem = MaxSat.random(50_000)
    threading.Timer(0.3, _thread.interrupt_main).start()
    if method == "polystep":
        run = problem.polystep(10**9)
    else:
        run = problem.polish(np.zeros(50_000, bool), 10**12)
    assert run.status == 4
    assert not run.success
    assert problem.evaluate(run.x) == run.fun


def test_every_searcher_can_use_it():
    from thalweg.search import minimize

    problem = MaxSat.random(20, 3.0, seed=2)
    x0 = np.full(20, -0.1)
    result = minimize(problem, x0, method="polystep", seed=0, vectorized=True)
    assert result.fun == problem(result.x) <= problem(x0)


@pytest.mark.parametrize("steps", [-1, 2.5])
def test_refuses_numbers_of_steps(steps):
    problem = MaxSat.random(50, seed=0)
    with pytest.raises(ValueError, match="max_steps must be an integer >= 0"):
        problem.polystep(steps)
    with pytest.raises(ValueError, match="max_flips must be an integer >= 0"):
        problem.polish(np.zeros(50, bool), steps)
