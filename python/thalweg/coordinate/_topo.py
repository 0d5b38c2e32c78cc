"""Directed acyclic graphs by swaps in a topological order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalweg import _core
from thalweg.coordinate._dag import Dag, square, topological_order, varsortability
from thalweg.coordinate._matrix import Array, choice, count, in_range, matrix, reporter

Order = NDArray[np.intp]
_ROUND = ("score", "scored", "applied", "large")


def topo(
    X: ArrayLike,
    *,
    score: str | Callable[..., Any] = "linear",
    by_node: bool = True,
    order: ArrayLike | None = None,
    W: ArrayLike | None = None,
    size_small: int | None = None,
    size_large: int | None = None,
    no_large_search: int = 1,
    fit_intercept: bool | None = None,
    alpha: float | None = None,
    ridge: float | None = None,
    threshold: float = 0.3,
    tol: float = 1e-13,
    max_iter: int = 1000,
    seed: int = 0,
    verbose: int = 0,
    callback: Callable[[dict[str, float]], Any] | None = None,
) -> Dag:
    """Learn a directed acyclic graph by swapping nodes in its topological order.

    Use it to find the graph behind linear or binary data, or to improve the output of NOTEARS or
    GOLEM: pass that as `W`.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Samples, float32 or float64, n >= 2.
    score : {"linear", "logistic"} or callable
        "linear": ||X - X W||^2 / (2 n). "logistic": mean logistic loss of every column of zeros and
        ones, plus alpha |W|_1. A callable `score(node, parents)` takes a node and the list of all
        its possible parents (ascending), and returns its part of the score and the weights of the
        parents; each question is asked once. The weights only steer the search, through the paths
        that they form.
    by_node : bool, default True
        False: the callable is `score(order)` and returns the score of an order and weights of shape
        (d, d), for scores that are no sums over nodes.
    order : array_like of int, shape (d,), optional
        Order to start from; by default a random one, by `seed`.
    W : array_like, shape (d, d), optional
        Weights of an acyclic graph to start from, instead of an order.
    size_small, size_large : int, optional
        Pairs that every round scores (those joined by the least weight of paths), and that a round
        scores when none of the small set helps; 1 <= size_small <= size_large <= d (d - 1) / 2. By
        default all pairs with score="linear", where they cost as much as one factorization, else
        4 d and 16 d.
    no_large_search : int, default 1
        Rounds that may use the large set, >= 0.
    fit_intercept : bool, optional
        Whether equations have a constant; by default they do. Not for callables.
    alpha : float, optional
        Strength of the l1 penalty of score="logistic", > 0; by default 0.01 (1 / (C n) in terms of
        scikit-learn's C).
    ridge : float, optional
        For score="linear": `ridge` times the mean variance is added to every variance, >= 0, by
        default 0. A usual value for collinear columns, or fewer samples than columns, is 1e-10.
    threshold : float, default 0.3
        Weights below it are no edges of the result's `dag`, >= 0.
    tol : float, default 1e-13
        Least gain of a swap relative to the score, >= 0; with score="logistic" also the gap of a
        regression relative to log 2, where not below 1e-10.
    max_iter : int, default 1000
        Rounds.
    seed : int, default 0
        Seed of the first order.
    verbose, callback
        As in `solve`: a line, or a call, for each round.

    Returns
    -------
    Dag

    Raises
    ------
    ValueError
        If `X` holds NaN or has fewer than two samples, columns are collinear and `ridge` is 0, `W`
        has a cycle, or sizes do not fit.

    Notes
    -----
    A round scores all swaps of the linear score in O(d^3), from one Cholesky factor of the
    covariance; X is read once. Swaps of disjoint parts of the order add up, so each round applies,
    best first, all that do not overlap: the score never rises. The result has the same bits for any
    number of threads. The published code weighs the penalty of its logistic score n times more than
    its regressions do; here both are alpha.

    References
    ----------
    Deng, Bello, Aragam, Ravikumar 2023, "Optimizing NOTEARS objectives via topological swaps",
    ICML, arXiv:2305.17277.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> a = rng.standard_normal(500)
    >>> b = 2 * a + rng.standard_normal(500)
    >>> found = topo(np.column_stack([b, a]))
    >>> found.order.tolist(), found.dag.round(1).tolist()
    ([1, 0], [[0.0, 0.0], [2.0, 0.0]])
    """
    data, n, d, _ = matrix(X)
    if n < 2 or d < 1:
        raise ValueError(
            f"X must have at least 2 rows and a column, got {n} x {d}; check its shape"
        )
    if not np.isfinite(data).all():
        raise ValueError("X holds NaN or infinity; remove or impute these entries")
    kind = "callable" if callable(score) else choice("score", score, ("linear", "logistic"))
    _refuse(kind, {"fit_intercept": fit_intercept, "alpha": alpha, "ridge": ridge}, by_node)
    pairs = d * (d - 1) // 2
    default = (pairs, pairs) if kind == "linear" else (min(4 * d, pairs), min(16 * d, pairs))
    small = default[0] if size_small is None else count("size_small", size_small)
    large = max(default[1], small) if size_large is None else count("size_large", size_large)
    settings = {
        "small": small,
        "large": large,
        "large_searches": count("no_large_search", no_large_search, 0),
        "tol": in_range("tol", tol, 0.0),
        "max_iter": count("max_iter", max_iter, 0),
    }
    start = _start(order, W, d, seed)
    cut = in_range("threshold", threshold, 0.0)
    report = reporter(verbose, callback, _ROUND)
    tell = None if report is None else lambda *row: report(list(row))
    if callable(score):
        wrapped = _node(score, d) if by_node else _whole(score, d)
        search = _core.topo_local if by_node else _core.topo_global
        result = search(start, wrapped, settings, tell)
    elif kind == "linear":
        rows = np.array(data.T, dtype=np.float64, order="C")
        if fit_intercept is None or fit_intercept:
            rows -= rows.mean(axis=1, keepdims=True)
        more = 0.0 if ridge is None else in_range("ridge", ridge, 0.0)
        result = _core.topo_linear(rows, start, more, settings, tell)
    else:
        rows = np.ascontiguousarray(data.T, dtype=np.float64)
        strength = 0.01 if alpha is None else in_range("alpha", alpha, 0.0, strict=True)
        constant = fit_intercept is None or bool(fit_intercept)
        gap = max(settings["tol"], 1e-10)
        result = _core.topo_logistic(rows, start, strength, constant, gap, settings, tell)
    weights = result["weights"].reshape(d, d)
    found = Dag(
        order=np.array(result["order"], dtype=np.intp),
        weights=weights,
        score=result["score"],
        threshold=cut,
        varsortability=float("nan"),
        history=[dict(zip(_ROUND, row)) for row in result["history"]],
        status=result["status"],
    )
    found.varsortability = varsortability(data, found.dag)
    return found


def _refuse(kind: str, given: dict[str, Any], by_node: bool) -> None:
    """Raise where an option has no meaning for the score."""
    means = {
        "linear": ("fit_intercept", "ridge"),
        "logistic": ("fit_intercept", "alpha"),
        "callable": (),
    }[kind]
    for name, value in given.items():
        if value is not None and name not in means:
            raise ValueError(f"{name} must be None with a {kind} score, got {value}; leave it out")
    if kind != "callable" and not by_node:
        raise ValueError("by_node must be True unless score is callable, got False; leave it out")


def _start(order: ArrayLike | None, W: ArrayLike | None, d: int, seed: int) -> list[int]:
    """The order to start from."""
    if order is not None and W is not None:
        raise ValueError("order must be None where W is given, got both; pass one of them")
    if W is not None:
        return [int(node) for node in topological_order(square(W, d))]
    if order is None:
        return [int(node) for node in np.random.default_rng(seed).permutation(d)]
    nodes = np.asarray(order)
    if nodes.shape != (d,) or nodes.dtype.kind not in "iu" or sorted(nodes.tolist()) != [*range(d)]:
        raise ValueError(
            f"order must be a permutation of 0..{d - 1}, got {nodes.tolist()}; name every node once"
        )
    return [int(node) for node in nodes]


def _value(result: Any, shape: tuple[int, ...], asked: str) -> tuple[float, list[float]]:
    """What a callable returned, checked."""
    try:
        value, weights = result
        number, array = float(value), np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            f"{asked} must return a number and weights, got {type(result).__name__}; "
            "return both as a tuple"
        ) from None
    if array.shape != shape:
        raise ValueError(
            f"the weights of {asked} must be of shape {shape}, got {array.shape}; "
            "return a weight for each possible parent"
        )
    if not (np.isfinite(number) and np.isfinite(array).all()):
        raise ValueError(f"{asked} must return finite numbers, got {number}; check the fit")
    return number, array.ravel().tolist()


def _node(score: Callable[..., Any], d: int) -> Callable[[int, list[int]], Any]:
    def asked(node: int, parents: list[int]) -> tuple[float, list[float]]:
        return _value(score(node, parents), (len(parents),), f"score({node}, parents)")

    return asked


def _whole(score: Callable[..., Any], d: int) -> Callable[[list[int]], Any]:
    def asked(order: list[int]) -> tuple[float, list[float]]:
        value, weights = _value(score(np.array(order, dtype=np.intp)), (d, d), "score(order)")
        by_position: Array = np.reshape(weights, (d, d))[np.ix_(order, order)]
        if np.tril(by_position).any():
            raise ValueError(
                "the weights of score(order) must be zero unless the row precedes the column in "
                "the order, got an edge against it; that graph may have a cycle"
            )
        return value, weights

    return asked
