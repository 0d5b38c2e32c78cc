"""Logits of a training batch, how they change along a direction, and how far that is safe.

The passes made here leave no trace: statistics of batches, random numbers and modes are as before.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _NormBase
from torch.utils._pytree import tree_map

# From the model's output and the arguments of that call to logits.
Logits = Callable[[Any, tuple[Any, ...], dict[str, Any]], Tensor]


class Batch(NamedTuple):
    """Arguments of one forward pass."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Recorder:
    """Remember the last forward pass that had a graph; both hooks of a model.

    Copies and pickles of the model carry an empty one, which a copy of its optimizer shares.
    """

    def __init__(self, logits: Logits, dim: int) -> None:
        self.logits, self.dim = logits, dim
        self.batch: Batch | None = None
        # What is wrong with the logits of that pass, and whether they are finite.
        self.flaw: Exception | None = None
        self.finite: bool | Tensor = True
        self.paused = False

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "batch": None, "flaw": None, "finite": True, "paused": False}

    def before(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Keep the arguments of the pass that begins."""
        if torch.is_grad_enabled() and not self.paused:
            self.batch, self.flaw = Batch(*detached((args, kwargs))), None

    def after(self, _: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        """Look at its logits, so that a step can refuse them before it begins."""
        if torch.is_grad_enabled() and not self.paused:
            with torch.no_grad():
                try:
                    self.finite = self.classes_last(output, args, kwargs).isfinite().all()
                except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as e:
                    # The pass is the user's; the step raises it.
                    self.flaw = e.with_traceback(None)

    def classes_last(self, output: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """Logits of an output, with their classes along the last axis."""
        return checked(self.logits(output, args, kwargs), self.dim)


def detached(tree: Any) -> Any:
    """The same arguments without their graphs."""
    return tree_map(lambda x: x.detach() if isinstance(x, Tensor) else x, tree)


def default_logits(output: Any, args: Any = (), kwargs: Any = None) -> Tensor:
    """A tensor itself, what is named `logits`, or the first of a tuple.

    Raises
    ------
    TypeError
        If the output is none of these.
    """
    found = output
    if not isinstance(found, Tensor):
        if isinstance(found, Mapping) and "logits" in found:
            found = found["logits"]
        elif hasattr(found, "logits"):
            found = found.logits
        elif isinstance(found, (tuple, list)) and found:
            found = found[0]
    if not isinstance(found, Tensor):
        raise TypeError(
            f"output of model must hold logits, got {type(output).__name__}; "
            "pass logits=lambda output, args, kwargs: ..."
        )
    return found


def checked(logits: Any, dim: int) -> Tensor:
    """Return logits with their classes last.

    Raises
    ------
    TypeError
        If they are no tensor of floats.
    ValueError
        If there are less than two classes, or no samples.
    """
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        kind = logits.dtype if isinstance(logits, Tensor) else type(logits).__name__
        raise TypeError(f"logits must be a tensor of floats, got {kind}; pass logits=")
    if not -logits.ndim <= dim < logits.ndim:
        raise ValueError(
            f"logits must have an axis {dim} of classes, got shape {tuple(logits.shape)}; "
            "pass dim= or logits="
        )
    if logits.shape[dim] < 2:
        raise ValueError(
            f"logits must have two classes or more, got shape {tuple(logits.shape)} with "
            f"{logits.shape[dim]} along axis {dim}; for one sigmoid output z pass "
            "logits=lambda z, args, kwargs: torch.cat([torch.zeros_like(z), z], -1)"
        )
    if not logits.numel():
        raise ValueError(
            f"logits must hold a sample, got shape {tuple(logits.shape)}; look at the batch"
        )
    return logits.movedim(dim, -1)


def radii(logits: Tensor, slopes: Tensor) -> Tensor:
    """Radius of convergence of the cross-entropy of each sample along a direction.

    Parameters
    ----------
    logits, slopes : Tensor, shape (..., K)
        Logits where the step starts, and their derivatives along the direction.

    Returns
    -------
    Tensor, shape (...), float64
        Infinite where all slopes are equal.

    Notes
    -----
    With `z_k + t a_k` for the logits, cross-entropy is singular where `sum_k exp(z_k + t a_k)`
    vanishes. For two classes that is at `t = (z_1 - z_0 + i pi (2 m + 1)) / (a_0 - a_1)`, and the
    nearest is `sqrt((z_0 - z_1)^2 + pi^2) / |a_0 - a_1|` away. For more, no two terms differ by a
    phase of pi within `pi / (max a - min a)`, so they cannot cancel there: a lower bound.
    """
    z, a = logits.double(), slopes.double()
    if z.shape[-1] == 2:
        gap = (z[..., 0] - z[..., 1]).square()
        return (gap + math.pi**2).sqrt() / (a[..., 0] - a[..., 1]).abs()
    return math.pi / (a.amax(-1) - a.amin(-1))


def cut(batch: Batch, samples: int | None) -> Batch:
    """At most `samples` rows of every tensor that has the batch's length, evenly spaced."""
    lengths: list[int] = []
    tree_map(lambda x: lengths.append(len(x)) if isinstance(x, Tensor) and x.ndim else None, batch)
    if samples is None or not lengths or lengths[0] <= samples:
        return batch
    length, stride = lengths[0], -(-lengths[0] // samples)

    def rows(x: Any) -> Any:
        return x[::stride] if isinstance(x, Tensor) and x.ndim and len(x) == length else x

    return Batch(*tree_map(rows, tuple(batch)))


def bare(model: nn.Module) -> nn.Module:
    """The module inside what compiles or distributes it."""
    inner = getattr(model, "_orig_mod", model)
    parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    return bare(inner.module) if isinstance(inner, parallel) else inner


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Let passes see statistics of the batch as training does, but no dropout."""
    modes = [(module, module.training) for module in model.modules()]
    devices = {p.device.index for p in model.parameters() if p.device.type == "cuda"}
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        for module, _ in modes:
            # Functional dropout asks the module that calls it, so that all go.
            if not isinstance(module, _NormBase):
                module.training = False
        # Fused attention has no derivative in forward mode.
        torch.backends.mha.set_fastpath_enabled(False)
        with torch.no_grad(), torch.random.fork_rng(devices=sorted(devices)):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, training in modes:
            module.training = training


def tangents(
    model: nn.Module,
    batch: Batch,
    old: dict[str, Tensor],
    direction: dict[str, Tensor],
    logits: Callable[[Any, Batch], Tensor],
    eps: float | None,
) -> tuple[Tensor, Tensor]:
    """Logits at `old` and their derivatives along `direction`.

    Parameters
    ----------
    model : Module
        Its parameters and buffers are not written.
    batch : Batch
        Arguments of the passes.
    old, direction : dict of str to Tensor
        Parameters that move, by name, and the unit vector along which they do.
    logits : callable
        From output and batch to logits.
    eps : float, optional
        Length of a finite difference; exact derivatives (one Jacobian-vector product) without it.

    Returns
    -------
    logits, slopes : Tensor, shape (..., K)

    Raises
    ------
    NotImplementedError
        If an operation of the model has no derivative in forward mode.
    """

    def forward(values: dict[str, Tensor]) -> Tensor:
        # Copies made inside: a pass may write its buffers, and these are thrown away.
        buffers = {name: b.clone() for name, b in model.named_buffers()}
        output = functional_call(model, {**buffers, **values}, batch.args, batch.kwargs)
        return logits(output, batch)

    if eps is not None:
        start = forward(old)
        end = forward({name: x + eps * direction[name] for name, x in old.items()})
        return start, (end.double() - start.double()) / eps
    try:
        _load()
        with sdpa_kernel(SDPBackend.MATH):
            found: tuple[Any, ...] = jvp(forward, (old,), (direction,))
    except (NotImplementedError, RuntimeError) as error:
        known = ("forward AD", "forward-mode", "jvp")
        if any(word in str(error) for word in known):
            raise NotImplementedError(
                f"an operation of {type(model).__name__} has no derivative in forward mode "
                f'({str(error).splitlines()[0]}); pass method="difference"'
            ) from error
        raise
    return found[0], found[1]


@cache
def _load() -> None:
    """Let torch fetch what forward mode needs, which warns about torch's own insides."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        jvp(torch.neg, (torch.ones(1),), (torch.ones(1),))


__all__ = [
    "Batch",
    "Logits",
    "Recorder",
    "bare",
    "checked",
    "cut",
    "default_logits",
    "detached",
    "radii",
    "tangents",
    "undisturbed",
]
