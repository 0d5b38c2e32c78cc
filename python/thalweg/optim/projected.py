"""Parameters kept in a set: a projection after every step (projected gradient)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

Projection = Callable[[Tensor], Tensor]


def checked(project: Any) -> Any:
    """`project` if it is None, a callable, or a mapping from parameters to callables.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if project is None or callable(project):
        return project
    if isinstance(project, Mapping):
        for key, value in project.items():
            if not isinstance(key, Tensor) or not callable(value):
                raise TypeError(
                    "project must map parameters to callables, got "
                    f"{type(key).__name__}: {type(value).__name__}; use "
                    "{model.weight: thalweg.project.stiefel}"
                )
        return dict(project)
    raise TypeError(
        f"project must be a callable or a mapping from parameters to callables, got "
        f"{type(project).__name__}; pass for instance thalweg.project.simplex"
    )


@torch.no_grad()
def apply(project: Any, params: Iterable[Tensor]) -> None:
    """Project every parameter of `params` that has a gradient.

    Raises
    ------
    ValueError
        If a projection changes the shape, or refuses its input; parameters before it are projected.
    """
    for p in params:
        if p.grad is None:
            continue
        how = project.get(p) if isinstance(project, dict) else project
        if how is None:
            continue
        image = how(p.detach())
        if image.shape != p.shape:
            raise ValueError(
                f"project must keep the shape {tuple(p.shape)} of its parameter, got "
                f"{tuple(image.shape)}; check axis"
            )
        p.copy_(image)
