"""SoftmaxRadius: a step no longer than the radius of convergence of cross-entropy along it."""

from __future__ import annotations

import math
import warnings
from collections import deque
from contextlib import nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from thalweg.optim.closures import Closure, Wrapper, gradients, norm
from thalweg.optim.logit_slopes import (
    Batch,
    Logits,
    Recorder,
    bare,
    cut,
    default_logits,
    detached,
    radii,
    tangents,
    undisturbed,
)
from thalweg.optim.radius_reading import RadiusReading, picture
from thalweg.optim.scaled_step import Decay, ScaledStep, refuse_narrow_points
from thalweg.optim.whole import is_distributed

_OPTIONS = (
    "model",
    "fraction",
    "method",
    "samples",
    "quantile",
    "schedule_free",
    "include_decay",
    "eps",
    "on_nonfinite",
    "history",
)


class SoftmaxRadius(Wrapper):
    """Cap the steps of an optimizer at the radius where cross-entropy stops being predictable.

    Use it for training of classifiers and language models that must survive a learning rate which
    is much too large, for a moment or for long.

    Parameters
    ----------
    base : torch.optim.Optimizer
        Any optimizer of thalweg or torch that steps from the gradients at hand, or a wrapper of
        one; not LBFGS.
    model : Module
        What computes the logits. It remembers the arguments of the last forward pass that has a
        graph, with which the radius is measured.
    fraction : float, default 1.0
        Largest step, in radii, > 0.
    method : {"jvp", "difference"}, default "jvp"
        Slopes of the logits by one Jacobian-vector product, or from two forward passes, for models
        with operations that have no derivative in forward mode.
    samples : int or None, default 256
        At most as many rows of the batch are measured, evenly spaced; None for all. Cut are the
        tensors as long as the first one among the arguments.
    quantile : float, default 0.0
        Which of the samples' radii counts, in [0, 1]: the smallest, unless a few outliers are to be
        left aside.
    schedule_free : bool, default False
        Every step is `fraction` radii long, whatever the learning rate.
    include_decay : bool, default True
        Whether decoupled weight decay is part of the step; else it is applied in full, beside it.
    logits : callable, optional
        `logits(output, args, kwargs)` gets the logits from the model's output and the arguments of
        that call, and may drop positions that the loss ignores, as in `lambda output, args, kwargs:
        output.logits[kwargs["labels"] != -100]`. By default the output itself, its `logits`, or the
        first of a tuple.
    dim : int, default -1
        Axis of the classes in the logits; 1 for images with a class for each pixel.
    eps : float, optional
        Length of the finite difference, > 0; by default `sqrt(machine eps) * max(1, norm)`.
    on_nonfinite : {"raise", "skip"}, default "raise"
        What gradients or logits that are not finite do, before anything is written.
    keep : int or None, default 10000
        Steps to keep in `history`; None for all.

    Attributes
    ----------
    last : RadiusReading or None
        The latest step: its length, the radius, `r`, and the part taken.
    history : deque of RadiusReading
        The steps that are kept, the latest last.

    Raises
    ------
    ValueError
        If an option is outside its range, or `model` lacks a parameter of `base`.
    TypeError
        If `base` is no optimizer or a kind that is not taken, or `model` no module.
    NotImplementedError
        For parameters that are DTensors, and for points kept in low precision.

    Notes
    -----
    `p` is what `base` would add to all parameters together, learning rate, momentum and decay
    included, `tau` its length and `a` the derivatives of the logits along `p / tau`. The radius is
    `pi / (max a - min a)`, a lower bound, and for two classes `sqrt((z_0 - z_1)^2 + pi^2) /
    |a_0 - a_1|`, which is exact; that of the batch is the smallest of its samples'. Added is
    `min(1, fraction * radius / tau) * p`. A step that is not capped has the bits of `base`.

    The state of `base` advances as if its step were taken whole, also when it is capped: momentum
    forgets a spike of the learning rate at once if it holds gradients, as that of SGD and Adam,
    and step by step if it holds velocities. States that are points move with the parameters, by
    the same part. Averages that `base` keeps inside (ASGD) see the whole step.

    Batch norm uses the batch's statistics, as in training, and its running ones are not touched;
    dropout is off, and random numbers are not consumed. Under `torch.distributed` the smallest
    radius of all processes counts, so that all take the same step. Cost: one
    Jacobian-vector product of `samples` rows, three forward passes or so; two copies of the
    parameters during the step, and until the first radius was measured one of the state, so that
    an error leaves everything as before.

    References
    ----------
    Sao 2026, "Ghosts of softmax: complex singularities that limit safe step sizes in
    cross-entropy", arXiv:2603.13552.

    Examples
    --------
    >>> import torch
    >>> from thalweg.optim import AdamW
    >>> model = torch.nn.Linear(4, 3)
    >>> optimizer = SoftmaxRadius(AdamW(model.parameters(), lr=1e4), model)
    >>> loss = torch.nn.functional.cross_entropy(model(torch.ones(8, 4)), torch.arange(8) % 3)
    >>> loss.backward()
    >>> optimizer.step()
    >>> optimizer.last.r > 1000, optimizer.last.scale * optimizer.last.r <= 1 + 1e-9
    (True, True)
    """

    def __init__(
        self,
        base: torch.optim.Optimizer,
        model: nn.Module,
        fraction: float = 1.0,
        *,
        method: Literal["jvp", "difference"] = "jvp",
        samples: int | None = 256,
        quantile: float = 0.0,
        schedule_free: bool = False,
        include_decay: bool = True,
        logits: Logits | None = None,
        dim: int = -1,
        eps: float | None = None,
        on_nonfinite: Literal["raise", "skip"] = "raise",
        keep: int | None = 10_000,
    ) -> None:
        super().__init__(base, {})
        if isinstance(base, torch.optim.LBFGS):
            raise TypeError("base must step from the gradients at hand, got LBFGS; try SGD")
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a Module, got {type(model).__name__}; pass the network")
        numbers = {"fraction": fraction, "eps": 1.0 if eps is None else eps}
        for name, value in numbers.items():
            if not 0.0 < value < math.inf:
                raise ValueError(f"{name} must be > 0 and finite, got {value}; leave it out")
        if not 0.0 <= quantile <= 1.0:
            raise ValueError(f"quantile must be in [0, 1], got {quantile}; 0 is the smallest")
        for name, count in {"samples": samples, "keep": keep}.items():
            if count is not None and count < 1:
                raise ValueError(f"{name} must be at least 1, got {count}; None takes all")
        choices: dict[str, tuple[str, ...]] = {
            "method": (method, "jvp", "difference"),
            "on_nonfinite": (on_nonfinite, "raise", "skip"),
        }
        for name, (choice, *allowed) in choices.items():
            if choice not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {choice!r}")
        self.model = model
        self.fraction, self.method, self.samples = fraction, method, samples
        self.quantile, self.schedule_free = quantile, schedule_free
        self.include_decay = include_decay
        self.eps, self.on_nonfinite = eps, on_nonfinite
        self.history: deque[RadiusReading] = deque(maxlen=keep)
        # Whether a radius was measured: then the model's operations are known to work.
        self._proven = False
        self._recorder = Recorder(logits or default_logits, dim)
        self._names()
        self._decay()
        refuse_narrow_points(base)
        self._handles = [
            model.register_forward_pre_hook(self._recorder.before, with_kwargs=True),
            model.register_forward_hook(self._recorder.after, with_kwargs=True),
        ]

    @property
    def last(self) -> RadiusReading | None:
        """The latest step; None before the first."""
        return self.history[-1] if self.history else None

    def remove(self) -> None:
        """Take the hooks off the model; steps then need `inputs`."""
        for handle in self._handles:
            handle.remove()
        self._recorder.batch = None

    @override
    def __getstate__(self) -> dict[str, Any]:
        own = ("_proven", "_recorder", "_handles")
        return {**super().__getstate__(), **{k: vars(self)[k] for k in (*_OPTIONS, *own)}}

    @override
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        try:
            self._names()
        except (ValueError, NotImplementedError):
            self.param_groups.pop()
            raise

    def _names(self) -> dict[str, Tensor]:
        """Parameters of `base` by their names in the model."""
        known: dict[Tensor, str] = {p: name for name, p in bare(self.model).named_parameters()}
        names: dict[str, Tensor] = {}
        for p in self.params():
            if is_distributed(p):
                raise NotImplementedError(
                    "parameters must be whole tensors, got a DTensor; use DistributedDataParallel, "
                    "whose processes then take the smallest radius of all"
                )
            if p not in known:
                raise ValueError(
                    f"model must hold every parameter of base, got one of shape {tuple(p.shape)} "
                    "that it lacks; pass the module whose parameters base was given"
                )
            names[known[p]] = p
        return names

    def _decay(self) -> Decay | None:
        return None if self.include_decay else Decay(self.base)

    @override
    def step(self, closure: Closure | None = None, inputs: Any = None) -> Any:
        """Let `base` step, and cap it.

        Parameters
        ----------
        closure : callable, optional
            Reevaluates the model and returns the loss.
        inputs : tuple, dict or Tensor, optional
            Arguments of the model to measure with, instead of those of the last forward pass.

        Returns
        -------
        loss
            The loss at the point where the step began, if there is a closure, else None.

        Raises
        ------
        RuntimeError
            If there was no forward pass, and no `inputs`.
        ValueError, TypeError, NotImplementedError
            For gradients, logits, closures or models that do not fit. Parameters and state are then
            as before.
        """
        names, decay = self._names(), self._decay()
        loss: Any = None
        # Wrappers evaluate their closures themselves, at points of their own.
        nested = isinstance(self.base, Wrapper)
        if not nested:
            if closure is not None:
                loss = gradients(closure, list(names.values()))
            names = {name: p for name, p in names.items() if p.grad is not None}
            if self._skipped(inputs, names):
                return loss
        with torch.no_grad():
            params = list(names.values())
            # Later on, nothing can go wrong that a look at the recorded logits did not show.
            taken = ScaledStep(self.base, params, not self._proven or nested or inputs is not None)
        with taken, decay.aside() if decay is not None else nullcontext():
            if nested:
                loss = self.base.step(closure)
            elif closure is None:
                self.base.step()
            else:
                self.base.step(lambda: loss)
            with torch.no_grad():
                self._cap(taken, list(names), inputs)
                if decay is not None:
                    decay.apply(dict(zip(params, taken.old, strict=True)))
        return loss

    def _batch(self, inputs: Any) -> Batch:
        """What the radius is measured with."""
        if inputs is None:
            if self._recorder.batch is None:
                raise RuntimeError(
                    "model must have run with gradients before a step, got no forward pass; call "
                    "model(...) itself, or step(inputs=...)"
                )
            return self._recorder.batch
        if isinstance(inputs, dict):
            return Batch((), detached(inputs))
        return Batch(detached(inputs if isinstance(inputs, tuple) else (inputs,)), {})

    def _skipped(self, inputs: Any, names: dict[str, Tensor]) -> bool:
        """Look at logits and gradients before anything is written."""
        self._batch(inputs)
        wrong = None
        if inputs is None:
            if self._recorder.flaw is not None:
                raise self._recorder.flaw
            if not bool(self._recorder.finite):
                wrong = "logits"
        found = [p.grad for p in names.values() if p.grad is not None]
        if not math.isfinite(norm([g.coalesce().values() if g.is_sparse else g for g in found])):
            wrong = wrong or "gradients"
        if wrong is None:
            return False
        if self.on_nonfinite == "raise":
            raise ValueError(
                f"{wrong} must be finite, got NaN or infinity; look at the data, use GradScaler "
                'with float16, or pass on_nonfinite="skip"'
            )
        self.history.append(RadiusReading(math.nan, math.nan, math.nan, 0.0))
        return True

    def _cap(self, taken: ScaledStep, names: list[str], inputs: Any) -> None:
        """Measure the step that was taken, and go back where it was too long."""
        length, direction = taken.unit()
        radius = math.inf if length == 0.0 else math.nan
        if 0.0 < length < math.inf:
            old = dict(zip(names, taken.old, strict=True))
            along = dict(zip(names, direction, strict=True))
            radius = self._radius(old, along, self._batch(inputs))
        if math.isnan(radius):
            warnings.warn(
                "the step, or the slopes of the logits along it, are not finite; parameters stay "
                "and the state of base has advanced",
                RuntimeWarning,
                stacklevel=4,
            )
            scale = 0.0
        else:
            scale = self.fraction * radius / length if length else 1.0
            if not self.schedule_free or math.isinf(scale):
                scale = min(1.0, scale)
        taken.scale(scale, length, direction)
        r = length / radius if radius else math.inf
        self.history.append(RadiusReading(length, radius, r, scale))

    def _radius(self, old: dict[str, Tensor], along: dict[str, Tensor], batch: Batch) -> float:
        """Radius of the batch along a unit vector; NaN where the slopes are not finite."""
        eps = None
        if self.method == "difference":
            rounding = max(torch.finfo(x.dtype).eps for x in old.values())
            eps = self.eps or math.sqrt(rounding) * max(1.0, norm(list(old.values())))
        model, recorder = bare(self.model), self._recorder

        def logits(output: Any, batch: Batch) -> Tensor:
            return recorder.classes_last(output, batch.args, batch.kwargs)

        recorder.paused = True
        try:
            with undisturbed(model):
                z, a = tangents(model, cut(batch, self.samples), old, along, logits, eps)
        finally:
            recorder.paused = False
        self._proven = True
        each = radii(z, a).flatten()
        radius = each.kthvalue(1 + int(self.quantile * (len(each) - 1))).values
        # Less than any radius, so that one process that sees it is enough.
        finite = z.isfinite().all() & a.isfinite().all()
        radius = radius.where(finite, -1.0)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(radius, torch.distributed.ReduceOp.MIN)
        return float(radius) if float(radius) >= 0.0 else math.nan

    def plot(self) -> Any:
        """Draw the history: lengths and radii over the steps, and their quotient.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImportError
            If matplotlib is missing (extra "plot").
        ValueError
            If there was no step.
        """
        if not self.history:
            raise ValueError("history must hold a step, got none; step the optimizer first")
        return picture(self.history, self.fraction)


__all__ = ["SoftmaxRadius"]
