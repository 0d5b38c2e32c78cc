"""Searchers by name, for `thalweg.search.minimize`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Searcher", "make", "methods", "register"]


class Searcher(Protocol):
    """What `minimize` needs of a method: candidates, their costs, the best of them.

    ``converged(tol)`` returns the reason to stop, or None; `best` is a pair (x, cost).
    """

    def ask(self) -> NDArray[np.float64]:
        """Candidates, shape (n, d)."""

    def tell(self, costs: ArrayLike) -> None:
        """Take the costs of the last candidates, shape (n,)."""

    def converged(self, tol: float) -> str | None:
        """Why the search is over, or None."""

    @property
    def best(self) -> tuple[NDArray[np.float64], float]:
        """The cheapest candidate so far and its cost."""


Factory = Callable[..., Searcher]
_FACTORIES: dict[str, Factory] = {}


def register(name: str, factory: Factory) -> None:
    """Make a searcher known to `minimize`.

    Parameters
    ----------
    name : str
        Name of the method, lower case.
    factory : callable
        ``factory(x0, *, bounds, seed, **options)`` returns a `Searcher`.
    """
    _FACTORIES[name.lower()] = factory


def methods() -> list[str]:
    """Names that `minimize` accepts."""
    return sorted(_FACTORIES)


def make(method: str, x0: ArrayLike, **settings: Any) -> Searcher:
    """A searcher by name; ValueError lists the names for an unknown one."""
    try:
        factory = _FACTORIES[method.lower()]
    except (KeyError, AttributeError):
        raise ValueError(
            f"method must be one of {methods()}, got {method!r}; choose one of these"
        ) from None
    return factory(x0, **settings)
