"""The base of closure methods for a sum with a simple term, which comes as a proximal map."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from thalweg.optim.closures import Closure, away, gradients
from thalweg.optim.optimizer import Params, bump_versions

Prox = Callable[[Tensor, float], Tensor]
Lists = Callable[[list[Tensor]], list["Tensor | None"]]


class Composite(torch.optim.Optimizer):
    """Groups, state and the proximal map; hyperparameters are checked group by group.

    The map is not in the groups, since these are saved in checkpoints.
    """

    def __init__(
        self, params: Params, hyper: dict[str, Any], prox: Prox | Mapping[Tensor, Prox] | None
    ) -> None:
        if isinstance(prox, Mapping):
            pairs: Iterable[tuple[Any, Any]] = prox.items()
            if any(not isinstance(k, Tensor) or not callable(v) for k, v in pairs):
                raise TypeError(
                    "prox must map parameters to callables, got something else in it; use "
                    "{model.weight: lambda v, step: thalweg.project.prox.l1(v, step)}"
                )
            prox = dict(prox)
        elif prox is not None and not callable(prox):
            raise TypeError(
                f"prox must be a callable or a mapping from parameters to callables, got "
                f"{type(prox).__name__}; pass lambda v, step: thalweg.project.prox.l1(v, step)"
            )
        self.prox = prox
        self._check(hyper)
        super().__init__(params, hyper)

    def _check(self, group: dict[str, Any]) -> None:
        """Raise for hyperparameters outside their range."""
        raise NotImplementedError

    @override
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if isinstance(param_group, dict):
            self._check({**self.defaults, **param_group})
        super().add_param_group(param_group)

    def _rows(self) -> tuple[list[Tensor], list[dict[str, Any]]]:
        """Every parameter and its group, which is checked: users and schedulers change it."""
        for group in self.param_groups:
            self._check(group)
        rows = [(p, group) for group in self.param_groups for p in group["params"]]
        for p, _ in rows:
            if not p.is_floating_point():
                raise TypeError(
                    f"each parameter must be real, got {p.dtype}; train real and imaginary part"
                )
        return [p for p, _ in rows], [group for _, group in rows]

    def _common(self, names: Iterable[str]) -> dict[str, Any]:
        """Hyperparameters of the whole problem, the same in every group."""
        first = self.param_groups[0]
        for name in names:
            for group in self.param_groups:
                if group[name] != first[name]:
                    raise ValueError(
                        f"{name} must be the same in every group, got {first[name]!r} and "
                        f"{group[name]!r}; it belongs to the whole problem"
                    )
        return {name: first[name] for name in names}

    def _count(self) -> int:
        """Steps so far."""
        return max((int(state["step"]) for state in self.state.values() if state), default=0)

    def _map(self, p: Tensor, v: Tensor, step: float) -> Tensor:
        """The proximal map of a parameter."""
        prox = self.prox.get(p) if isinstance(self.prox, dict) else self.prox
        if prox is None:
            return v
        image: Any = prox(v, step)
        if not isinstance(image, Tensor) or image.shape != v.shape:
            raise ValueError(
                f"prox must return a tensor of shape {tuple(v.shape)}, got "
                f"{tuple(getattr(image, 'shape', ()))}; apply it to each entry"
            )
        if not bool(image.isfinite().all()):
            raise ValueError("prox must return finite values, got NaN or infinity; look at step")
        return image.detach().to(v.dtype)

    @override
    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "prox": self.prox}

    @override
    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("prox", None)


def slopes(closure: Closure | None, params: list[Tensor], name: str, seen: list[Tensor]) -> Lists:
    """The gradients of a closure as a function of the point; losses are appended to `seen`."""

    def call(points: list[Tensor]) -> list[Tensor | None]:
        with away(params, [point.clone() for point in points]):
            seen.append(gradients(closure, params))
            found = [p.grad for p in params]
            for p in params:
                p.grad = None
        finite(found, name)
        return found

    return call


def finite(found: Iterable[Tensor | None], name: str) -> None:
    """Raise for a gradient with NaN or infinities, or a sparse one.

    Raises
    ------
    ValueError, TypeError
        If there is one.
    """
    for g in found:
        if g is not None and g.is_sparse:
            raise TypeError(
                "gradients must be dense, got a sparse one; pass sparse=False to the layer"
            )
        if g is not None and not bool(g.isfinite().all()):
            raise ValueError(
                f"gradients of {name} must be finite, got NaN or infinity; take smaller steps or "
                "look at the data"
            )


@torch.no_grad()
def put(params: list[Tensor], values: list[Tensor]) -> None:
    """Write values into parameters."""
    for p, value in zip(params, values, strict=True):
        if value is not p:
            p.copy_(value)
    bump_versions(params)


__all__ = ["Composite", "Prox", "finite", "put", "slopes"]
