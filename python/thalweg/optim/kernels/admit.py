"""Which parameters a kernel takes, and what a launch needs to know of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from thalweg import _core
from thalweg._registry import Rule, rules
from thalweg.optim import precision
from thalweg.optim.kernels.source import Layout

if TYPE_CHECKING:
    from thalweg.optim.optimizer import Optimizer
    from thalweg.optim.stand_in import Row

KINDS = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}


@dataclass
class Item:
    """One parameter of a launch."""

    row: Row
    # State that exists only once the step is known to be valid, and all state.
    new: dict[str, Tensor]
    state: dict[str, Any]
    layout: Layout
    # Addresses, and the number of elements.
    columns: tuple[int, ...]
    # Number of this step, where steps are counted; as the rule sees it.
    clock: int
    t: int
    # What the rule keeps beside the buffers.
    beside: list[Tensor]
    # Kept alive until the step: the memory at the addresses.
    tensors: list[Tensor]

    @property
    def kind(self) -> tuple[Layout, bool, torch.device]:
        """What parameters of one launch agree in: types, alignment to 16 bytes, device."""
        aligned = all(address % 16 == 0 for address in self.columns[:-1])
        return self.layout, aligned, self.row.target.device

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


class Plan:
    """What all parameters of a group share."""

    def __init__(self, optimizer: Optimizer, group: dict[str, Any]) -> None:
        from thalweg.optim.host import TorchHost
        from thalweg.optim.optimizer import class_of

        self.group = group
        self.rule: Rule = rules()[group["rule"]]
        traits = _core.optim_traits(self.rule.name, group)
        self.measures = traits["measured"] is not None
        self.joint = self.measures and traits["joint"]
        self.specs = _core.optim_states(self.rule.name, group)
        self.scalars = traits["scalars"]
        self.random = precision.is_random(group)
        self.counts = self.rule.counts or self.random
        self.covered = class_of(optimizer, group).finish is None
        self.seed = traits["noise"]
        self.host = TorchHost(optimizer)

    def admit(self, row: Row, state: dict[str, Any], number: int) -> Item | None:
        """Return a parameter as a launch takes it; None if it is one for plain torch."""
        p, g = row.target, row.grad
        if not self.covered or p is not row.p or not _is_plain(p) or not _is_plain(g):
            return None
        if not {p.dtype, g.dtype} <= KINDS.keys() or not precision.is_dense(p):
            return None
        rounding = "nearest" if p.dtype == torch.float32 else self.group["rounding"]
        specs = [("step", "counter", 0.0, 1)] * self.counts
        specs += [("compensation", "compensation", 0.0, 1)] * (rounding == "kahan")
        started = [*self.specs, *self.scalars]
        missing = [spec for spec in (*specs, *started) if state.get(spec[0]) is None]
        names = [name for name, *_ in self.specs]
        buffers = [*names, *["compensation"] * (rounding == "kahan")]
        kept = [state[name] for name in buffers if state.get(name) is not None]
        if not all(_is_alike(p, tensor) for tensor in (g, *kept)):
            return None
        new = self.host.init(p, missing, self.group) if missing else {}
        full = {**state, **new}
        kinds = [KINDS.get(full[name].dtype, "uint8") for name in names]
        codes = [name for name, kind in zip(names, kinds, strict=True) if kind == "uint8"]
        if codes and not self.random:
            return None
        clock = int(full["step"]) + 1 if self.counts else 0
        fresh = any(spec in started for spec in missing)
        t = clock if self.rule.counts else 1 if fresh else 2
        tensors = [p, g, *(full[name] for name in names)]
        if self.seed is not None:
            kinds.append("float32")
            tensors.append(_noise(p, self.seed, number << 40 | t))
        tensors += [full[precision.scale_name(name)] for name in codes]
        tensors += [full["compensation"]] if rounding == "kahan" else []
        return Item(
            row,
            new,
            full,
            Layout((KINDS[p.dtype], KINDS[g.dtype], *kinds), rounding, self.random),
            (*(tensor.data_ptr() for tensor in tensors), p.numel()),
            clock,
            t,
            [full[name] for name, *_ in self.scalars],
            tensors,
        )


def _noise(p: Tensor, seed: int, stream: int) -> Tensor:
    """Return normal numbers in the order of indices, whatever that of memory, as the core does."""
    draws = np.empty(p.numel())
    _core.optim_normal(draws, seed, stream)
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
