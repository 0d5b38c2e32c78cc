"""What every aggregator shares: calling, state, bad input."""

from __future__ import annotations

import copy
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from thalweg.aggregate._rows import Rows, Vector, is_tensor

# A combination of rows is shorter than this times them only by rounding of their float64 Gramian
# (1e-8), as far as that alone can tell.
_RESOLVED = 1e-7


class Aggregator(ABC):
    """Turns a Jacobian, a gradient a row, into one update direction.

    Call it with a Jacobian: a numpy array or torch tensor of shape (m, d), which gives a vector of
    shape (d,), or a list of per-parameter Jacobians of shapes (m, ...), which gives a list.
    """

    _arguments: tuple[str, ...] = ()
    _state: tuple[str, ...] = ()

    def __call__(self, jacobian: Any) -> Any:
        """Aggregate.

        Parameters
        ----------
        jacobian : ndarray or Tensor of shape (m, d), or list of them of shape (m, ...)
            A row for each loss. Not modified.

        Returns
        -------
        ndarray or Tensor of shape (d,), or list
            The update, of the dtype, device and form of `jacobian`. All NaN if `jacobian` holds NaN
            or infinity; state is then left as it was.

        Raises
        ------
        TypeError
            If `jacobian` is of another kind or dtype.
        ValueError
            If the number of rows does not suit, or shapes disagree.
        """
        return self._aggregate(Rows(jacobian))

    @abstractmethod
    def _aggregate(self, rows: Rows) -> Any: ...

    def reset(self) -> None:  # noqa: B027  (most aggregators have nothing to forget)
        """Forget what earlier calls left behind."""

    def state_dict(self) -> dict[str, Any]:
        """State between calls; empty for an aggregator that has none."""
        return {name: copy.deepcopy(getattr(self, "_" + name)) for name in self._state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises
        ------
        ValueError
            If the keys are not those of this class.
        """
        if set(state) != set(self._state):
            raise ValueError(
                f"state must be of keys {sorted(self._state)}, got {sorted(state)}; "
                f"load the state of a {type(self).__name__}"
            )
        for name in self._state:
            setattr(self, "_" + name, copy.deepcopy(state[name]))

    def __repr__(self) -> str:
        arguments = (f"{name}={getattr(self, name)!r}" for name in self._arguments)
        return f"{type(self).__name__}({', '.join(arguments)})"


class Weighted(Aggregator):
    """An aggregator whose update is a weighted sum of the rows, by their Gramian alone.

    It needs two passes over the Jacobian, and `weights` serves where only the Gramian is at hand.
    """

    # Vanishing combinations are returned as exact zeros where 0 has a meaning: Pareto stationarity.
    # A Gramian does not resolve lengths below 1e-8 of its rows, so that 1e-10 of them is rounding.
    _zeros = False

    def _aggregate(self, rows: Rows) -> Any:
        gramian = rows.gramian()
        if not np.isfinite(gramian).all():
            return rows.nan()
        weights = self._weights(gramian)
        below = -1.0
        if self._zeros:
            below = 1e-10 * float(np.abs(weights) @ np.sqrt(np.diag(gramian)))
        return rows.combine(weights, below)

    def _vanishes(self, gramian: Vector, weights: Vector) -> bool:
        """Whether an update that may be zero is, as far as a Gramian resolves it."""
        if not self._zeros or not np.isfinite(weights).all():
            return False
        size = float(np.abs(weights) @ np.sqrt(np.diag(gramian)))
        return float(weights @ gramian @ weights) <= (_RESOLVED * size) ** 2

    def weights(self, gramian: Any) -> Any:
        """Weights of the rows.

        Parameters
        ----------
        gramian : ndarray or Tensor of shape (m, m)
            Inner products of the gradients.

        Returns
        -------
        ndarray or Tensor of shape (m,)
            Weights, of the kind of `gramian`; NaN if it is not finite.

        Raises
        ------
        ValueError
            If it is not square, or m does not suit.
        """
        array = gramian.detach().cpu().double().numpy() if is_tensor(gramian) else gramian
        array = np.ascontiguousarray(array, dtype=np.float64)
        if array.ndim != 2 or array.shape[0] != array.shape[1] or not array.shape[0]:
            raise ValueError(
                f"gramian must be of shape (m, m), m at least 1, got {array.shape}; "
                "pass jacobian @ jacobian.T"
            )
        finite = bool(np.isfinite(array).all())
        out = self._weights(array) if finite else np.full(len(array), np.nan)
        if is_tensor(gramian):
            torch = sys.modules["torch"]
            return torch.as_tensor(out).to(gramian)
        return out

    @abstractmethod
    def _weights(self, gramian: Vector) -> Vector: ...


class Linear(Weighted):
    """Weights that depend on the number of rows alone: no Gramian is needed."""

    def _aggregate(self, rows: Rows) -> Any:
        if not rows.is_finite():
            return rows.nan()
        return rows.combine(self._fixed(rows.m))

    def _weights(self, gramian: Vector) -> Vector:
        return self._fixed(len(gramian))

    @abstractmethod
    def _fixed(self, m: int) -> Vector: ...


def vector(values: Any, name: str) -> Vector | None:
    """A preference or weight vector as float64, checked."""
    if values is None:
        return None
    if is_tensor(values):
        values = values.detach().cpu().numpy()
    out: Vector = np.array(values, dtype=np.float64)
    if out.ndim != 1 or not np.isfinite(out).all():
        raise ValueError(
            f"{name} must be a vector of finite numbers, got {values!r}; give one for each loss"
        )
    return out


def number(
    value: Any, name: str, low: float, high: float = np.inf, *, right_open: bool = False
) -> float:
    """`value` as a float in [low, high], or [low, high) where `right_open`."""
    out = float(value)
    # Written so that NaN is refused.
    if not (low <= out <= high) or (right_open and out == high) or out == np.inf:
        close = ")" if right_open or high == np.inf else "]"
        allowed = f"in [{low:g}, {high:g}{close}"
        raise ValueError(f"{name} must be {allowed}, got {value!r}; see the class for usual values")
    return out


def integer(value: Any, name: str, low: int) -> int:
    """`value` as an integer >= low."""
    if isinstance(value, bool) or int(value) != value or value < low:
        raise ValueError(f"{name} must be an integer >= {low}, got {value!r}; see the class")
    return int(value)


def choice(value: str, name: str, allowed: Sequence[str]) -> str:
    """`value` if it is one of `allowed`."""
    if value not in allowed:
        words = ", ".join(repr(word) for word in allowed)
        raise ValueError(f"{name} must be one of {words}, got {value!r}; choose one of these")
    return value


def seed_of(seed: Any) -> int:
    """A 63-bit key from None (fresh), an integer or a generator (which moves on)."""
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0]) >> 1
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(1 << 63))
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed must be None, an integer >= 0 or a Generator, got {seed!r}; pass 0")
    return int(seed)


def same_losses(known: int, m: int, name: str) -> None:
    """Refuse a change of the number of losses in the middle of a run."""
    if known != m:
        raise ValueError(
            f"the number of rows of the Jacobian must be {known}, as in earlier calls of {name}, "
            f"got {m}; call reset() before a new problem"
        )


Floats = npt.NDArray[np.float64]
