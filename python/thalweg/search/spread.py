"""Evaluations spread over processes: seeds and costs travel, candidates never do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalweg.search._arguments import as_costs
from thalweg.search._processes import LEFT, READY, Processes, fingerprint, uninterrupted

__all__ = ["Spread", "spread"]


class Spread:
    """What `spread` returns: a batched objective, and a context that ends together."""

    def __init__(self, fun: Callable[[Any], Any], search: Any, group: Any) -> None:
        if not callable(fun):
            raise TypeError(
                f"fun must be callable, got {type(fun).__name__}; pass a function of rows"
            )
        self._fun = fun
        self._processes = Processes(group)
        if search is not None:
            key = fingerprint(type(search).__name__, search)
            self._processes.meet(READY, "search", key, fix=_SAME)

    @property
    def processes(self) -> int:
        """How many processes share the work."""
        return self._processes.count

    def __call__(self, points: ArrayLike) -> NDArray[np.float64]:
        """Costs of all `points`, shape (n, d), of which this process evaluates its share."""
        own, error, rows = np.empty(0), None, np.empty((0, 0))
        try:
            rows = np.asarray(points, dtype=np.float64)
            if rows.ndim != 2:
                raise ValueError(f"points must be of shape (n, d), got {rows.shape}; stack them")
            own = self._evaluate(np.ascontiguousarray(rows[self._processes.share(len(rows))]))
        except BaseException as caught:
            error = caught
        with uninterrupted():
            self._processes.meet(READY, "candidates", fingerprint(rows), error, _SAME)
            return self._processes.collect(own, len(rows))

    def _evaluate(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        if not len(points):
            return np.empty(0)
        costs = as_costs(self._fun(points))
        if len(costs) != len(points):
            raise ValueError(
                f"fun must return {len(points)} costs, got {len(costs)}; return one cost a row"
            )
        return costs

    def __enter__(self) -> Spread:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self._processes.parted:
            return
        try:
            with uninterrupted():
                self._processes.meet(LEFT, "processes")
        except RuntimeError:
            # What ended the block here is the better message.
            if error is None:
                raise


_SAME = "build the search with the same start, settings and seed everywhere"


def spread(fun: Callable[[Any], Any], search: Any = None, *, group: Any = None) -> Spread:
    """Share the evaluations of a batched objective among the processes of torch.distributed.

    Use it when one evaluation takes longer than a message: every process runs the same search from
    the same seed, evaluates its share of the candidates, and all of them learn all costs.

    Parameters
    ----------
    fun : callable
        ``fun(X) -> (n,)`` for rows X of shape (n, d), as many as the share of this process; not
        called where there are none.
    search : searcher, optional
        What will ask and tell: compared at once between all processes, settings and state.
    group : ProcessGroup, optional
        Processes that share the work, over a backend for the CPU (gloo); default all of them.
        Without an initialised torch.distributed this process works alone.

    Returns
    -------
    Spread
        ``spread(X) -> (n,)``, the same costs in every process, for `tell` or for
        ``minimize(..., vectorized=True)``. Used as a context it ends in all processes together.

    Raises
    ------
    ValueError
        In every process, if their searches or candidates differ.
    RuntimeError
        In all others when `fun` raises or returns the wrong number of costs in one, which raises
        its own error; with a context also when one of them leaves before the others.

    Notes
    -----
    Candidate i is evaluated by process i modulo their number. A call gathers the costs and a
    checksum of 8 bytes of the candidates, and tells nothing else. Results are those of one process
    bit for bit if the cost of a row does not depend on the other rows: products of matrices may
    round differently in batches of another size, so evaluate row by row where bits matter. NaN is
    a cost like any other. A process that dies ends the others through the backend, at the latest
    after the timeout of the group.

    References
    ----------
    Salimans et al. 2017, "Evolution Strategies as a Scalable Alternative to Reinforcement
    Learning", arXiv:1703.03864, Alg. 2.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.search import OpenAIES
    >>> search = OpenAIES(np.full(5, 3.0), sigma=0.1, lr=0.1, seed=0)
    >>> with spread(lambda x: (x**2).sum(axis=1), search) as costs:
    ...     for _ in range(300):
    ...         search.tell(costs(search.ask()))
    >>> bool(search.best.cost < 0.1), costs.processes
    (True, 1)
    """
    return Spread(fun, search, group)
