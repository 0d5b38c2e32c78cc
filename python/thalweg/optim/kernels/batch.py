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
    from thalweg.optim.stand_in import Row


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


def step(optimizer: Optimizer, rows: list[Row], call: Call, usable: set[torch.device]) -> list[Row]:
    """Step the rows that can be on these devices; return the others."""
    numbers = _numbers(optimizer)
    plans: dict[int, Plan] = {}
    taken: list[tuple[Plan, Item]] = []
    rest: list[Row] = []
    for row in rows:
        plan = plans.get(id(row.group))
        if plan is None:
            plan = plans[id(row.group)] = Plan(optimizer, row.group)
        item = None
        if row.target.device in usable:
            item = plan.admit(row, optimizer.state.get(row.p, {}), numbers[id(row.p)])
        if item is None:
            rest.append(row)
        else:
            taken.append((plan, item))
    # What is measured over all parameters of a rule is measured in one place.
    split = {row.group["rule"] for row in rest}
    batches: dict[Any, Batch] = {}
    for plan, item in taken:
        if plan.joint and plan.rule.name in split:
            rest.append(item.row)
        else:
            batches.setdefault((id(plan.group), *item.kind), Batch(plan)).items.append(item)
    tables = launch.tables_of(optimizer)
    _measure(list(batches.values()), call, tables)
    # All that can be refused is, before anything is written.
    parts = [part for batch in batches.values() for part in _parts(batch, call)]
    for part in parts:
        _move(optimizer, part, call, tables)
    return rest


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
        item.scalars,
        item.single,
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
    known: dict[Any, tuple[Formula, list[float], list[float]]] = {}
    parts: dict[Formula, Batch] = {}
    for item, measured in zip(batch.items, batch.measured, strict=True):
        key = (item.t, *item.scalars, *measured)
        if key not in known:
            known[key] = _formula(batch, call, "update", item, measured)
        formula, uniforms, after = known[key]
        part = parts.setdefault(formula, Batch(batch.plan, formula=formula))
        part.items.append(item)
        part.measured.append(measured)
        part.uniforms.append(uniforms)
        part.after.append(after)
    return list(parts.values())


def _move(optimizer: Optimizer, part: Batch, call: Call, tables: launch.Tables) -> None:
    from thalweg.optim.optimizer import bump_versions

    assert part.formula is not None
    plan, items = part.plan, part.items
    keys = _keys(optimizer, items) if items[0].layout.keyed else None
    counted = None
    if plan.group["mask"] == "cautious":
        agree, *_ = _formula(part, call, "agree", items[0], part.measured[0])
        counted = (agree, plan.group["mask_scale"])
    tables.move(items, part.formula, part.uniforms, keys, counted)
    for item, after in zip(items, part.after, strict=True):
        if item.new:
            optimizer.state[item.row.p].update(item.new)
        item.put_scalars(after)
    if plan.counts:
        torch._foreach_add_([item.state["step"] for item in items], 1.0)
    bump_versions([item.row.target for item in items])


def _keys(optimizer: Optimizer, items: list[Item]) -> Tensor:
    """Return the keys of random words: of the parameter, then of its states."""
    numbers = _numbers(optimizer)
    slots = range(len(items[0].layout.kinds) - 1)
    keys = [
        [half for slot in slots for half in precision.dither(numbers[id(i.row.p)], slot, i.clock)]
        for i in items
    ]
    # As the kernel reads them: the same bits with a sign.
    return torch.tensor(keys, dtype=torch.int64).to(torch.int32)


def _numbers(optimizer: Optimizer) -> dict[int, int]:
    """Return the place of each parameter among all."""
    params = (p for group in optimizer.param_groups for p in group["params"])
    return {id(p): number for number, p in enumerate(params)}
