"""A step of many parameters: one launch for all that agree in group and types."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from thalweg import _core
from thalweg.optim import precision
from thalweg.optim.kernels import launch
from thalweg.optim.kernels.admit import Item, Plan
from thalweg.optim.kernels.source import Formula

if TYPE_CHECKING:
    from thalweg.optim.optimizer import Optimizer
    from thalweg.optim.plain import Call


@dataclass
class Batch:
    """Parameters that one launch steps; lists hold one entry for each."""

    plan: Plan
    items: list[Item] = field(default_factory=list)
    measured: list[list[float]] = field(default_factory=list)
    uniforms: list[list[float]] = field(default_factory=list)
    # Numbers that the rule keeps beside the buffers, after the step.
    after: list[list[float]] = field(default_factory=list)
    formula: Formula | None = None


def step(optimizer: Optimizer, items: list[Item], call: Call) -> None:
    """Step parameters in as few launches as there are kinds of them."""
    batches: dict[Any, Batch] = {}
    for item in items:
        key = (id(item.plan), item.known.layout, item.aligned, item.known.p.device)
        if key not in batches:
            batches[key] = Batch(item.plan)
        batches[key].items.append(item)
    tables = launch.tables_of(optimizer)
    _measure(list(batches.values()), call, tables)
    # All that can be refused is, before anything is written.
    parts = [part for batch in batches.values() for part in _parts(batch, call)]
    for part in parts:
        _move(optimizer, part, call, tables)


def _formula(
    batch: Batch, call: Call, stage: str, item: Item, measured: list[float]
) -> tuple[Formula, list[float], list[float]]:
    """Return what the core prints, with the values of its uniforms, and of scalars thereafter."""
    plan = batch.plan
    body, outputs, inputs, uniforms, special, values, after = _core.optim_formula(
        plan.rule.name,
        plan.group,
        stage,
        item.t,
        call.number,
        item.known.scalars,
        item.known.single,
        measured,
        call.loss,
        call.grad_scale,
        call.norm,
    )
    formula = Formula(body, tuple(outputs), tuple(inputs), tuple(uniforms), tuple(special))
    return formula, values, after


def _measure(batches: list[Batch], call: Call, tables: launch.Tables) -> None:
    """Find what rules measure, of each tensor or of all of a rule."""
    joint: dict[str, list[Batch]] = {}
    for batch in batches:
        batch.measured = [[]] * len(batch.items)
        if batch.plan.measures:
            formula, values, _ = _formula(batch, call, "measure", batch.items[0], [])
            batch.measured = tables.measure(batch.items, formula, values)
        if batch.plan.joint:
            joint.setdefault(batch.plan.rule.name, []).append(batch)
    for ours in joint.values():
        rows = [row for batch in ours for row in batch.measured]
        totals = [sum(column) for column in zip(*rows, strict=True)]
        for batch in ours:
            batch.measured = [totals] * len(batch.items)


def _parts(batch: Batch, call: Call) -> list[Batch]:
    """Return the batch with its uniforms, cut where the rule itself changes its form."""
    known: dict[Any, tuple[Batch, list[float], list[float]]] = {}
    parts: dict[Formula, Batch] = {}
    for item, measured in zip(batch.items, batch.measured, strict=True):
        key = (item.t, *item.known.scalars, *measured)
        if key not in known:
            formula, uniforms, after = _formula(batch, call, "update", item, measured)
            if formula not in parts:
                parts[formula] = Batch(batch.plan, formula=formula)
            known[key] = (parts[formula], uniforms, after)
        part, uniforms, after = known[key]
        part.items.append(item)
        part.measured.append(measured)
        part.uniforms.append(uniforms)
        part.after.append(after)
    return list(parts.values())


def _move(optimizer: Optimizer, part: Batch, call: Call, tables: launch.Tables) -> None:
    from thalweg.optim.optimizer import bump_versions

    assert part.formula is not None
    plan, items = part.plan, part.items
    layout = items[0].known.layout
    counted = None
    if plan.group["mask"] == "cautious":
        agree, *_ = _formula(part, call, "agree", items[0], part.measured[0])
        counted = (agree, plan.group["mask_scale"])
    keys = _keys(items, len(layout.kinds) - 1) if layout.keyed else None
    tables.move(items, part.formula, part.uniforms, keys, counted)
    for item, after in zip(items, part.after, strict=True):
        if item.known.new:
            optimizer.state[item.known.p].update(item.known.new)
        if after:
            item.known.put_scalars(after)
    if plan.counts:
        # The one as a tensor: on the CPU it would be made one anew for each counter.
        torch._foreach_add_([item.known.state["step"] for item in items], torch.tensor(1.0))
    bump_versions([item.known.p for item in items])


def _keys(items: list[Item], slots: int) -> Tensor:
    """Return the keys of random words: of the parameter, then of its states."""
    keys = [
        [half for slot in range(slots) for half in precision.dither(item.number, slot, item.clock)]
        for item in items
    ]
    # As the kernel reads them: the same bits with a sign.
    return torch.tensor(keys, dtype=torch.int64).to(torch.int32)
