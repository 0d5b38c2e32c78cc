"""What a search returns: the best candidate, and scipy's result or one that behaves alike."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Best", "OptimizeResult", "result_class"]


class Best(NamedTuple):
    """The cheapest candidate so far and its cost."""

    x: NDArray[np.float64]
    cost: float


@cache
def result_class() -> type[Any]:
    """The class of scipy, imported on first use because that is slow, or the one below."""
    try:
        from scipy.optimize import OptimizeResult as Scipy
    except ImportError:
        return OptimizeResult
    return Scipy  # type: ignore[no-any-return]


class OptimizeResult(dict[str, Any]):
    """A dict whose entries are attributes too, as scipy.optimize.OptimizeResult.

    Attributes
    ----------
    x : ndarray
        Best point.
    fun : float
        Its cost.
    success : bool
        Whether the search ended by its own rule.
    status : int
        0 converged, 1 evaluations, 2 iterations, 3 callback, 4 interrupted.
    message : str
        Why it ended.
    nfev, nit : int
        Evaluations and steps.
    nonfinite : int
        Evaluations that gave NaN or an infinity.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(name) from error

    __setattr__ = dict.__setitem__
    __delattr__ = dict.__delitem__

    def __repr__(self) -> str:
        width = max(map(len, self), default=0)
        return "\n".join(f"{name:>{width}}: {value!r}" for name, value in self.items())

    def __dir__(self) -> list[str]:
        return list(self)
