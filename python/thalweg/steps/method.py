"""The base of methods on numpy arrays that ask for gradients at points of their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
# From a list of arrays to a list like it, with None for what a function does not depend on.
Gradient = Callable[[list[Array]], Sequence[Any]]

_TYPES = (np.dtype(np.float32), np.dtype(np.float64))


class Method:
    """Hyperparameters, which are attributes, and state, which begins empty.

    Both are in `state_dict`; what takes functions, such as `prox`, keeps these outside.
    """

    hyper: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self._check()

    def _check(self) -> None:
        """Raise for hyperparameters outside their range."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Return copies of hyperparameters and state, ready to pickle."""
        hyper = {name: getattr(self, name) for name in self.hyper}
        return deepcopy({"method": type(self).__name__, "hyper": hyper, "state": self.state})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned, possibly of another object.

        Raises
        ------
        ValueError
            If it belongs to another method, or its hyperparameters are out of range; nothing is
            then loaded.
        """
        if state_dict.get("method") != type(self).__name__:
            raise ValueError(
                f"state_dict must be of {type(self).__name__}, got {state_dict.get('method')!r}; "
                "load it into an object of the class that saved it"
            )
        old = {name: getattr(self, name) for name in self.hyper}
        loaded = deepcopy(state_dict)
        try:
            self.__dict__.update(loaded["hyper"])
            self._check()
        except Exception:
            self.__dict__.update(old)
            raise
        self.state = loaded["state"]


def parameters(params: Any, name: str = "params") -> list[Array]:
    """A list of writable float32 or float64 arrays.

    Raises
    ------
    TypeError, ValueError
        If something else is in it.
    """
    if isinstance(params, np.ndarray) or not isinstance(params, Sequence):
        raise TypeError(
            f"{name} must be a list of numpy arrays, got {type(params).__name__}; pass [x]"
        )
    for number, array in enumerate(params):
        if not isinstance(array, np.ndarray):
            raise TypeError(
                f"{name}[{number}] must be a numpy array, got {type(array).__name__}; convert it "
                "with np.asarray once, before the first step"
            )
        if array.dtype not in _TYPES:
            raise TypeError(
                f"{name}[{number}] must be float32 or float64, got {array.dtype}; convert it with "
                "astype(np.float64)"
            )
        if not array.flags.writeable:
            raise ValueError(f"{name}[{number}] must be writable, got a read-only array; copy it")
    return list(params)


def derivative(values: Any, params: list[Array], name: str) -> list[Array | None]:
    """What a function returned as gradients of `params`, each of the type of its parameter.

    Raises
    ------
    TypeError, ValueError
        If number, type or shape do not fit, or an entry is NaN or infinite.
    """
    if isinstance(values, np.ndarray) or not isinstance(values, Sequence):
        raise TypeError(
            f"{name} must return a list of arrays, got {type(values).__name__}; one a parameter"
        )
    if len(values) != len(params):
        raise ValueError(
            f"{name} must return {len(params)} arrays, got {len(values)}; one a parameter, None "
            "where it does not depend on it"
        )
    found: list[Array | None] = []
    for number, (value, p) in enumerate(zip(values, params)):
        if value is None:
            found.append(None)
            continue
        if not isinstance(value, np.ndarray) or value.shape != p.shape:
            given = getattr(value, "shape", type(value).__name__)
            raise ValueError(
                f"{name} must return an array of shape {p.shape} for params[{number}], got "
                f"{given}; return its gradient"
            )
        if not np.isfinite(value).all():
            raise ValueError(
                f"{name} must return finite gradients, got NaN or infinity for params[{number}]; "
                "take smaller steps or look at the data"
            )
        # A copy: functions may return the same buffer again.
        found.append(value.astype(p.dtype))
    return found


def at(function: Any, name: str, params: list[Array]) -> Callable[[list[Array]], Any]:
    """A checked `function` that gets copies, so that it cannot change what the method holds."""
    if not callable(function):
        raise TypeError(
            f"{name} must be a function of the list of parameters, got {type(function).__name__}; "
            "pass one that returns gradients"
        )

    def call(points: list[Array]) -> list[Array | None]:
        return derivative(function([point.copy() for point in points]), params, name)

    return call


def number(name: str, value: Any, low: float, open_: bool, fix: str) -> None:
    """Raise unless `value` is a finite number above `low`, or equal to it where not `open_`.

    Raises
    ------
    TypeError, ValueError
        If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating, np.integer)):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}; {fix}")
    if not math.isfinite(value) or value < low or (open_ and value == low):
        sign = ">" if open_ else ">="
        raise ValueError(f"{name} must be finite and {sign} {low:g}, got {value!r}; {fix}")


def choice(name: str, value: Any, allowed: Sequence[str]) -> None:
    """Raise unless `value` is one of the words.

    Raises
    ------
    ValueError
        If it is not.
    """
    if value not in allowed:
        words = ", ".join(map(repr, allowed))
        raise ValueError(f"{name} must be one of {words}, got {value!r}; choose one of these")


__all__ = ["Array", "Gradient", "Method", "at", "choice", "derivative", "number", "parameters"]
