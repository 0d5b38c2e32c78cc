"""Costs of many variants of a module: all at once through torch.func, or one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

__all__ = ["Evaluator", "scalar_loss"]

# How torch words a backward call where no graph exists, outside and inside of vmap.
_BACKWARD = ("does not require grad", "backward() called inside a functorch transform")


class _Closure(nn.Module):
    """A closure as a module, so that `functional_call` reaches the model inside it."""

    def __init__(self, model: nn.Module, closure: Callable[[], Any]) -> None:
        super().__init__()
        self.model = model
        self.closure = closure

    def forward(self) -> Any:
        return self.closure()


class Evaluator:
    """Calls a closure for variants of a model.

    Buffers are back to their values after every variant, and every variant sees the same random
    numbers (dropout masks), so that costs differ by the parameters alone.

    Parameters
    ----------
    model : Module
        The model that the closure uses.
    mode : {"auto", "vmap", "loop"}
        "auto" falls back to the loop when the model or closure cannot be batched; `reason` then
        says why.
    """

    def __init__(self, model: nn.Module, mode: str) -> None:
        if mode not in ("auto", "vmap", "loop"):
            raise ValueError(
                f"evaluate must be 'auto', 'vmap' or 'loop', got {mode!r}; auto is the usual choice"
            )
        self.model = model
        self.mode = mode
        self.reason = ""
        self.random = torch.get_rng_state()

    def begin(self) -> None:
        """Keep the random state that all variants of this step share."""
        self.random = torch.get_rng_state()

    def costs(self, closure: Callable[[], Any], variants: dict[str, Tensor]) -> Tensor:
        """Costs of `variants`: tensors (n, *shape) by the name of the parameter they replace."""
        if self.mode != "loop":
            try:
                return self._batched(closure, variants)
            except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
                if self.mode == "vmap" or isinstance(error, _RefusedError):
                    raise
                self.mode, self.reason = "loop", str(error).splitlines()[0]
        return self._looped(closure, variants)

    def one(self, closure: Callable[[], Any]) -> float:
        """The cost of the model as it is; its buffers move on."""
        self._reset()
        return scalar_loss(closure)

    def _reset(self) -> None:
        if self.random is not None:
            torch.set_rng_state(self.random)

    def _batched(self, closure: Callable[[], Any], variants: dict[str, Tensor]) -> Tensor:
        count = len(next(iter(variants.values())))
        wrapper = _Closure(self.model, closure)
        stacked = {f"model.{name}": value for name, value in variants.items()}
        if self.model.training:
            # A layer that writes its statistics needs a copy for every variant.
            for name, buffer in self.model.named_buffers():
                stacked[f"model.{name}"] = buffer.expand(count, *buffer.shape).clone()

        def call(tensors: dict[str, Tensor]) -> Tensor:
            return _scalar(_run(lambda: functional_call(wrapper, tensors, ())))

        self._reset()
        out = vmap(call, randomness="same")(stacked)
        # Inside of vmap a tensor does not say so.
        return _plain(out)

    def _looped(self, closure: Callable[[], Any], variants: dict[str, Tensor]) -> Tensor:
        count = len(next(iter(variants.values())))
        own = dict(self.model.named_parameters())
        kept = {name: own[name].detach().clone() for name in variants}
        buffers = [(b, b.clone()) for b in self.model.buffers()] if self.model.training else []
        out = torch.empty(count, dtype=torch.float64)
        with torch.no_grad():
            try:
                for i in range(count):
                    for name, value in variants.items():
                        own[name].copy_(value[i])
                    self._reset()
                    out[i] = _scalar(_run(closure))
                    for buffer, value in buffers:
                        buffer.copy_(value)
            finally:
                for name, value in kept.items():
                    own[name].copy_(value)
                for buffer, value in buffers:
                    buffer.copy_(value)
        return out


class _RefusedError(TypeError):
    """What a closure returned, or did, is wrong whatever the mode."""


def scalar_loss(closure: Callable[[], Any]) -> float:
    """What a closure returns, as a number; TypeError or ValueError if it is no loss."""
    return float(_scalar(_run(closure)))


def _run(closure: Callable[[], Any]) -> Any:
    with torch.no_grad():
        try:
            return closure()
        except RuntimeError as error:
            if any(sign in str(error) for sign in _BACKWARD):
                raise _RefusedError(
                    "closure must return a loss without calling backward, got a call of "
                    "backward; delete it: no gradient is used"
                ) from error
            raise


def _scalar(loss: Any) -> Tensor:
    if isinstance(loss, (int, float)):
        return torch.tensor(float(loss), dtype=torch.float64)
    if not isinstance(loss, Tensor):
        raise _RefusedError(
            f"closure must return a loss as a tensor or number, got {type(loss).__name__}; "
            "return the loss alone"
        )
    if loss.numel() != 1 or loss.is_complex():
        raise _RefusedError(
            f"closure must return one real number, got shape {tuple(loss.shape)}; "
            "reduce it, for instance with mean()"
        )
    return _plain(loss.reshape(()))


def _plain(loss: Tensor) -> Tensor:
    if loss.requires_grad:
        raise _RefusedError(
            "closure must return a loss without gradients, got one that requires grad; "
            "drop torch.enable_grad from the closure"
        )
    return loss
