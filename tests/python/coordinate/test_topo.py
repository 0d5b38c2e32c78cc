"""TOPO: against exhaustive search, refits by least squares, and its own promises."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import thalweg
from thalweg.coordinate import topo, topological_order, varsortability


def sample(seed, d=6, n=200, edges=1.5):
    """A random graph with `edges` edges a node, and data from it."""
    rng = np.random.default_rng(seed)
    W = np.triu(rng.uniform(0.5, 2, (d, d)) * rng.choice([-1, 1], (d, d)), 1)
    W *= rng.random((d, d)) < 2 * edges / max(d - 1, 1)
    nodes = rng.permutation(d)
    X = rng.standard_normal((n, d)) * rng.uniform(0.5, 1.5, d) + rng.standard_normal(d)
    for j in range(d):
        X[:, j] += X @ W[:, j]
    by_node = np.empty_like(X)
    by_node[:, nodes] = X
    return by_node


def refit(X, order, centre=True):
    """Weights and score of an order, one least-squares problem a node."""
    X = X - X.mean(axis=0) if centre else X
    n, d = X.shape
    W = np.zeros((d, d))
    for k, j in enumerate(order):
        if k:
            W[order[:k], j] = np.linalg.lstsq(X[:, order[:k]], X[:, j], rcond=None)[0]
    return W, np.sum((X - X @ W) ** 2) / (2 * n)


def lowest(X):
    """Lowest score of all orders, by dynamic programming over subsets."""
    X = X - X.mean(axis=0)
    n, d = X.shape

    def cost(j, others):
        residual = X[:, j]
        if others:
            A = X[:, others]
            residual = residual - A @ np.linalg.lstsq(A, X[:, j], rcond=None)[0]
        return residual @ residual / (2 * n)

    best = {frozenset(): 0.0}
    for size in range(1, d + 1):
        for some in itertools.combinations(range(d), size):
            rest = [frozenset(some) - {j} for j in some]
            best[frozenset(some)] = min(
                best[left] + cost(j, sorted(left)) for j, left in zip(some, rest, strict=True)
            )
    return best[frozenset(range(d))]


def inversions(node, parents):
    return float(sum(p > node for p in parents)), [float(p > node) for p in parents]


@pytest.mark.parametrize("seed", range(8))
def test_reaches_the_global_minimum_of_small_graphs(seed):
    X = sample(seed, d=4 + seed % 5)
    found = min((topo(X, seed=start) for start in range(8)), key=lambda dag: dag.score)
    assert found.score == pytest.approx(lowest(X), rel=1e-10)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    d=st.integers(1, 12),
    small=st.integers(1, 66),
    centre=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_every_search_keeps_its_promises(seed, d, small, centre, dtype):
    X = sample(seed, d=d, n=60).astype(dtype)
    pairs = d * (d - 1) // 2
    sizes = {"size_small": min(small, pairs), "no_large_search": 99} if pairs else {}
    found = topo(X, fit_intercept=centre, seed=seed, size_large=pairs or None, **sizes)
    W, score = refit(X.astype(np.float64), found.order, centre)
    assert sorted(found.order) == [*range(d)]
    assert found.success
    assert found.score == pytest.approx(score, rel=1e-9)
    np.testing.assert_allclose(found.weights, W, rtol=1e-6, atol=1e-7)
    scores = [step["score"] for step in found.history]
    assert all(after < before for before, after in itertools.pairwise(scores))
    assert scores[-1] == found.score
    assert found.n_iter == len(scores) - 1
    place = np.argsort(found.order)
    rows, columns = np.nonzero(found.weights)
    assert (place[rows] < place[columns]).all()
    topological_order(found.dag)
    if pairs:  # no single swap lowers the score
        for a, b in itertools.combinations(range(d), 2):
            order = found.order.copy()
            order[[a, b]] = order[[b, a]]
            assert refit(X.astype(np.float64), order, centre)[1] >= found.score * (1 - 1e-8)


def test_first_round_equals_a_round_by_refits():
    """Candidates, ties, and the greedy choice of disjoint swaps, from their definition."""
    X = sample(3, d=9)
    found = topo(X, order=np.arange(9), size_small=12, size_large=20, max_iter=1)
    W, start = refit(X, np.arange(9))
    G = np.linalg.inv(np.eye(9) - np.abs(W)).T
    pairs = [(i, j) for j in range(9) for i in range(j + 1, 9)]
    bound = sorted(G[i, j] for i, j in pairs)[11]
    scores = {}
    for i, j in pairs:
        if G[i, j] <= bound:
            order = np.arange(9)
            order[[i, j]] = j, i
            scores[j, i] = refit(X, order)[1]
    order, used = np.arange(9), set()
    for (a, b), value in sorted(scores.items(), key=lambda item: item[1]):
        if value < start and not used & set(range(a, b + 1)):
            order[[a, b]] = order[[b, a]]
            used |= set(range(a, b + 1))
    assert found.history[1]["scored"] == len(scores)
    assert not found.history[1]["large"]
    assert found.order.tolist() == order.tolist()


def test_large_set_is_used_as_often_as_allowed():
    X = sample(5, d=12, edges=3)
    runs = [
        topo(X, size_small=1, size_large=66, no_large_search=count, seed=1) for count in (0, 1, 99)
    ]
    used = [sum(step["large"] for step in run.history) for run in runs]
    assert used[0] == 0
    assert used[1] == 1
    assert used[2] > 1
    assert runs[0].score > runs[1].score > runs[2].score


def test_starts_from_weights_and_refuses_cycles():
    X = sample(1)
    before = topo(X, seed=4, size_small=3, size_large=3)
    after = topo(X, W=before.dag)
    assert after.history[0]["score"] == pytest.approx(
        refit(X, topological_order(before.dag))[1], rel=1e-10
    )
    W = np.zeros((6, 6))
    W[0, 3] = W[3, 5] = W[5, 0] = W[5, 1] = 1
    with pytest.raises(ValueError, match=r"acyclic, got the cycle 0 -> 3 -> 5 -> 0; set small"):
        topo(X, W=W)
    with pytest.raises(ValueError, match="cycle 0 -> 0"):
        topological_order(np.eye(2))


def test_same_bits_for_any_number_of_threads():
    X = sample(7, d=60, n=300)
    runs = []
    for threads in (1, 2, 7):
        thalweg.set_num_threads(threads)
        runs.append(topo(X))
    thalweg.set_num_threads(0)
    for run in runs[1:]:
        assert run.score == runs[0].score
        assert (run.weights == runs[0].weights).all()


def test_a_callable_score_searches_as_the_native_one():
    X = sample(11, d=7)
    centred = X - X.mean(axis=0)
    asked = []

    def node_score(node, parents):
        asked.append((node, tuple(parents)))
        A, y = centred[:, parents], centred[:, node]
        w = np.linalg.lstsq(A, y, rcond=None)[0] if parents else np.zeros(0)
        return np.sum((y - A @ w) ** 2) / (2 * len(X)), w

    def score(order):
        W, value = refit(X, order)
        return value, W

    native = topo(X, size_small=10, size_large=15)
    for run in (
        topo(X, score=node_score, size_small=10, size_large=15),
        topo(X, score=score, by_node=False, size_small=10, size_large=15),
    ):
        assert run.order.tolist() == native.order.tolist()
        np.testing.assert_allclose(run.weights, native.weights, atol=1e-9)
        assert [step["score"] for step in run.history] == pytest.approx(
            [step["score"] for step in native.history]
        )
    assert len(asked) == len(set(asked))


def test_a_score_whose_swaps_do_not_add_up_never_rises():
    rng = np.random.default_rng(0)
    values = {}

    def score(order):
        return values.setdefault(tuple(order), rng.random()), np.zeros((5, 5))

    found = topo(np.zeros((2, 5)), score=score, by_node=False, size_small=10)
    scores = [step["score"] for step in found.history]
    assert len(scores) > 1
    assert scores == sorted(scores, reverse=True)


def test_logistic_score_is_that_of_its_regressions():
    sklearn = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(2)
    n, alpha = 400, 0.02
    X = np.zeros((n, 4))
    for j, parents in enumerate([[], [0], [0, 1], [2]]):
        z = 3 * X[:, parents].sum(axis=1) - 1.5 * len(parents) / 2
        X[:, j] = rng.random(n) < 1 / (1 + np.exp(-z))
    found = topo(X, score="logistic", alpha=alpha, fit_intercept=False, seed=3)

    def value(order):
        total = 0.0
        for k, j in enumerate(order):
            z, w = np.zeros(n), np.zeros(k)
            if k:
                model = sklearn.LogisticRegression(
                    C=1 / (alpha * n),
                    l1_ratio=1,
                    solver="liblinear",
                    fit_intercept=False,
                    tol=1e-10,
                    max_iter=10_000,
                )
                w = model.fit(X[:, order[:k]], X[:, j]).coef_[0]
                z = X[:, order[:k]] @ w
            total += np.mean(np.logaddexp(0, z) - X[:, j] * z) + alpha * np.abs(w).sum()
        return total

    assert found.score == pytest.approx(value(found.order), rel=1e-6)
    best = min(value(np.array(order)) for order in itertools.permutations(range(4)))
    assert found.score == pytest.approx(best, rel=1e-6)


def test_dag_exports():
    networkx = pytest.importorskip("networkx")
    X = sample(0)
    found = topo(X, threshold=0.4)
    graph = found.to_networkx(list("abcdef"))
    assert networkx.is_directed_acyclic_graph(graph)
    assert len(graph) == 6
    for i, j in itertools.product(range(6), repeat=2):
        name = "abcdef"[i], "abcdef"[j]
        assert graph.has_edge(*name) == (abs(found.weights[i, j]) >= 0.4)
        if graph.has_edge(*name):
            assert graph.edges[name]["weight"] == found.weights[i, j]
    with pytest.raises(ValueError, match="names must be 6 different names, got 1"):
        found.to_networkx("aaaaaa")


def test_varsortability_counts_paths():
    chain = np.diag([1.0, 1.0], 1)
    X = np.array([[1.0, 2.0, 0.5], [-1.0, -2.0, -0.5]])
    assert varsortability(X, chain) == pytest.approx(1 / 3)  # 0->1 rises; 1->2 and 0->2 fall
    assert varsortability(X[:, [0, 0, 0]], chain) == 0.5
    assert math.isnan(varsortability(X, np.zeros((3, 3))))
    found = topo(sample(0))
    assert found.varsortability == varsortability(sample(0), found.dag)


def test_collinear_columns_need_a_ridge():
    X = sample(2)
    X[:, 4] = X[:, 1] - X[:, 2]
    with pytest.raises(
        ValueError, match=r"linearly independent columns, got .*; drop .* ridge=1e-10"
    ):
        topo(X)
    assert topo(X, ridge=1e-10).success
    with pytest.raises(ValueError, match="linearly independent"):
        topo(np.random.default_rng(0).standard_normal((4, 6)))
    with pytest.raises(ValueError, match="linearly independent"):
        topo(np.ones((5, 3)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size_small": 0}, "size_small must be >= 1"),
        ({"size_small": 16}, r"size_small must be in \[1, d \(d - 1\) / 2 = 15\], got 16"),
        ({"size_small": 5, "size_large": 4}, r"size_large must be in \[size_small = 5, .*got 4"),
        ({"size_large": 16, "size_small": 2}, r"size_large must be in .* = 15\], got 16"),
        ({"no_large_search": -1}, "no_large_search must be >= 0"),
        ({"order": [0, 1, 2, 3, 4, 4]}, r"order must be a permutation of 0\.\.5"),
        ({"order": np.arange(5)}, "order must be a permutation"),
        ({"order": np.arange(6), "W": np.zeros((6, 6))}, "got both"),
        ({"W": np.zeros((5, 5))}, r"W must be of shape \(6, 6\), got \(5, 5\)"),
        ({"W": np.full((6, 6), np.nan)}, "W holds NaN"),
        ({"score": "gauss"}, "score must be one of linear, logistic"),
        ({"score": "logistic"}, "zeros and ones"),
        ({"alpha": 0.1}, "alpha must be None with a linear score"),
        ({"score": inversions, "ridge": 0.1}, "ridge must be None with a callable score"),
        ({"by_node": False}, "by_node must be True"),
        ({"ridge": -1.0}, "ridge must be in"),
        ({"threshold": -1.0}, "threshold must be in"),
        ({"tol": math.nan}, "tol must be in"),
        ({"score": lambda node, parents: (math.nan, [])}, "finite numbers|of shape"),
        ({"score": lambda node, parents: (0.0, [1.0] * 9)}, "of shape"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        topo(sample(0), **options)


def test_refuses_bad_data_and_answers():
    X = sample(0)
    X[3, 2] = np.nan
    with pytest.raises(ValueError, match="X holds NaN or infinity"):
        topo(X)
    with pytest.raises(ValueError, match="X must have at least 2 rows and a column, got 1 x 3"):
        topo(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="2-D"):
        topo(np.zeros(3))
    with pytest.raises(TypeError, match="float32 or float64, got int64"):
        topo(np.zeros((3, 3), dtype=np.int64))
    with pytest.raises(TypeError, match="must return a number and weights, got float"):
        topo(sample(0), score=lambda node, parents: 1.0)
    against = np.tril(np.ones((6, 6)), -1)
    with pytest.raises(ValueError, match="edge against it"):
        topo(sample(0), score=lambda order: (1.0, against), by_node=False, order=np.arange(6))

    def broken(node, parents):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        topo(sample(0), score=broken)


def test_reports_rounds_and_stops_on_errors_of_the_callback():
    rows = []
    found = topo(sample(0), callback=rows.append)
    assert rows == found.history

    def stop(row):
        raise StopIteration

    with pytest.raises(StopIteration):
        topo(sample(0), callback=stop)
    limited = topo(sample(0, d=12), max_iter=1)
    assert limited.status == "limit"
    assert not limited.success
    assert limited.n_iter == 1
