"""ZO-RankSGD: descent from the order of candidates; their values are not needed."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from thalweg.search._around import Around
from thalweg.search.choices import _Choice
from thalweg.search.result import Best

__all__ = ["ZORankSGD"]


class ZORankSGD(Around):
    """ZO-RankSGD: descent from the order of candidates; their values are not needed.

    Use it where a person, or a test of pairs, says what is better but not by how much.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start.
    population : int, default 16
        Candidates m of an estimate, at least 2.
    ranked : int, optional
        How many of them, k, an order names, in [1, population]; default all.
    mu : float or schedule, default 0.1
        Spread of the candidates around x, > 0.
    lr : float or schedule, default 1.0
        Length of a step in directions (whose entries have deviations around 1), > 0.
    line_search : int, default 8
        Points lr, lr/2, lr/4, ... along the direction that a line search shows, after every
        estimate, with x and the best candidate; 0 takes the step lr without asking.
    bounds : d pairs (low, high), or `Bounds`, optional
        No candidate lies outside of this box.
    boundary : {"reflect", "resample", "transform"}, default "reflect"
        What becomes of a candidate outside: folded back, its coordinates drawn again uniformly,
        or none gets there, because the search runs in unbounded coordinates mapped into the box.
    seed : None, int or numpy Generator
        Seed of the draws.

    Attributes
    ----------
    x : ndarray, shape (d,)
        Where the search stands. With a line search this is the best that was shown.
    best : Best
        The cheapest candidate so far; where only orders were told, x and infinity.
    to_rank : int
        How many candidates `tell_ranking` takes for this step: `ranked` for an estimate, 1 for a
        line search.
    phase : {"estimate", "line search"}
        What is asked next.
    population, step, evaluations, nonfinite : int
        Candidates of the next step; steps, candidates judged and bad costs so far.

    Raises
    ------
    ValueError, TypeError
        For settings out of range, before anything happens.

    Notes
    -----
    Candidates ``x + mu xi_i``. Every pair (i better than j) that the order shows is an edge:
    ``g = mean over edges of (xi_j - xi_i)``, which is ``-sum_i w_i xi_i / |E|`` with
    ``w = m - 1 - 2 r`` for rank r and ``-k`` for candidates that were not ranked. Equals share
    the mean of their weights. A line search that leaves x where it is keeps the direction, and
    the next estimate goes into its running mean. O(m d) a step.

    The official code weighs with ``m - 2 r``, which adds the mean of the ranked candidates; this
    is the method of the paper.

    References
    ----------
    Tang, Rybin, Chang 2024, "Zeroth-Order Optimization Meets Human Feedback: Provable Learning via
    Ranking Oracles", ICLR, arXiv:2303.03751.

    Examples
    --------
    >>> import numpy as np
    >>> search = ZORankSGD(np.full(5, 3.0), ranked=3, seed=0)
    >>> while search.evaluations < 2000:
    ...     hidden = (search.ask() ** 2).sum(axis=1)
    ...     search.tell_ranking(np.argsort(hidden)[: search.to_rank])
    >>> bool((search.x**2).sum() < 0.05)
    True
    """

    method: ClassVar[str] = "zo_rank_sgd"

    def __init__(
        self,
        x0: ArrayLike,
        *,
        population: int = 16,
        ranked: int | None = None,
        mu: float | _Choice = 0.1,
        lr: float | _Choice = 1.0,
        line_search: int = 8,
        bounds: Any = None,
        boundary: str = "reflect",
        seed: int | np.random.Generator | None = None,
    ) -> None:
        settings = {
            "population": population, "ranked": ranked, "mu": mu, "lr": lr,
            "line_search": line_search,
        }  # fmt: skip
        super().__init__(x0, settings, bounds, boundary, seed)

    def tell_ranking(self, order: ArrayLike | Sequence[int | Sequence[int]]) -> None:
        """Move by an order of the candidates.

        Parameters
        ----------
        order : sequence of int or of groups of int
            Indices of the best `to_rank` candidates, the best first. Candidates in a group, such
            as ``[3, (0, 5), 1]``, are as good as each other.

        Raises
        ------
        ValueError
            For another number of indices than `to_rank`, an index that is out of range or named
            twice, or without a step; the step stays open.
        TypeError
            For what is no integer.
        """
        if not isinstance(order, (Sequence, np.ndarray)) or isinstance(order, str):
            raise TypeError(
                f"order must be a sequence of indices, got {type(order).__name__}; "
                "pass a list such as [2, 0, 1]"
            )
        groups = [_group(entry) for entry in order]
        try:
            self._core.tell_ranking([i for group in groups for i in group], list(map(len, groups)))
        except OverflowError as error:
            raise ValueError(
                f"order must be indices in [0, {self.population}), got {order}; "
                "count candidates from 0"
            ) from error

    @property
    def to_rank(self) -> int:
        """How many candidates `tell_ranking` takes for the next step, or for the open one."""
        return int(self._core.ranked() or 0)

    @property
    def phase(self) -> str:
        """What is asked next, or in the open step."""
        return self._core.phase()

    @property
    def best(self) -> Best:
        """The cheapest candidate so far and its cost; x and infinity where no cost was told."""
        found = super().best
        return found if np.isfinite(found.cost) else Best(self.x, np.inf)


def _group(entry: Any) -> list[int]:
    """The candidates of one place, as integers."""
    whole = isinstance(entry, (Sequence, np.ndarray)) and not isinstance(entry, str)
    entries = list(entry) if whole and np.ndim(entry) else [entry]
    try:
        if any(isinstance(i, (bool, np.bool_)) for i in entries):
            raise TypeError("a truth value")
        return [operator.index(i) for i in entries]
    except TypeError as error:
        raise TypeError(
            f"order must hold integers, got {entry!r}; pass indices of candidates, counted from 0"
        ) from error
