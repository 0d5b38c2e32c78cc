"""Whether a checkpoint fits an optimizer, and which of its entries belongs to which parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from thalweg import _core
from thalweg._registry import rules
from thalweg.optim import precision

if TYPE_CHECKING:
    from thalweg.optim.optimizer import Optimizer

# Of the layout of state and groups; a checkpoint of torch's has none.
VERSION = 1


def fitted(optimizer: Optimizer, saved: dict[str, Any]) -> dict[str, Any]:
    """Return `saved` in the order of the optimizer's parameters, or raise; nothing is changed.

    Raises
    ------
    ValueError
        If the checkpoint is of another rule, of a later version, or of other parameters.
    """
    saved = _by_name(optimizer, saved)
    mine, theirs = optimizer.param_groups, saved["param_groups"]
    if [len(g["params"]) for g in mine] != [len(g["params"]) for g in theirs]:
        return saved  # torch has words for this
    for own, group in zip(mine, theirs, strict=True):
        version = group.get("version", VERSION)
        if version > VERSION:
            raise ValueError(
                f"version of a checkpoint must be at most {VERSION}, got {version}; "
                "upgrade thalweg to the one that wrote it"
            )
        rule = group.get("rule", own["rule"])
        if rule != own["rule"]:
            given = rules()[rule].class_name if rule in rules() else repr(rule)
            raise ValueError(
                f"checkpoint must be one of {rules()[own['rule']].class_name}, got one of {given}; "
                "load it into the optimizer that it is of"
            )
        hyper = {**own, **group}
        names: dict[str, int | None] = dict.fromkeys(
            name for name, *_ in _core.optim_states(own["rule"], hyper)
        )
        scalars = _core.optim_traits(own["rule"], hyper)["scalars"]
        names |= {name: count for name, _, _, count in scalars}
        for number, p in zip(group["params"], own["params"], strict=True):
            _check_state(own["rule"], number, p, saved["state"].get(number, {}), names)
    return saved


def _check_state(
    rule: str, number: Any, p: Tensor, state: dict[str, Any], names: dict[str, int | None]
) -> None:
    """Compare names and shapes; `names` maps those of scalars to how many numbers they hold."""
    info = rules()[rule]
    besides = {"step", "compensation", *map(precision.scale_name, names)}
    given = {k: value for k, value in state.items() if value is not None and k not in besides}
    for name in [*given, *names]:
        if name not in names or (state and name not in state):
            what = f"{name!r} in" if name in given else f"no {name!r} in"
            raise ValueError(
                f"state of {info.class_name} must hold {', '.join(names) or 'nothing'}, got {what} "
                f"the state of parameter {number}; load a checkpoint of {info.class_name}"
            )
    for name, value in given.items():
        count = names[name]
        shapes = (p.shape, precision.real_shape(p))
        fits = not isinstance(value, Tensor) or (
            value.shape in shapes if count is None else value.numel() == count
        )
        if not fits:
            raise ValueError(
                f"state {name!r} of shape {tuple(value.shape)} does not match its parameter "
                f"{number} of shape {tuple(p.shape)}; load the checkpoint of this model"
            )


def _by_name(optimizer: Optimizer, saved: dict[str, Any]) -> dict[str, Any]:
    """Sort a checkpoint by names, where both sides have them and differ."""
    mine, theirs = optimizer.param_groups, saved["param_groups"]
    if not all(group.get("param_names") is not None for group in [*mine, *theirs]):
        return saved
    if [g["param_names"] for g in mine] == [g["param_names"] for g in theirs]:
        return saved
    numbers = {
        name: number
        for group in theirs
        for name, number in zip(group["param_names"], group["params"], strict=True)
    }
    homes = {name: at for at, group in enumerate(theirs) for name in group["param_names"]}
    wanted = {name for group in mine for name in group["param_names"]}
    if wanted != set(numbers):
        missing, left = sorted(wanted - set(numbers)), sorted(set(numbers) - wanted)
        texts = [f"none for {missing[0]!r}"] * bool(missing) + [f"one for {left[0]!r}"] * bool(left)
        raise ValueError(
            "checkpoint must hold the parameters of the optimizer by name, got "
            f"{' and '.join(texts)}; load the checkpoint of this model"
        )
    groups = []
    for own in mine:
        names = own["param_names"]
        options = [_options(theirs[at]) for at in sorted({homes[name] for name in names})]
        if any(other != options[0] for other in options[1:]):
            raise ValueError(
                f"parameters of one group must have one set of options, got several for "
                f"{names[0]!r} and the others of its group; group them as the checkpoint does"
            )
        groups.append(
            {**options[0], "params": [numbers[n] for n in names], "param_names": list(names)}
        )
    return {**saved, "param_groups": groups}


def _options(group: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key not in ("params", "param_names")}


__all__ = ["VERSION", "fitted"]
