"""Which parameters a kernel takes, and what a launch needs to know of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import is_, or_
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from thalweg import _core
from thalweg._registry import Rule, rules
from thalweg.optim import precision
from thalweg.optim.kernels.launch import tables_of
from thalweg.optim.kernels.source import Layout

if TYPE_CHECKING:
    from thalweg.optim.optimizer import Optimizer
    from thalweg.optim.stand_in import Row

KINDS = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}


@dataclass
class Known:
    """What stays the same about a parameter from step to step, as a rule."""

    p: Tensor
    like: tuple[Any, ...]
    # Its entry in the state of the optimizer, None before there is one; what is to be added to it
    # once the step is known to be valid; and both together.
    entry: dict[str, Any] | None
    new: dict[str, Tensor]
    state: dict[str, Any]
    layout: Layout
    # States, their scales, and what rounding left out.
    buffers: list[Tensor]
    # What the rule keeps beside the buffers.
    beside: list[Tensor]
    # Tensors that must still be those of the entry, by their names.
    names: list[str]
    tensors: list[Tensor]

    @property
    def scalars(self) -> list[float]:
        """Numbers that the rule keeps beside the buffers."""
        return [x for tensor in self.beside for x in tensor.reshape(-1).tolist()]

    @property
    def single(self) -> bool:
        """Whether such numbers are kept in single precision."""
        return any(tensor.dtype == torch.float32 for tensor in self.beside)

    def put_scalars(self, values: list[float]) -> None:
        """Replace these numbers."""
        start = 0
        for tensor in self.beside:
            new = torch.tensor(values[start : start + tensor.numel()], dtype=torch.float64)
            tensor.copy_(new.reshape(tensor.shape))
            start += tensor.numel()


@dataclass
class Item:
    """One parameter of a step."""

    plan: Plan
    known: Known
    # Its place among the parameters of the optimizer.
    number: int
    # Number of this step, where steps are counted; as the rule sees it.
    clock: int
    t: int
    # Addresses, and the number of elements.
    columns: tuple[int, ...]
    # Whether sixteen bytes may be taken at a time.
    aligned: bool
    # Kept alive until the step.
    noise: Tensor | None


class Plan:
    """What all parameters of a group share in a step."""

    def __init__(self, optimizer: Optimizer, group: dict[str, Any]) -> None:
        from thalweg.optim.host import TorchHost
        from thalweg.optim.optimizer import class_of

        # Read once: a rate may lie on a device.
        self.group: dict[str, Any] = {
            key: value.item() if isinstance(value, Tensor) else value
            for key, value in group.items()
            if key != "params"
        }
        self.rule: Rule = rules()[group["rule"]]
        traits = _core.optim_traits(self.rule.name, self.group)
        self.measures = traits["measured"] is not None
        self.joint = self.measures and traits["scope"] == "call"
        self.specs = _core.optim_states(self.rule.name, self.group)
        self.scalars = traits["scalars"]
        self.random = precision.is_random(group)
        self.counts = self.rule.counts or self.random
        matrix = class_of(optimizer, group).finish is not None
        filters = self.measures and traits["scope"] == "filter"
        self.covered = not matrix and not filters and group["update_sign"] is None
        self.seed = traits["noise"]
        self.host = TorchHost(optimizer)
        # What the way to store depends on, beside the tensors.
        names = (*(name for name, *_ in self.specs), *(name for name, *_ in self.scalars))
        self.form = (names, group["rounding"], self.random, self.seed is None)

    def _like(self, row: Row) -> tuple[Any, ...]:
        p, g = row.target, row.grad
        return self.form, p.dtype, p.device, p.shape, p.stride(), g.dtype, g.shape, g.stride()

    def again(self, row: Row, entry: dict[str, Any] | None, known: Known | None) -> bool:
        """Return whether a parameter still is as it was known, but for its gradient's address."""
        return (
            known is not None
            and not known.new
            and entry is not None
            and known.entry is entry
            and known.p is row.p
            and row.target is row.p
            and type(row.grad) is Tensor
            and row.grad.layout == torch.strided
            and row.grad.device == row.p.device
            and known.like == self._like(row)
            and all(map(is_, map(entry.get, known.names), known.tensors))
        )

    def admit(self, row: Row, entry: dict[str, Any] | None) -> Known | None:
        """Return a parameter as a launch takes it; None if it is one for plain torch."""
        p, g, state = row.target, row.grad, entry or {}
        if not self.covered or p is not row.p or not _is_plain(p) or not _is_plain(g):
            return None
        if not {p.dtype, g.dtype} <= KINDS.keys() or not precision.is_dense(p):
            return None
        rounding = "nearest" if p.dtype == torch.float32 else self.group["rounding"]
        rest = ["compensation"] * (rounding == "kahan")
        specs = [("step", "counter", 0.0, 1)] * self.counts
        specs += [(name, "compensation", 0.0, 1) for name in rest]
        missing = [
            spec for spec in (*specs, *self.specs, *self.scalars) if state.get(spec[0]) is None
        ]
        names = [name for name, *_ in self.specs]
        kept = [state[name] for name in (*names, *rest) if state.get(name) is not None]
        if not all(_is_alike(p, tensor) for tensor in (g, *kept)):
            return None
        new = self.host.init(p, missing, self.group) if missing else {}
        full = {**state, **new}
        kinds = [KINDS.get(full[name].dtype, "uint8") for name in names]
        codes = [name for name, kind in zip(names, kinds, strict=True) if kind == "uint8"]
        if codes and not self.random:
            return None
        kinds += ["float32"] * (self.seed is not None)
        names += [*map(precision.scale_name, codes), *rest]
        layout = Layout((KINDS[p.dtype], KINDS[g.dtype], *kinds), rounding, self.random)
        buffers, beside = [full[name] for name in names], [full[name] for name, *_ in self.scalars]
        names += [*(name for name, *_ in self.scalars), *["step"] * self.counts]
        tensors = [full[name] for name in names]
        like = self._like(row)
        return Known(p, like, entry, new, full, layout, buffers, beside, names, tensors)

    def item(self, row: Row, known: Known, number: int) -> Item:
        """Return a parameter with what this step alone knows of it."""
        started = (name for name, *_ in (*self.specs, *self.scalars))
        fresh = bool(known.new) and any(name in known.new for name in started)
        clock = int(known.state["step"]) + 1 if self.counts else 0
        t = clock if self.rule.counts else 1 if fresh else 2
        addresses = [known.p.data_ptr(), row.grad.data_ptr(), *map(Tensor.data_ptr, known.buffers)]
        noise = None
        if self.seed is not None:
            noise = _noise(known.p, self.seed, number << 40 | t)
            addresses.insert(2 + len(self.specs), noise.data_ptr())
        bits = reduce(or_, addresses)
        columns = (*addresses, known.p.numel())
        return Item(self, known, number, clock, t, columns, bits % 16 == 0, noise)


def take(
    optimizer: Optimizer, rows: list[Row], usable: set[torch.device]
) -> tuple[list[Item], list[Row]]:
    """Return the rows that kernels can step on these devices, and the others."""
    admitted = tables_of(optimizer).admitted
    params = (p for group in optimizer.param_groups for p in group["params"])
    numbers = {id(p): number for number, p in enumerate(params)}
    plans: dict[int, Plan] = {}
    taken: list[tuple[Row, Item]] = []
    rest: list[Row] = []
    for row in rows:
        plan = plans.get(id(row.group))
        if plan is None:
            plan = plans[id(row.group)] = Plan(optimizer, row.group)
        entry, place = optimizer.state.get(row.p), id(row.p)
        known = admitted.get(place)
        if not plan.again(row, entry, known):
            known = plan.admit(row, entry) if row.target.device in usable else None
        if known is None:
            rest.append(row)
        else:
            admitted[place] = known
            taken.append((row, plan.item(row, known, numbers[place])))
    # What is measured over all parameters of a rule is measured in one place.
    split = {row.group["rule"] for row in rest}
    if any(plan.joint and plan.rule.name in split for plan in plans.values()):
        apart = [item.plan.joint and item.plan.rule.name in split for _, item in taken]
        rest += [row for (row, _), alone in zip(taken, apart, strict=True) if alone]
        taken = [pair for pair, alone in zip(taken, apart, strict=True) if not alone]
    return [item for _, item in taken], rest


def _noise(p: Tensor, seed: int, stream: int) -> Tensor:
    """Return normal numbers in the order of indices, whatever that of memory, as the core does."""
    draws = np.empty(p.numel())
    _core.optim_noise(draws, seed, stream)
    noise = torch.empty_like(p, dtype=torch.float32, requires_grad=False)
    return noise.copy_(torch.from_numpy(draws).reshape(p.shape))


def _is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is nothing but memory."""
    kinds = (Tensor, torch.nn.Parameter)
    return type(tensor) in kinds and tensor.layout == torch.strided


def _is_alike(p: Tensor, tensor: Tensor) -> bool:
    """Whether elements lie in the same places as those of a parameter, and can be read."""
    same = tensor.shape == p.shape and tensor.stride() == p.stride() and tensor.device == p.device
    return same and (tensor.dtype in KINDS or tensor.dtype == torch.uint8)
