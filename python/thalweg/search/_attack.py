"""The attack operator: a small change of an input that moves a network's output where one wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg._extras import require
from thalweg.search._arguments import as_choice
from thalweg.search._evaluating import evaluating

torch = require("torch")

__all__ = ["attack", "costs", "output_gradient"]

Array = NDArray[np.float64]
RULES = ("fgsm", "pgd")


def attack(
    network: Any, x: Any, direction: Any, radius: float, *, rule: str = "fgsm", steps: int = 10
) -> Any:
    """A change of `x` within a radius that moves the output of a network along a direction.

    Use it to let backpropagation propose a step for a cost behind a trained network.

    Parameters
    ----------
    network : torch.nn.Module
        Maps (n, d) to (n, ...). Its weights, gradients and training flags stay as they are.
    x : Tensor, shape (d,)
        The input.
    direction : Tensor, of the shape of one output
        Where to, v.
    radius : float
        Largest change of a coordinate, >= 0.
    rule : {"fgsm", "pgd"}, default "fgsm"
        One signed step of the whole radius, or `steps` signed steps of 2.5 radius / steps that are
        projected onto the radius.
    steps : int, default 10
        Steps of "pgd", >= 1.

    Returns
    -------
    Tensor, shape (d,)
        delta with ``max |delta| <= radius``, approximately maximising
        ``<v, network(x + delta) - network(x)>``.

    Raises
    ------
    TypeError
        If `network` is no module.
    ValueError
        For arguments out of range, a direction of another shape, or a network without gradients.

    References
    ----------
    Goodfellow et al. 2015, arXiv:1412.6572 (FGSM); Madry et al. 2018, arXiv:1706.06083 (PGD);
    Bouchet, Vidal 2025, arXiv:2510.01461.

    Examples
    --------
    >>> import torch
    >>> network = torch.nn.Linear(2, 1, bias=False)
    >>> _ = torch.nn.init.constant_(network.weight, 3.0)
    >>> attack(network, torch.zeros(2), torch.tensor([-1.0]), 0.5).tolist()
    [-0.5, -0.5]
    """
    as_module(network)
    as_choice("rule", rule, RULES)
    if not radius >= 0 or radius == float("inf"):
        raise ValueError(f"radius must be a finite number >= 0, got {radius}; pass a length")
    if steps != int(steps) or steps < 1:
        raise ValueError(f"steps must be an integer >= 1, got {steps}; a usual value is 10")
    delta = torch.zeros_like(x)
    count, length = (1, radius) if rule == "fgsm" else (steps, 2.5 * radius / steps)
    with evaluating(network):
        for _ in range(count):
            signs = torch.sign(_pull_back(network, x + delta, direction))
            # An overflow inside of the network says nothing about the direction.
            delta = delta + length * torch.nan_to_num(signs)
            delta = delta.clamp(-radius, radius)
    return delta


def _pull_back(network: Any, x: Any, direction: Any) -> Any:
    """J^T v of the network at x."""
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        output = network(leaf[None])
        if not output.requires_grad:
            raise ValueError(
                "network must be differentiable, got outputs without gradients; "
                "search with CoveringDirectSearch instead"
            )
        if output[0].shape != direction.shape:
            raise ValueError(
                f"direction of shape {tuple(direction.shape)} does not match an output of shape "
                f"{tuple(output[0].shape)}; pass one number for each output"
            )
        (found,) = torch.autograd.grad(output, leaf, direction[None], allow_unused=True)
    return torch.zeros_like(leaf) if found is None else found


def output_gradient(loss: Callable[[Any], Any], output: Any) -> Any:
    """The gradient of a loss, (n, ...) to (n,), at one output."""
    with torch.enable_grad():
        leaf = output.detach().clone().requires_grad_()
        cost = loss(leaf[None])
        if not getattr(cost, "requires_grad", False):
            raise ValueError(
                "loss must be differentiable, got costs without gradients; "
                "put what has none into feasible, or search with CoveringDirectSearch"
            )
        (found,) = torch.autograd.grad(cost.sum(), leaf, allow_unused=True)
    return torch.zeros_like(leaf) if found is None else found


def as_module(network: Any) -> None:
    """Refuse what is no torch module."""
    if not isinstance(network, torch.nn.Module):
        raise TypeError(
            f"network must be a torch.nn.Module, got {type(network).__name__}; "
            "wrap a function into a module"
        )


def as_input(network: Any, x: Array) -> Any:
    """An array as a tensor where the network lives."""
    given = [*network.parameters(), *network.buffers()]
    kind = next((p for p in given if p.is_floating_point()), torch.zeros(0, dtype=torch.float64))
    return torch.as_tensor(x, dtype=kind.dtype, device=kind.device)


def costs(network: Any, loss: Callable[[Any], Any], feasible: Any, points: Array) -> Array:
    """Costs of rows of points, infinite where they are not feasible."""
    with evaluating(network), torch.no_grad():
        x = as_input(network, points)
        outputs = network(x)
        found = torch.as_tensor(loss(outputs)).to(dtype=torch.float64, device="cpu")
        if found.shape != (len(x),):
            raise ValueError(
                f"loss must return {len(x)} costs for {len(x)} outputs, got shape "
                f"{tuple(found.shape)}; reduce all but the first axis"
            )
        if feasible is not None:
            good = torch.as_tensor(feasible(x, outputs)).cpu()
            if good.shape != found.shape or good.dtype != torch.bool:
                raise ValueError(
                    f"feasible must return {len(x)} truth values, got {good.dtype} of shape "
                    f"{tuple(good.shape)}; compare row by row"
                )
            found = torch.where(good, found, torch.inf)
    return np.asarray(found.numpy())
