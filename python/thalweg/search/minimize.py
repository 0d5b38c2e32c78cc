"""Minimize a black box: one call, a result as scipy's."""

from __future__ import annotations

import inspect
import math
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalweg._extras import require
from thalweg.search._arguments import as_bounds, as_costs, as_start
from thalweg.search.registry import Searcher, make
from thalweg.search.result import result_class

__all__ = ["minimize"]

Array = NDArray[np.float64]
_REASONS = {
    1: "the budget of evaluations is spent",
    2: "the budget of iterations is spent",
    3: "the callback asked to stop",
    4: "interrupted; x is the best so far",
}


def minimize(
    fun: Callable[..., Any],
    x0: ArrayLike,
    args: tuple[Any, ...] = (),
    method: str = "polystep",
    bounds: Any = None,
    *,
    callback: Callable[..., Any] | None = None,
    seed: int | np.random.Generator | None = None,
    maxiter: int | None = None,
    maxfev: int | None = None,
    tol: float = 1e-8,
    vectorized: bool = False,
    workers: int | Callable[..., Any] = 1,
    progress: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """Minimize a function of several variables without its gradient.

    Use it when `fun` is a black box; write the loop with `ask` and `tell` yourself when the
    evaluations need more than one call.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args) -> float`` for x of shape (d,); with `vectorized`,
        ``fun(X, *args) -> (n,)`` for X of shape (n, d). NaN and infinities count as worst.
    x0 : array_like, shape (d,)
        Start.
    args : tuple, default ()
        Further arguments of `fun`.
    method : str, default "polystep"
        One of `thalweg.search.methods()`.
    bounds : optional
        d pairs (low, high), or `Bounds`, scipy's or ours; no point outside is evaluated.
    callback : callable, optional
        Called after every step, as in scipy: with ``intermediate_result=`` an OptimizeResult if
        its only parameter has that name, else with the best x. StopIteration or a true return
        value ends the search.
    seed : None, int or numpy Generator
        Seed; the same one gives the same run, whatever `workers` is.
    maxiter, maxfev : int, optional
        Budgets of steps and evaluations; default 1000 d evaluations. A step that would exceed
        `maxfev` is not begun.
    tol : float, default 1e-8
        The search has converged when its step length falls below this.
    vectorized : bool, default False
        See `fun`; rows are points (scipy's differential_evolution has columns).
    workers : int or map-like callable, default 1
        Processes that evaluate `fun` (-1 for one a core; `fun` must pickle), or a callable
        ``workers(fun, points)`` such as ``pool.map``.
    progress : bool, default False
        Show a progress bar (needs tqdm).
    options : mapping, optional
        Settings of the method, such as those of `PolyStep`.

    Returns
    -------
    OptimizeResult
        `x`, `fun`, `success`, `status`, `message`, `nfev`, `nit`, `nonfinite`, `searcher`.
        Ctrl-C returns the best so far, with status 4.

    Raises
    ------
    ValueError, TypeError
        For arguments out of range, or if `fun` returns the wrong number of costs.

    Examples
    --------
    >>> import numpy as np
    >>> result = minimize(lambda x: ((x - 1) ** 2).sum(), np.zeros(4), seed=0)
    >>> bool(result.fun < 1e-10)
    True
    """
    start = as_start(x0)
    if vectorized and workers != 1:
        raise ValueError(
            f"workers must be 1 with vectorized=True, got {workers!r}; drop one of the two"
        )
    box = as_bounds(bounds, start.shape[-1])
    searcher = make(method, start, bounds=box, seed=seed, **(options or {}))
    if maxfev is None and maxiter is None:
        maxfev = 1000 * start.shape[-1]
    call = partial(_call, fun, args)
    run = _Run(searcher, maxfev, maxiter, tol, _adapt(callback))
    with _mapper(workers, call) as mapper, _bar(progress, maxfev) as bar:
        try:
            while run.status is None:
                points = searcher.ask()
                if run.exhausted(len(points)):
                    break
                if vectorized:
                    costs = as_costs(fun(points, *args))
                    run.note(points, costs)
                else:
                    costs = np.empty(len(points))
                    for i, cost in enumerate(mapper(call, points)):
                        costs[i] = as_cost(cost)
                        run.note(points[i : i + 1], costs[i : i + 1])
                searcher.tell(costs)
                bar(run)
                run.stop_rules()
        except KeyboardInterrupt:
            run.status, run.message = 4, _REASONS[4]
    return run.result()


class _Run:
    """Budgets, the best point and the reason to stop."""

    def __init__(
        self,
        searcher: Searcher,
        maxfev: int | None,
        maxiter: int | None,
        tol: float,
        callback: Callable[[Any], Any] | None,
    ) -> None:
        for name, value in (("maxfev", maxfev), ("maxiter", maxiter)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be >= 1, got {value}; raise the budget")
        self.searcher, self.tol, self.callback = searcher, tol, callback
        self.maxfev, self.maxiter = maxfev, maxiter
        self.nfev = self.nit = self.nonfinite = 0
        self.status: int | None = None
        self.message = ""
        self.x, self.fun = np.asarray(searcher.best[0]).copy(), math.inf

    def exhausted(self, count: int) -> bool:
        # The first step is taken whatever it costs: a result without an evaluation is none.
        if self.nit and self.maxfev is not None and self.nfev + count > self.maxfev:
            self.status, self.message = 1, _REASONS[1]
        return self.status is not None

    def note(self, points: Array, costs: Array) -> None:
        if len(points) != len(costs):
            raise ValueError(
                f"fun must return {len(points)} costs, got {len(costs)}; return one cost a row"
            )
        finite = np.isfinite(costs)
        self.nfev += len(costs)
        self.nonfinite += int(len(costs) - finite.sum())
        if finite.any():
            best = int(np.argmin(np.where(finite, costs, np.inf)))
            if costs[best] < self.fun:
                self.x, self.fun = points[best].copy(), float(costs[best])

    def stop_rules(self) -> None:
        self.nit += 1
        if self.callback is not None:
            try:
                stop = self.callback(self.result())
            except StopIteration:
                stop = True
            if stop:
                self.status, self.message = 3, _REASONS[3]
                return
        reason = self.searcher.converged(self.tol)
        if reason is not None:
            self.status, self.message = 0, reason
        elif self.maxiter is not None and self.nit >= self.maxiter:
            self.status, self.message = 2, _REASONS[2]

    def result(self) -> Any:
        message = self.message or "running"
        if self.nonfinite:
            message += f"; {self.nonfinite} of {self.nfev} costs were NaN or infinite"
        return result_class()(
            x=self.x,
            fun=self.fun,
            success=self.status == 0,
            status=self.status,
            message=message,
            nfev=self.nfev,
            nit=self.nit,
            nonfinite=self.nonfinite,
            searcher=self.searcher,
        )


def _call(fun: Callable[..., Any], args: tuple[Any, ...], x: Array) -> Any:
    return fun(x, *args)


def as_cost(cost: Any) -> float:
    """One real number from what a function returned."""
    if getattr(cost, "requires_grad", False):
        raise TypeError(
            "fun must return a plain number, got a tensor that carries gradients; "
            "evaluate under torch.no_grad()"
        )
    if np.iscomplexobj(cost) or np.size(cost) != 1:
        raise ValueError(
            f"fun must return one real number, got {cost!r}; reduce it, for instance with sum()"
        )
    try:
        return float(np.asarray(cost).reshape(()))
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"fun must return one real number, got {cost!r}; return the cost"
        ) from error


def _adapt(callback: Callable[..., Any] | None) -> Callable[[Any], Any] | None:
    """Follow scipy: a lone parameter `intermediate_result` gets the result, any other the x."""
    if callback is None:
        return None
    try:
        names = list(inspect.signature(callback).parameters)
    except ValueError:
        names = []
    if names == ["intermediate_result"]:
        return lambda result: callback(intermediate_result=result)
    return lambda result: callback(result.x)


@contextmanager
def _mapper(workers: int | Callable[..., Any], call: Any) -> Iterator[Callable[..., Any]]:
    if callable(workers):
        yield workers
    elif workers == 1:
        yield map
    else:
        from multiprocessing import Pool, cpu_count

        if workers != -1 and workers < 1:
            raise ValueError(f"workers must be >= 1 or -1, got {workers}; -1 is one a core")
        try:
            pickle.dumps(call)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise TypeError(
                f"fun and args must be picklable with workers={workers}, got {error}; define fun "
                "at the top of a module, or pass workers=pool.map of a thread pool"
            ) from error
        with Pool(cpu_count() if workers == -1 else workers) as pool:
            yield pool.map


@contextmanager
def _bar(progress: bool, total: int | None) -> Iterator[Callable[[_Run], None]]:
    if not progress:
        yield lambda run: None
        return
    with require("tqdm").tqdm(total=total, unit="eval") as bar:

        def show(run: _Run) -> None:
            bar.update(run.nfev - bar.n)
            bar.set_postfix(best=f"{run.fun:.4g}")

        yield show
