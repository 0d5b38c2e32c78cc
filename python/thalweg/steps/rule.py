"""The base of every rule on numpy arrays; classes are made from the native registry."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from thalweg import _core
from thalweg._registry import Rule as Entry
from thalweg._start import Spec, column_signs
from thalweg._views import exchange
from thalweg.steps import precision

Array = NDArray[Any]


class Rule:
    """A rule, its hyperparameters and its state.

    Hyperparameters are attributes and may change between steps. `state` maps the number of a
    parameter to its buffers by name.
    """

    rule: ClassVar[str]

    def __init__(self, *args: Any, **options: Any) -> None:
        bound = type(self).__signature__.bind(*args, **options)  # type: ignore[attr-defined]
        bound.apply_defaults()
        self.hyper: dict[str, Any] = dict(bound.arguments)
        self.state: dict[int, dict[str, Array]] = {}
        self._shapes: list[tuple[int, ...]] | None = None
        self._check()

    def _check(self) -> None:
        _core.optim_check(self.rule, self.hyper, self.hyper["on_nonfinite"])

    def __getattr__(self, name: str) -> Any:
        if name != "hyper" and name in self.hyper:
            return self.hyper[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__.get("hyper", {}):
            old = self.hyper[name]
            self.hyper[name] = value
            try:
                self._check()
            except Exception:
                self.hyper[name] = old
                raise
        else:
            object.__setattr__(self, name, value)

    def step(
        self,
        params: Sequence[Array],
        grads: Sequence[Array | None],
        *,
        loss: float | None = None,
    ) -> None:
        """Step every parameter that has a gradient, in place.

        Parameters
        ----------
        params : list of ndarray
            float32 or float64, of any shape, and the same list at every step.
        grads : list of ndarray or None
            Their gradients; a parameter whose gradient is None stays as it is.
        loss : float, optional
            The value of the loss there, for the rules that ask for it.

        Raises
        ------
        ValueError, TypeError
            For shapes, types or memory that do not fit; parameters and state are then as before.
        """
        params, grads = list(params), list(grads)
        if self.hyper.get("train_mode", True) is not True:
            raise ValueError(
                f"train_mode must be True for a step of {type(self).__name__}, got "
                f"{self.hyper['train_mode']!r}; call train(params) first"
            )
        if len(params) != len(grads):
            raise ValueError(
                f"grads must be as many as params, got {len(grads)} for {len(params)}; "
                "pass None for a parameter without gradient"
            )
        for what, arrays in (("params", params), ("grads", grads)):
            for number, array in enumerate(arrays):
                if not isinstance(array, np.ndarray) and (what == "params" or array is not None):
                    raise TypeError(
                        f"{what}[{number}] must be a numpy array, got {type(array).__name__}; "
                        "convert it with np.asarray once, before the first step"
                    )
        shapes = [array.shape for array in params]
        if self._shapes is not None and self._shapes != shapes:
            raise ValueError(
                f"params must be those of the first step, of shapes {self._shapes}, got shapes "
                f"{shapes}; make a new {type(self).__name__} for other parameters"
            )
        stepped = _core.optim_step(
            [(self.rule, self.hyper, params, grads)],
            self.state,
            _Host(params),
            1.0,
            self.hyper["on_nonfinite"],
            False,
            None if loss is None else float(loss),
        )
        if stepped is not None and not stepped[1]:
            self._shapes = shapes

    def eval(self, params: Sequence[Array]) -> None:
        """Put the point to use into the parameters, those of the steps.

        Nothing changes where gradients are taken at that point, as most rules do.
        """
        self._exchange(params, "eval")

    def train(self, params: Sequence[Array]) -> None:
        """Put the point where gradients are taken back into the parameters."""
        self._exchange(params, "train")

    def _exchange(self, params: Sequence[Array], mode: Literal["eval", "train"]) -> None:
        views = _core.optim_traits(self.rule, self.hyper)["views"]
        if views is None or self.hyper["train_mode"] is (mode == "train"):
            return
        shapes = [array.shape for array in params]
        if self._shapes is not None and self._shapes != shapes:
            raise ValueError(
                f"params must be those of the steps, of shapes {self._shapes}, got shapes {shapes}"
            )
        for number, state in self.state.items():
            buffers = {"param": params[number], **state}
            for name, value in exchange(views[mode], buffers).items():
                buffers[name][...] = value
        self.hyper["train_mode"] = mode == "train"

    def state_dict(self) -> dict[str, Any]:
        """Return copies of hyperparameters and state, ready to pickle."""
        return deepcopy(
            {
                "rule": self.rule,
                "hyper": self.hyper,
                "state": self.state,
                "shapes": self._shapes,
            }
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned, possibly of another object.

        `state_dtype` stays that of this object; state that was saved in another precision is
        converted, to nearest. What int8 or bfloat16 state stands for is kept exactly in float32.

        Raises
        ------
        ValueError
            If it belongs to another rule, or its hyperparameters are out of range.
        """
        if state_dict.get("rule") != self.rule:
            raise ValueError(
                f"state_dict must be of rule {self.rule!r}, got {state_dict.get('rule')!r}; "
                "load it into an object of the class that saved it"
            )
        loaded = deepcopy(state_dict)
        loaded["hyper"]["state_dtype"] = self.hyper["state_dtype"]
        _core.optim_check(self.rule, loaded["hyper"], loaded["hyper"]["on_nonfinite"])
        state = {
            number: precision.load(entry, self.hyper["state_dtype"])
            for number, entry in loaded["state"].items()
        }
        self.hyper, self.state = loaded["hyper"], state
        self._shapes = loaded["shapes"]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        shown = ", ".join(f"{key}={value!r}" for key, value in self.hyper.items())
        return f"{type(self).__name__}({shown})"


class _Host:
    """What the native step asks of numpy: new state, and stand-ins for unusual arrays."""

    torch = False

    def __init__(self, params: list[Array]) -> None:
        self.params = params

    def init(self, param: Array, missing: list[Spec], hyper: dict[str, Any]) -> dict[str, Array]:
        state: dict[str, Array] = {}
        for name, kind, value, count in missing:
            if kind in ("counter", "wide"):
                state[name] = np.full(() if count == 1 else (count,), value)
                continue
            dtype = param.dtype if param.dtype in _TYPES else np.dtype(np.float64)
            like = param if precision.is_dense(param) else np.ascontiguousarray(param)
            state[name] = np.full_like(like, value if kind == "constant" else 0.0, dtype=dtype)
            if kind in ("normal", "columns"):
                number = next(n for n, other in enumerate(self.params) if other is param)
                if kind == "columns":
                    own = hyper.get("update_sign") is None
                    seed = int(hyper["seed" if own else "update_sign_seed"])
                    state[name][...] = column_signs(param.shape, value, seed, number)
                else:
                    draws = np.empty(param.size)
                    _core.optim_normal(draws, int(hyper["seed"]), number)
                    state[name][...] = (draws * value).reshape(param.shape)
            if hyper["state_dtype"] != "float32":
                state.update(precision.stored(name, state[name], hyper["state_dtype"]))
        return state

    def conform(
        self,
        arrays: list[Array],
        _scales: list[Array | None],
        _low: None,
        ordered: bool = False,
    ) -> list[Array]:
        param, grad, *states = arrays
        for array, what in ((param, "parameter"), (grad, "gradient")):
            if array.dtype not in _TYPES or not array.dtype.isnative:
                raise TypeError(
                    f"each {what} must be float32 or float64, got {array.dtype}; convert it with "
                    "astype(np.float64)"
                )
        for state in states:
            if state.shape != param.shape:
                raise ValueError(
                    f"state of shape {state.shape} does not match its parameter of shape "
                    f"{param.shape}; load the state of this model"
                )
            if state.dtype == np.uint8 and not state.flags.c_contiguous:
                raise ValueError(
                    "a parameter with int8 state must keep its memory layout, got strides "
                    f"{param.strides}; pass the array of the first step"
                )
        if any(size > 1 and stride == 0 for size, stride in zip(param.shape, param.strides)):
            raise ValueError(
                f"parameter of shape {param.shape} and strides {param.strides} overlaps itself; "
                "pass a copy"
            )
        if not param.flags.writeable:
            raise ValueError(
                "each parameter and state must be writable, got a read-only array; pass a copy"
            )
        return [np.require(array, array.dtype, ["C", "A", "W"]) for array in arrays]

    @staticmethod
    def restore(array: Array, stand_in: Array) -> None:
        array[...] = stand_in

    @staticmethod
    def direction(param: Array) -> Array:
        return np.empty_like(param)


_TYPES = (np.dtype(np.float32), np.dtype(np.float64))


def make(entry: Entry) -> type[Rule]:
    """Return the class of a registry entry."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    plain = inspect.Parameter.POSITIONAL_OR_KEYWORD
    hyper = [
        inspect.Parameter(key, plain, default=default) for key, default in entry.defaults().items()
    ]
    engine = {
        "weight_decay": entry.weight_decay,
        "decay": entry.decay,
        "mask": None,
        "mask_scale": "mean",
        "maximize": False,
        "clip_norm": None,
        "clip_value": None,
        "update_sign": None,
        "update_sign_seed": 0,
        "on_nonfinite": "propagate",
        "state_dtype": "float32",
    }
    options = [inspect.Parameter(key, keyword, default=value) for key, value in engine.items()]
    lines = [f"    {key} : {allowed}" for key, _, allowed, _ in entry.fields]
    doc = (
        f"{entry.summary}\n\nSee `thalweg.optim.{entry.class_name}` for update and source.\n\n"
        "Parameters\n----------\n" + "\n".join(dict.fromkeys(line.strip() for line in lines))
    )
    namespace = {
        "rule": entry.name,
        "__doc__": doc,
        "__module__": "thalweg.steps",
        "__signature__": inspect.Signature([*hyper, *options]),
    }
    return type(entry.class_name, (Rule,), namespace)


__all__ = ["Rule", "make"]
