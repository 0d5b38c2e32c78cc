"""Directed acyclic graphs: orders of their nodes, cycles, and what a search returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalweg._extras import require
from thalweg.coordinate._matrix import Array


@dataclass
class Dag:
    """A weighted directed acyclic graph, and how it was found.

    Attributes
    ----------
    order : ndarray of int, shape (d,)
        Nodes, parents before children.
    weights : ndarray, shape (d, d)
        Entry (i, j) is the weight of i in the equation of j, zero unless i precedes j.
    score : float
        Score of the order.
    threshold : float
        Weights below it in absolute value are no edges of `dag`.
    varsortability : float
        Share of the directed paths of `dag` along which the variance in the data grows; NaN without
        edges. Near 1 the order of the variances alone gives the graph away, and a change of units
        would change it: a reason to distrust a least-squares score.
    history : list of dict
        One entry for the start and for each round: `score`, `scored` (swaps), `applied` (swaps) and
        `large` (whether the large set was needed).
    status : str
        "converged" (no candidate lowers the score), "limit", or "precision" when rounding leaves
        nothing to gain.
    """

    order: NDArray[np.intp]
    weights: Array
    score: float
    threshold: float
    varsortability: float
    history: list[dict[str, Any]]
    status: str

    @property
    def success(self) -> bool:
        """Whether no swap among the candidates lowers the score."""
        return self.status == "converged"

    @property
    def n_iter(self) -> int:
        """Rounds that lowered the score."""
        return len(self.history) - 1

    @property
    def dag(self) -> Array:
        """`weights` without those below `threshold`."""
        return np.where(np.abs(self.weights) >= self.threshold, self.weights, 0.0)

    def to_networkx(self, names: Sequence[Any] | None = None) -> Any:
        """Return `dag` as a networkx DiGraph, weights under "weight".

        Parameters
        ----------
        names : sequence, optional
            Names of the nodes; by default 0, 1, ...

        Raises
        ------
        ImportError
            If networkx is missing (extra: graph).
        """
        networkx = require("networkx")
        d = len(self.order)
        labels = list(range(d)) if names is None else list(names)
        if len(set(labels)) != d:
            raise ValueError(
                f"names must be {d} different names, got {len(set(labels))}; name every node once"
            )
        graph = networkx.DiGraph()
        graph.add_nodes_from(labels)
        dag = self.dag
        graph.add_weighted_edges_from(
            (labels[i], labels[j], float(dag[i, j])) for i, j in np.argwhere(dag)
        )
        return graph


def square(W: ArrayLike, d: int | None = None) -> Array:
    """`W` as a finite square matrix of floats, of size `d` if given."""
    weights = np.asarray(W, dtype=np.float64)
    size = "d" if d is None else str(d)
    if weights.ndim != 2 or len(set(weights.shape)) != 1 or d not in (None, len(weights)):
        raise ValueError(
            f"W must be of shape ({size}, {size}), got {weights.shape}; "
            "pass a row and a column a node"
        )
    if not np.isfinite(weights).all():
        raise ValueError("W holds NaN or infinity; clean it first")
    return weights


def topological_order(W: ArrayLike) -> NDArray[np.intp]:
    """Return the nodes of a graph, parents before children; of several, the smallest one first.

    Parameters
    ----------
    W : array_like, shape (d, d)
        Weights; (i, j) is an edge from i to j where it is not zero.

    Returns
    -------
    ndarray of int, shape (d,)

    Raises
    ------
    ValueError
        If there is a cycle, which the message names.

    Examples
    --------
    >>> topological_order([[0, 0, 0], [2.0, 0, 1.0], [1.0, 0, 0]]).tolist()
    [1, 2, 0]
    """
    edges = square(W) != 0
    left, order = edges.sum(axis=0), []
    open_ = np.ones(len(edges), dtype=bool)
    while open_.any():
        ready = np.flatnonzero(open_ & (left == 0))
        if not len(ready):
            cycle = _cycle(edges, open_)
            raise ValueError(
                "W must be acyclic, got the cycle " + " -> ".join(map(str, cycle)) + "; "
                "set small weights to zero until none is left"
            )
        order.append(ready[0])
        open_[ready[0]] = False
        left = left - edges[ready[0]]
    return np.array(order, dtype=np.intp)


def _cycle(edges: NDArray[np.bool_], nodes: NDArray[np.bool_]) -> list[int]:
    """A cycle among nodes that all have a parent among them; its first node closes it."""
    walk = [int(np.argmax(nodes))]
    while True:
        parent = int(np.argmax(edges[:, walk[-1]] & nodes))
        if parent in walk:
            return [parent, *walk[walk.index(parent) :][::-1]]
        walk.append(parent)


def varsortability(X: ArrayLike, W: ArrayLike) -> float:
    """Return the share of directed paths along which the variance grows.

    Use it before trusting a least-squares score: near 1, sorting by variance would do as well.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Samples.
    W : array_like, shape (d, d)
        Weights of an acyclic graph.

    Returns
    -------
    float
        In [0, 1]; equal variances count half, and pairs once for every length of a path that joins
        them. NaN without edges.

    References
    ----------
    Reisach, Seiler, Weichwald 2021, "Beware of the simulated DAG!", NeurIPS.

    Examples
    --------
    >>> varsortability([[0, 0], [1, 3.0]], [[0, 1], [0, 0]])
    1.0
    """
    variances = np.var(np.asarray(X, dtype=np.float64), axis=0)
    edges = square(W, len(variances)) != 0
    topological_order(edges)
    before, after = variances[:, None], variances[None, :]
    close = np.isclose(before, after, rtol=1e-9, atol=0)
    value = np.where(close, 0.5, (before < after).astype(np.float64))
    total = rising = 0.0
    paths = edges
    while paths.any():
        total += float(paths.sum())
        rising += float(value[paths].sum())
        paths = paths @ edges
    return rising / total if total else float("nan")
