"""MeZO: two forward passes and nothing stored, noise drawn again from its seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from typing_extensions import override

from thalweg import _core
from thalweg._extras import require
from thalweg.search._arguments import as_choice, as_seed
from thalweg.search._processes import fingerprint

require("torch")

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from thalweg.optim.optimizer import bump_versions  # noqa: E402
from thalweg.search.evaluate import scalar_loss  # noqa: E402

__all__ = ["MeZO"]

_TYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
# Tensors of a step whose noise differs.
_MOST = 2**24
# Factors of the parameter and of the noise, one move after the other.
Moves = list[list[float]]


class MeZO(torch.optim.Optimizer):
    """Train a torch module by two forward passes a step, in the memory of inference.

    Use it to fine-tune a large pretrained network where a backward pass does not fit into memory.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor) or of dict
        Parameters in float32, float64, bfloat16 or float16, or groups with their own `lr`, `eps`
        and `weight_decay`. Those without ``requires_grad`` stay.
    lr : float, default 1e-6
        Learning rate, >= 0. The direction is as long as the gradient times the root of the number
        of parameters, so it is far smaller than that of SGD.
    eps : float, default 1e-3
        Radius of the two looks along the noise, > 0.
    weight_decay : float, default 0.0
        Coefficient, >= 0: each step multiplies parameters by ``1 - lr weight_decay``.
    rounding : {"nearest", "stochastic"}, default "nearest"
        How the update is rounded in bfloat16 and float16. Steps below half a unit in the last place
        are lost by "nearest" and kept on average by "stochastic", on the CPU alone.
    seed : None, int or numpy Generator
        Seed of the noise.

    Attributes
    ----------
    projected_gradient : float
        Slope along the noise of the last step.
    nonfinite : int
        Steps that were left out because a loss was NaN or infinite.

    Raises
    ------
    ValueError, TypeError
        For settings out of range and parameters of another type; for a closure that returns no
        loss, or gradients. Parameters are then back where they were, see Notes.

    Notes
    -----
    ``L+ = loss(x + eps z)``, ``L- = loss(x - eps z)``, ``x -= lr (L+ - L-) / (2 eps) z`` with
    z standard normal, a function of the seed, the step, the number of the tensor and the element.
    Both forward passes draw the same dropout masks; layers that keep statistics move them twice.

    Moves are rounded to the type of the parameter each, so that x + eps z and back is x again
    exactly, but for an element that reaches a larger power of two on the way: it comes back within
    half a unit in the last place of where it was, ``2^-24 |x + eps z|`` in float32 and
    ``2^-8 |x + eps z|`` in bfloat16. Elements smaller than eps do so most of the time. Ties, one
    element in 10^3 in float64 and in 10^5 in types of two bytes, may come back a unit off. The same
    holds after a closure that raises, or a loss that is not finite.

    Three passes over the parameters a step (two looks, then back and onwards at once), in place;
    memory none. On other devices than the CPU, and for tensors that do not lie dense, noise is that
    of torch's generator, drawn again from a seed as well, in temporaries of the size of a tensor.

    References
    ----------
    Malladi et al. 2023, "Fine-Tuning Language Models with Just Forward Passes", NeurIPS,
    arXiv:2305.17333, Alg. 1.

    Examples
    --------
    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(64, 4)
    >>> model = torch.nn.Linear(4, 1)
    >>> optimizer = MeZO(model.parameters(), lr=0.05, seed=0)
    >>> def closure():
    ...     return (model(x)[:, 0] - x.sum(1)).square().mean()
    >>> first = optimizer.step(closure)
    >>> for _ in range(300):
    ...     last = optimizer.step(closure)
    >>> last < 0.01 * first
    True
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-6,
        eps: float = 1e-3,
        weight_decay: float = 0.0,
        *,
        rounding: str = "nearest",
        seed: int | np.random.Generator | None = None,
    ) -> None:
        as_choice("rounding", rounding, ("nearest", "stochastic"))
        self.rounding = rounding
        self.projected_gradient = math.nan
        # What resumption needs lies in the groups, which checkpoints keep.
        counts = {"seed": as_seed(seed), "step": 0, "nonfinite": 0}
        super().__init__(params, {"lr": lr, "eps": eps, "weight_decay": weight_decay, **counts})

    @override
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As torch's; refuses types and settings that do not fit."""
        for group in self.param_groups[:1]:
            # One clock for all groups.
            param_group = {**param_group, **{k: group[k] for k in ("seed", "step", "nonfinite")}}
        _check_settings({**self.defaults, **param_group})
        super().add_param_group(param_group)
        try:
            for p in self.param_groups[-1]["params"]:
                _check_parameter(p, self.rounding)
        except (TypeError, NotImplementedError):
            self.param_groups.pop()
            raise

    @property
    def nonfinite(self) -> int:
        """Steps that were left out because a loss was NaN or infinite."""
        return int(self.param_groups[0]["nonfinite"])

    @override
    def __getstate__(self) -> dict[str, Any]:
        own = {"rounding": self.rounding, "projected_gradient": self.projected_gradient}
        return {**super().__getstate__(), **own}

    @override
    def step(self, closure: Callable[[], Any]) -> float:  # type: ignore[override]
        """Move the parameters once.

        Parameters
        ----------
        closure : callable
            ``closure() -> loss`` runs the model on a batch and returns its loss, a number or a
            tensor of one element. It must not call backward. It is called twice.

        Returns
        -------
        float
            The mean of the two losses.
        """
        if not callable(closure):
            raise TypeError(
                f"closure must be callable, got {type(closure).__name__}; return the loss from it"
            )
        for group in self.param_groups:
            # A scheduler may have changed them.
            _check_settings(group)
        drawn = _random_states(self.param_groups)
        self._walk(lambda group: [[1.0, group["eps"]]])
        plus = self._look(closure, -1.0)
        self._walk(lambda group: [[1.0, -group["eps"]]] * 2)
        after = _random_states(self.param_groups)
        _set_random_states(drawn)
        minus = self._look(closure, 1.0)
        _set_random_states(after)
        fine = math.isfinite(plus) and math.isfinite(minus)

        def onwards(group: dict[str, Any]) -> Moves:
            lr, eps = float(group["lr"]), group["eps"]
            update = [1.0 - lr * group["weight_decay"], -lr * (plus - minus) / (2.0 * eps)]
            return [[1.0, eps], update] if fine else [[1.0, eps]]

        self._walk(onwards, last=fine)
        self.projected_gradient = (plus - minus) / (2.0 * self.param_groups[0]["eps"])
        for group in self.param_groups:
            group["step"] += 1
            group["nonfinite"] += not fine
        return 0.5 * (plus + minus)

    def _look(self, closure: Callable[[], Any], back: float) -> float:
        """The loss where the parameters are; they go back by `back` eps z if there is none."""
        try:
            return scalar_loss(closure)
        except BaseException:
            self._walk(lambda group: [[1.0, back * group["eps"]]])
            raise

    def _walk(self, moves: Callable[[dict[str, Any]], Moves], last: bool = False) -> None:
        """Move the parameters of every group; `last` rounds the last move as the option says."""
        seed, step = self.param_groups[0]["seed"], self.param_groups[0]["step"]
        native: list[Tensor] = []
        plans: list[Moves] = []
        streams: list[int] = []
        plain: list[tuple[Tensor, Moves, int]] = []
        number = 0
        for group in self.param_groups:
            plan = moves(group)
            for p in group["params"]:
                stream, number = step * _MOST + number, number + 1
                if p.requires_grad and _is_native(p):
                    native.append(p.detach())
                    plans.append(plan)
                    streams.append(stream)
                elif p.requires_grad:
                    plain.append((p.detach(), plan, stream))
        dither = step if last and self.rounding == "stochastic" else None
        if native and not _core.search_walk(native, plans, seed, streams, dither):
            raise ValueError("params must not share memory, got two that do; clone one of them")
        if native:
            bump_versions(native)
        for p, plan, stream in plain:
            _walk_plainly(p, plan, seed, stream)


def _walk_plainly(p: Tensor, moves: Moves, seed: int, stream: int) -> None:
    """As the core, by torch, with the generator of the device."""
    generator = torch.Generator(device=p.device)
    generator.manual_seed(fingerprint(seed, stream) % 2**63)
    wide = torch.float64 if p.dtype == torch.float64 else torch.float32
    z = torch.randn(p.shape, generator=generator, device=p.device, dtype=wide)
    with torch.no_grad():
        for a, b in moves:
            p.copy_(torch.add(p.to(wide) * a, z, alpha=b))


def _is_native(p: Tensor) -> bool:
    dense = p.is_contiguous() or any(
        p.ndim == axes and p.is_contiguous(memory_format=layout)
        for axes, layout in ((4, torch.channels_last), (5, torch.channels_last_3d))
    )
    return bool(p.device.type == "cpu" and dense and p.ndim <= 6)


def _check_settings(group: dict[str, Any]) -> None:
    for name, least in (("lr", "0 <="), ("eps", "0 <"), ("weight_decay", "0 <=")):
        value = group[name]
        fits = isinstance(value, (int, float, Tensor)) and math.isfinite(value)
        if not fits or value < 0 or (name == "eps" and value == 0):
            raise ValueError(
                f"{name} must be a finite number {least} {name}, got {value}; see the documentation"
            )


def _check_parameter(p: Tensor, rounding: str) -> None:
    if type(p) not in (Tensor, torch.nn.Parameter):
        raise TypeError(
            f"params must be plain tensors, got {type(p).__name__}; pass what each process holds "
            "as a tensor of its own"
        )
    if p.dtype not in _TYPES or p.layout != torch.strided:
        raise TypeError(
            f"params must be dense, of float32, float64, bfloat16 or float16, got {p.dtype} "
            f"({p.layout}); freeze it and leave it out"
        )
    if rounding == "stochastic" and p.dtype in _TYPES[2:] and not _is_native(p):
        raise NotImplementedError(
            "rounding='stochastic' of tensors that do not lie dense on the CPU is not supported; "
            "choose 'nearest'"
        )


def _random_states(groups: list[dict[str, Any]]) -> dict[Any, Tensor]:
    """States of torch's generators, of the CPU and of every CUDA device that has parameters."""
    devices = {p.device for group in groups for p in group["params"] if p.device.type == "cuda"}
    states = {device: torch.cuda.get_rng_state(device) for device in devices}
    return {**states, "cpu": torch.get_rng_state()}


def _set_random_states(states: dict[Any, Tensor]) -> None:
    for device, state in states.items():
        if device == "cpu":
            torch.set_rng_state(state)
        else:
            torch.cuda.set_rng_state(state, device)
