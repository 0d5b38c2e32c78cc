"""A group of parameters on a device: its options, and its state to the host and back."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg import _core
from thalweg._start import Spec
from thalweg.steps import precision
from thalweg.steps.rule import Rule, _Host

Array = NDArray[Any]

_STORED: dict[str, type[np.generic]] = {
    "float32": np.float32,
    "bfloat16": np.uint16,
    "int8": np.uint8,
}


class Group:
    """Parameters that share their options.

    Attributes
    ----------
    hyper : dict
        The options; change them with `Steps.set`.
    shapes : list of tuple
        Shapes of the parameters.
    """

    def __init__(self, host: Rule, members: list[Array], first: int) -> None:
        self.rule = host.rule
        self.class_name = type(host).__name__
        self.hyper = host.hyper
        self.shapes = [member.shape for member in members]
        self.first = first
        self._members: list[Array] | None = members
        self._cls = type(host)

    @property
    def names(self) -> list[str]:
        """Names of the states."""
        return [name for name, *_ in self._specs()]

    def _specs(self) -> list[Spec]:
        return list(_core.optim_states(self.rule, self.hyper))

    def sizes(self) -> list[tuple[int, tuple[int, int] | None]]:
        """Elements of each parameter, and rows and columns of those that are matrices."""
        return [(_size(shape), _matrix(shape)) for shape in self.shapes]

    def start(self, core: _core.GpuSteps) -> None:
        """Send parameters, and states that do not start from zeros."""
        members, self._members = self._members or [], None
        host = _Host([*[np.empty(0, np.float32)] * self.first, *members])
        for local, member in enumerate(members):
            _write(core, self.first + local, "param", 0, member)
            for k, spec in enumerate(self._specs()):
                if spec[1] != "constant" or spec[2] != 0.0:
                    # In the order of elements, whatever that of the parameter's memory.
                    flat = np.ascontiguousarray(member)
                    host.params[self.first + local] = flat
                    new = host.init(flat, [spec], self.hyper)
                    self._push(core, local, k, spec[0], new)

    def _push(
        self, core: _core.GpuSteps, local: int, k: int, name: str, entry: Mapping[str, Array]
    ) -> None:
        _write(core, self.first + local, "state", k, entry[name])
        if self.hyper["state_dtype"] == "int8":
            _write(core, self.first + local, "scale", k, entry[f"{name}_scale"])

    def push_states(self, core: _core.GpuSteps, local: int, wide: Mapping[str, Array]) -> None:
        """Send states that are given in float32."""
        kind = self.hyper["state_dtype"]
        for k, name in enumerate(self.names):
            value = np.ascontiguousarray(wide[name], np.float32)
            entry = {name: value} if kind == "float32" else precision.stored(name, value, kind)
            self._push(core, local, k, name, entry)

    def pull(self, core: _core.GpuSteps) -> dict[int, dict[str, Array]]:
        """Return the state of every parameter that was stepped, as `thalweg.steps` keeps it."""
        found: dict[int, dict[str, Array]] = {}
        kind = self.hyper["state_dtype"]
        counted = _counts(self.rule) or kind != "float32"
        scalars = _core.optim_traits(self.rule, self.hyper)["scalars"]
        for local, shape in enumerate(self.shapes):
            number = self.first + local
            clock, stepped, numbers = core.counters(number)
            if not stepped:
                continue
            entry: dict[str, Array] = {}
            if counted:
                entry["step"] = np.full((), float(clock))
            for k, name in enumerate(self.names):
                entry[name] = _read(core, number, "state", k, shape, _STORED[kind])
                if kind == "int8":
                    blocks = (-(-_size(shape) // precision.BLOCK),)
                    entry[f"{name}_scale"] = _read(core, number, "scale", k, blocks, np.float32)
            for name, _, _, count in scalars:
                entry[name] = np.array(numbers[0] if count == 1 else numbers[:count])
                numbers = numbers[count:]
            if entry:
                found[local] = entry
        return found

    def state_dict(self, core: _core.GpuSteps) -> dict[str, Any]:
        """Return what the class of the rule in `thalweg.steps` would."""
        return {
            "rule": self.rule,
            "hyper": deepcopy(self.hyper),
            "state": self.pull(core),
            "shapes": list(self.shapes),
        }

    def admit(self, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        """Return a state dict in this group's precision, checked."""
        if state_dict.get("rule") != self.rule:
            raise ValueError(
                f"state_dict must be of rule {self.rule!r}, got {state_dict.get('rule')!r}; "
                "load it into an object of the rule that saved it"
            )
        shapes = state_dict.get("shapes")
        if shapes is not None and [tuple(shape) for shape in shapes] != self.shapes:
            raise ValueError(
                f"state_dict must be of parameters of shapes {self.shapes}, got {shapes}; "
                "load it into an object with the parameters it was saved from"
            )
        kind = self.hyper["state_dtype"]
        hyper = {**deepcopy(state_dict["hyper"]), "state_dtype": kind}
        _core.optim_check(self.rule, hyper, hyper["on_nonfinite"])
        state = {
            int(local): precision.load(dict(entry), kind)
            for local, entry in state_dict["state"].items()
        }
        for local, entry in state.items():
            for name in self.names:
                if name not in entry or entry[name].shape != self.shapes[local]:
                    raise ValueError(
                        f"state {name!r} of parameter {local} must have shape "
                        f"{self.shapes[local]}; load the state of these parameters"
                    )
        return {"hyper": hyper, "state": state}

    def load(self, core: _core.GpuSteps, new: Mapping[str, Any]) -> None:
        """Send an admitted state."""
        self.hyper = new["hyper"]
        scalars = _core.optim_traits(self.rule, self.hyper)["scalars"]
        for local, entry in new["state"].items():
            single = {
                name: value.astype(np.float32) if value.dtype == np.float64 else value
                for name, value in entry.items()
            }
            for k, name in enumerate(self.names):
                self._push(core, local, k, name, single)
            clock = int(entry["step"]) if "step" in entry else 0
            numbers = [float(x) for name, *_ in scalars for x in np.ravel(entry[name])]
            core.set_counters(self.first + local, clock, True, numbers)

    def changed(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options with some of them changed, checked."""
        for name, value in options.items():
            if name not in self.hyper:
                raise TypeError(
                    f"{self.class_name} has no option {name!r}; it has {', '.join(self.hyper)}"
                )
            if name == "state_dtype" and value != self.hyper[name]:
                raise ValueError(
                    f"state_dtype must stay {self.hyper[name]!r}, got {value!r}; make a new object "
                    "and load this one's state_dict"
                )
        return dict(self._cls(**{**self.hyper, **options}).hyper)

    def check_mode(self) -> None:
        """Raise where the parameters hold another point than that of the gradients."""
        if self.hyper.get("train_mode", True) is not True:
            raise ValueError(
                f"train_mode must be True for a step of {self.class_name}, got "
                f"{self.hyper['train_mode']!r}; call train() first"
            )


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def _matrix(shape: tuple[int, ...]) -> tuple[int, int] | None:
    return (shape[0], _size(shape[1:])) if len(shape) >= 2 else None


def _counts(rule: str) -> bool:
    from thalweg._registry import rules

    return rules()[rule].counts


def _write(core: _core.GpuSteps, number: int, column: str, k: int, array: Array) -> None:
    core.write(number, column, k, np.ascontiguousarray(array).reshape(-1).view(np.uint8))


def _read(
    core: _core.GpuSteps,
    number: int,
    column: str,
    k: int,
    shape: tuple[int, ...],
    dtype: type[np.generic],
) -> Array:
    out = np.empty(shape, dtype)
    core.read(number, column, k, out.reshape(-1).view(np.uint8))
    return out


__all__ = ["Group"]
