"""Native steps on tensors that stand for the parameters: shards, and arguments of a compiled graph.

State is kept under the parameter, as ever; the core sees the stand-ins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from thalweg import _core
from thalweg._registry import rules
from thalweg.optim import precision
from thalweg.optim.whole import is_distributed

if TYPE_CHECKING:
    from thalweg.optim.optimizer import Optimizer


class Row(NamedTuple):
    """One parameter of a step."""

    group: dict[str, Any]
    # Key of the state; what is moved; its gradient.
    p: Tensor
    target: Tensor
    grad: Tensor


def native_step(
    optimizer: Optimizer,
    rows: list[Row],
    scale: float,
    local: Callable[[Tensor], Tensor] = lambda tensor: tensor,
) -> bool:
    """Step the targets; false, with nothing written, if one is out of the core's reach.

    `local` maps a state of a parameter to the tensor that belongs to its target.
    """
    from thalweg.optim.host import TorchHost

    host = TorchHost(optimizer)
    fresh: list[tuple[Tensor, dict[str, Tensor]]] = []
    state: dict[Tensor, dict[str, Any]] = {}
    groups: list[tuple[str, dict[str, Any], list[Tensor], list[Tensor]]] = []
    for row in rows:
        group, rule = row.group, row.group["rule"]
        kept = dict(optimizer.state.get(row.p, {}))
        counts = rules()[rule].counts or precision.is_random(group)
        split = precision.is_split(row.target, group)
        scalars = _core.optim_traits(rule, group)["scalars"]
        specs = [("step", "counter", 0.0, 1)] * counts
        specs += [("compensation", "compensation", 0.0, 1)] * split
        specs += [*_core.optim_states(rule, group), *scalars]
        missing = [spec for spec in specs if kept.get(spec[0]) is None]
        if missing:
            kept.update(host.init(row.p, missing, group))
            fresh.append((row.p, kept))
        entry = {
            key: local(value) if isinstance(value, Tensor) else value for key, value in kept.items()
        }
        for name, value in kept.items():
            beside = precision.scale_name(name)
            if beside in kept and is_distributed(value):
                entry[beside] = precision.local_scale(kept[beside], entry[name])
        state[row.target] = entry
        if not groups or groups[-1][1] is not group:
            groups.append((rule, group, [], []))
        groups[-1][2].append(row.target)
        groups[-1][3].append(row.grad)
    observe = optimizer._telemetry is not None
    policy = optimizer.on_nonfinite
    stepped = _core.optim_step(groups, state, host, scale, policy, observe, optimizer._loss)
    if stepped is None:
        return False
    done, skipped, _, observed = stepped
    if not skipped:
        for p, kept in fresh:
            optimizer.state[p] = kept
    optimizer._after(done, observed, {row.target: row.p for row in rows})
    return True


__all__ = ["Row", "native_step"]
