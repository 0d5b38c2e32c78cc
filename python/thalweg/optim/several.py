"""Base of the methods that ask for several gradients a step, and their sums over tensor lists."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from thalweg import _core
from thalweg.optim.closures import norm
from thalweg.optim.optimizer import Params, bump_versions
from thalweg.optim.whole import is_distributed

# Group by group: the group, its parameters that have a gradient, and these.
Gathered = list[tuple[dict[str, Any], list[Tensor], list[Tensor]]]


class Several(torch.optim.Optimizer):
    """Base of the methods that ask for several gradients; a subclass checks its groups.

    A step changes nothing until every gradient is there and finite.
    """

    def __init__(self, params: Params, hyper: dict[str, Any]) -> None:
        self._check(hyper)
        super().__init__(params, hyper)

    def _check(self, group: dict[str, Any]) -> None:
        """Raise for hyperparameters outside their range."""

    @override
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if isinstance(param_group, dict):
            self._check({**self.defaults, **param_group})
        super().add_param_group(param_group)
        for p in self.param_groups[-1]["params"]:
            if p.is_complex() or is_distributed(p):
                self.param_groups.pop()
                kind = "complex" if p.is_complex() else "distributed"
                raise NotImplementedError(
                    f"{type(self).__name__} takes no {kind} parameters; give these to another "
                    "optimizer"
                )

    def params(self) -> list[Tensor]:
        """Every parameter, group by group."""
        return [p for group in self.param_groups for p in group["params"]]

    def gathered(self) -> Gathered:
        """Return the gradients there are, with their parameters.

        Raises
        ------
        NotImplementedError
            If one is sparse.
        """
        rows: Gathered = []
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            rows.append((group, params, [p.grad for p in params]))
            if any(g.layout != torch.strided for g in rows[-1][2]):
                raise NotImplementedError(
                    f"{type(self).__name__} takes no sparse gradient; use a dense one, such as "
                    "nn.Embedding(..., sparse=False)"
                )
        return rows

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state dict; state keeps the type it was saved in."""
        loaded: dict[str, Any] = {}

        def capture(_: torch.optim.Optimizer, final: dict[str, Any]) -> None:
            loaded.update(final)

        handle = self.register_load_state_dict_pre_hook(capture)
        try:
            super().load_state_dict(state_dict)
        finally:
            handle.remove()
        for group in self.param_groups:
            for name, value in self.defaults.items():
                # torch adds this one to the defaults whenever a state is set.
                if name != "differentiable":
                    group.setdefault(name, value)
        numbers = [n for group in loaded["param_groups"] for n in group["params"]]
        for number, p in zip(numbers, self.params(), strict=True):
            for name, value in loaded["state"].get(number, {}).items():
                if isinstance(value, Tensor):
                    self.state[p][name] = value.detach().to(p.device, copy=True)


def finite_norm(tensors: Sequence[Tensor], what: str = "gradient") -> float:
    """Return the norm of all elements together.

    Raises
    ------
    ValueError
        If it is NaN or infinite.
    """
    total = norm(tensors)
    if not math.isfinite(total):
        raise ValueError(
            f"{what} must be finite, got one of norm {total}; lower the learning rate or look at "
            "the data"
        )
    return total


@torch.no_grad()
def blend(
    x: list[Tensor],
    a: list[Tensor],
    b: list[Tensor] | None,
    weights: Sequence[tuple[float, float, float]],
) -> float:
    """Replace each of `x` by a weighted sum of it, `a` and `b`; return the norm of all results.

    One pass over memory where the core reaches; halves are rounded once.
    """
    squares = _core.optim_blend(x, a, b, list(weights))
    if squares is not None:
        if x:
            bump_versions(x)
        return math.sqrt(squares)
    for number, (p, weight) in enumerate(zip(x, weights, strict=True)):
        wide = torch.promote_types(p.dtype, torch.float32)
        total = weight[0] * p.to(wide) + weight[1] * a[number].to(wide)
        if b is not None:
            total += weight[2] * b[number].to(wide)
        p.copy_(total)
    return norm(x)


def products(
    g: list[Tensor], other: list[Tensor], former: list[Tensor] | None = None
) -> list[list[float]]:
    """For each of `g`, with `y = other - g`: `<g, g>`, `<y, y>`, `<y, g>`, `<y, h>`, `<g, h>`.

    `h` is the one of `former`, or of `g` without these. One pass over memory where the core
    reaches, summed in float64.
    """
    found = _core.optim_products(g, other, former)
    if found is not None:
        return found
    rows = []
    for number, (one, two) in enumerate(zip(g, other, strict=True)):
        first = one.double()
        y = two.double() - first
        h = first if former is None else former[number].double()
        pairs = [(first, first), (y, y), (y, first), (y, h), (first, h)]
        rows.append([float((u * v).sum()) for u, v in pairs])
    return rows


def check_range(name: str, value: Any, low: float, high: float = math.inf, *, ends: str) -> None:
    """Raise unless a number lies in a range; `ends` are the brackets, such as "[)"."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    above = number >= low if ends[0] == "[" else number > low
    below = number <= high if ends[1] == "]" else number < high
    if not (above and below):
        raise ValueError(
            f"{name} must be in {ends[0]}{low:g}, {high:g}{ends[1]}, got {value!r}; change it"
        )


def check_count(name: str, value: Any, low: int = 1) -> None:
    """Raise unless a value is an integer, and large enough."""
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ValueError(f"{name} must be an integer >= {low}, got {value!r}; change it")


__all__ = [
    "Gathered",
    "Several",
    "blend",
    "check_count",
    "check_range",
    "finite_norm",
    "products",
]
