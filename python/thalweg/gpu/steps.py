"""Parameters and states on a device, and the rules that step them there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg import _core, steps
from thalweg._registry import rules
from thalweg._views import exchange
from thalweg.gpu.device import Adapter, chosen
from thalweg.gpu.group import Group

Array = NDArray[Any]


class Steps:
    """Step parameters that live on a device, with any rule of `thalweg.steps`.

    Use it for long runs whose gradients come from the host, or to try a rule on a card that torch
    does not know. Parameters and state stay on the device; a step sends gradients alone.

    Parameters
    ----------
    rule : str
        Name of a rule, such as ``"adamw"``.
    params : list of ndarray, or list of dict
        float32, of any shape; copied to the device, the arrays stay as they are. A dict holds
        ``"params"`` and options of that group, such as ``"lr"``.
    adapter : str or int, optional
        A part of the name, or the number, of one of `thalweg.gpu.adapters`.
    max_binding : int, optional
        The most bytes that a shader sees at once, a multiple of 1024 from 4096 on; what the adapter
        allows by default. Longer lists are cut.
    **options
        Hyperparameters of the rule and options of the engine, as the class of the rule in
        `thalweg.steps` takes them: `lr`, `weight_decay`, `decay`, `mask`, `mask_scale`,
        `maximize`, `clip_norm`, `clip_value`, `on_nonfinite`, `state_dtype`, ...

    Attributes
    ----------
    adapter : Adapter
        What it runs on.
    groups : list of Group
        The groups, in order. ``groups[k].hyper`` are their options; `set` changes them.

    Raises
    ------
    TypeError
        If a parameter is not a float32 array, or an option is unknown.
    ValueError
        For a rule, an option or an adapter that there is not, or a tensor that is too large.
    MemoryError
        If the device has not enough memory; nothing stays there.
    RuntimeError
        If there is no adapter, or the device is lost: make a new object from the last `download`.

    Notes
    -----
    All arithmetic is in float32, where the CPU reduces in float64; see ``docs/gpu.md`` for how far
    results differ, rule by rule. Rules that measure, `clip_norm`, `on_nonfinite` other than
    ``"propagate"`` and cautious masks wait for the device once a step; others do not wait.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg import gpu
    >>> x = np.array([1.0, -2.0], np.float32)
    >>> device = gpu.Steps("lion", [x], lr=0.5)  # doctest: +SKIP
    >>> device.step([np.array([3.0, -1.0], np.float32)])  # doctest: +SKIP
    >>> device.download()  # doctest: +SKIP
    [array([ 0.5, -1.5], dtype=float32)]
    """

    def __init__(
        self,
        rule: str,
        params: Sequence[Array] | Sequence[Mapping[str, Any]],
        *,
        adapter: str | int | None = None,
        max_binding: int | None = None,
        **options: Any,
    ) -> None:
        if rule not in rules():
            raise ValueError(f"rule must be one of {', '.join(rules())}, got {rule!r}; see docs")
        cls = getattr(steps, rules()[rule].class_name)
        self.groups: list[Group] = []
        for members, own in _split(params):
            first = sum(len(group.shapes) for group in self.groups)
            self.groups.append(Group(cls(**{**options, **own}), members, first))
        self._core = _core.GpuSteps(
            [(rule, group.hyper, group.sizes()) for group in self.groups],
            chosen(adapter),
            None if max_binding is None else int(max_binding),
        )
        self._active: list[int] | None = None
        self.adapter = Adapter(**self._core.adapter)
        for group in self.groups:
            group.start(self._core)

    def step(
        self,
        grads: Sequence[Array | None] | None = None,
        *,
        loss: float | None = None,
        grad_scale: float = 1.0,
    ) -> None:
        """Step every parameter that has a gradient.

        Parameters
        ----------
        grads : list of ndarray or None, optional
            Gradients of all parameters, float32 and of their shapes; a parameter whose gradient is
            None stays as it is. Left out, those of the last step, which are still on the device.
        loss : float, optional
            The value of the loss there, for the rules that ask for it.
        grad_scale : float, default 1.0
            What gradients are divided by first, not 0.

        Raises
        ------
        ValueError, TypeError
            For shapes and types that do not fit, or what the rule refuses; parameters and state are
            then as before.
        RuntimeError
            If the device is lost, with what lay on it.
        """
        for group in self.groups:
            group.check_mode()
        if not grad_scale:
            raise ValueError("grad_scale must not be 0, got 0; pass the scale of the loss")
        if grads is not None:
            given = self._gradients(list(grads))
            for number, grad in given.items():
                self._core.write(number, "grad", 0, _bytes(grad))
            self._active = list(given)
        if self._active is None:
            raise ValueError("grads must be given in the first step; pass a list of arrays")
        policy = self.groups[0].hyper["on_nonfinite"] if self.groups else "propagate"
        self._core.step(
            self._active, policy, None if loss is None else float(loss), float(grad_scale)
        )

    def _gradients(self, grads: list[Array | None]) -> dict[int, Array]:
        shapes = [shape for group in self.groups for shape in group.shapes]
        if len(grads) != len(shapes):
            raise ValueError(
                f"grads must be as many as params, got {len(grads)} for {len(shapes)}; "
                "pass None for a parameter without gradient"
            )
        given: dict[int, Array] = {}
        for number, (grad, shape) in enumerate(zip(grads, shapes)):
            if grad is None:
                continue
            single(f"grads[{number}]", grad)
            if grad.shape != shape:
                raise ValueError(
                    f"grads[{number}] of shape {grad.shape} does not match its parameter of shape "
                    f"{shape}; pass the gradient of this parameter"
                )
            given[number] = grad
        return given

    def finish(self) -> None:
        """Wait until all steps are done; `download` does so itself."""
        self._core.finish()

    def download(self, out: Sequence[Array] | None = None) -> list[Array]:
        """Return the parameters, once all steps are done.

        Parameters
        ----------
        out : list of ndarray, optional
            Where to write them: float32 arrays of their shapes, such as those that were passed.

        Returns
        -------
        list of ndarray
            `out`, or new arrays.

        Raises
        ------
        ValueError, TypeError
            If an array of `out` does not fit; none is then changed.
        RuntimeError
            If the device is lost.
        """
        shapes = [shape for group in self.groups for shape in group.shapes]
        found = [np.empty(shape, np.float32) for shape in shapes]
        if out is not None:
            _check_out(out, shapes)
        for number, array in enumerate(found):
            self._core.read(number, "param", 0, _bytes(array))
        if out is None:
            return found
        for target, array in zip(out, found):
            target[...] = array
        return list(out)

    def upload(self, params: Sequence[Array]) -> None:
        """Replace the parameters by these arrays, float32 and of their shapes."""
        shapes = [shape for group in self.groups for shape in group.shapes]
        if len(params) != len(shapes):
            raise ValueError(f"params must be {len(shapes)} arrays, got {len(params)}; pass all")
        for number, (param, shape) in enumerate(zip(params, shapes)):
            single(f"params[{number}]", param)
            if param.shape != shape:
                raise ValueError(
                    f"params[{number}] of shape {param.shape} does not match that on the device, "
                    f"of shape {shape}; make a new object for other parameters"
                )
        for number, param in enumerate(params):
            self._core.write(number, "param", 0, _bytes(param))

    def set(self, *, group: int | None = None, **options: Any) -> None:
        """Change options from the next step on, such as ``lr``.

        Parameters
        ----------
        group : int, optional
            Which group; all by default.
        **options
            As in the constructor, but for `state_dtype`.

        Raises
        ------
        ValueError, TypeError
            For options out of range, or that would need other states; nothing is then changed.
        """
        chosen = self.groups if group is None else [self.groups[group]]
        news = [known.changed(options) for known in chosen]
        for known, new in zip(chosen, news):
            self._core.set_hyper(self.groups.index(known), known.rule, new)
            known.hyper = new

    def eval(self) -> None:
        """Put the point to use into the parameters, for rules that take gradients elsewhere."""
        self._exchange("eval")

    def train(self) -> None:
        """Put the point where gradients are taken back into the parameters."""
        self._exchange("train")

    def _exchange(self, mode: str) -> None:
        for number, group in enumerate(self.groups):
            views = _core.optim_traits(group.rule, group.hyper)["views"]
            if views is None or group.hyper["train_mode"] is (mode == "train"):
                continue
            for local, state in group.pull(self._core).items():
                param = np.empty(group.shapes[local], np.float32)
                self._core.read(group.first + local, "param", 0, _bytes(param))
                wide = {name: steps.dequantize(*_stored(state, name)) for name in group.names}
                changed = exchange(views[mode], {"param": param, **wide})
                if "param" in changed:
                    param[...] = changed.pop("param")
                    self._core.write(group.first + local, "param", 0, _bytes(param))
                group.push_states(self._core, local, {**wide, **changed})
            group.hyper["train_mode"] = mode == "train"
            self._core.set_hyper(number, group.rule, group.hyper)

    def state_dict(self) -> dict[str, Any]:
        """Return options and state, ready to pickle.

        Returns
        -------
        dict
            With one group, what the class of the rule in `thalweg.steps` returns and loads; with
            several, a list of these under ``"groups"``.
        """
        dicts = [group.state_dict(self._core) for group in self.groups]
        return dicts[0] if len(dicts) == 1 else {"groups": dicts}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned, of this class or of one in `thalweg.steps`.

        `state_dtype` stays that of this object, as in `thalweg.steps`. Parameters are not part of
        it; see `upload`.

        Raises
        ------
        ValueError
            If it belongs to another rule, or to parameters of other shapes.
        """
        dicts = state_dict.get("groups", [state_dict])
        if len(dicts) != len(self.groups):
            raise ValueError(
                f"state_dict must be of {len(self.groups)} groups, got {len(dicts)}; "
                "load it into an object with the groups it was saved from"
            )
        news = [group.admit(entry) for group, entry in zip(self.groups, dicts)]
        for number, (group, new) in enumerate(zip(self.groups, news)):
            self._core.set_hyper(number, group.rule, new["hyper"])
            group.load(self._core, new)

    def __repr__(self) -> str:
        tensors = sum(len(group.shapes) for group in self.groups)
        rule = self.groups[0].rule if self.groups else None
        return f"Steps({rule!r}, {tensors} parameters, on {self.adapter.name!r})"


def single(what: str, array: Any) -> None:
    """Raise unless an array is of float32."""
    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"{what} must be a numpy array, got {type(array).__name__}; convert it with np.asarray"
        )
    if array.dtype != np.float32:
        raise TypeError(
            f"{what} must be float32, got {array.dtype}; convert it with astype(np.float32), or "
            "use thalweg.steps, which computes in float64 too"
        )


def _split(
    params: Sequence[Array] | Sequence[Mapping[str, Any]],
) -> list[tuple[list[Array], dict[str, Any]]]:
    groups = []
    entries = list(params)
    if not any(isinstance(entry, Mapping) for entry in entries):
        entries = [{"params": entries}]
    first = 0
    for number, entry in enumerate(entries):
        if not isinstance(entry, Mapping) or "params" not in entry:
            raise TypeError(
                f"params[{number}] must be a dict with the key 'params', as the others, got "
                f"{type(entry).__name__}; pass arrays alone, or dicts alone"
            )
        own = dict(entry)
        members = list(own.pop("params"))
        for place, array in enumerate(members, first):
            single(f"params[{place}]", array)
        first += len(members)
        groups.append((members, own))
    return groups


def _check_out(out: Sequence[Array], shapes: list[tuple[int, ...]]) -> None:
    if len(out) != len(shapes):
        raise ValueError(f"out must be {len(shapes)} arrays, got {len(out)}; pass one a parameter")
    for number, (array, shape) in enumerate(zip(out, shapes)):
        single(f"out[{number}]", array)
        if array.shape != shape or not array.flags.writeable:
            raise ValueError(
                f"out[{number}] must be a writable array of shape {shape}, got shape "
                f"{array.shape}; pass the arrays that the object was made of, or None"
            )


def _stored(state: Mapping[str, Array], name: str) -> tuple[Array, Array | None]:
    return state[name], state.get(f"{name}_scale")


def _bytes(array: Array) -> Array:
    """Return the bytes of an array in the order of its elements, shared where they are in order."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
