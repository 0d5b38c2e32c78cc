"""What the native step asks of torch: new state, stand-ins for unusual tensors, products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from thalweg import _core
from thalweg._start import Spec, column_signs
from thalweg.optim import precision
from thalweg.optim.whole import put

if TYPE_CHECKING:
    from thalweg.optim.optimizer import Optimizer

_TYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
_COMPLEX = (torch.complex64, torch.complex128)


class TorchHost:
    """Callbacks of one optimizer."""

    torch = True

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer

    def init(self, p: Tensor, missing: list[Spec], group: dict[str, Any]) -> dict[str, Tensor]:
        """Return new state by name; `missing` says what is needed, as `_core.optim_states` does."""
        from thalweg.optim.optimizer import state_dtype

        state: dict[str, Tensor] = {}
        for name, kind, value, count in missing:
            if kind in ("counter", "wide"):
                dtype = _counter_dtype() if kind == "counter" else torch.float64
                state[name] = torch.full(() if count == 1 else (count,), value, dtype=dtype)
                continue
            if kind == "compensation":
                state[name] = torch.zeros_like(precision.layout(p), requires_grad=False)
                continue
            low = group["state_dtype"] != "float32"
            if low and kind == "constant" and value == 0.0:
                state.update(precision.empty(name, p, group))
                continue
            values = torch.zeros_like(
                p, dtype=state_dtype(p), memory_format=torch.preserve_format, requires_grad=False
            )
            if kind == "normal":
                self._fill_normal(values, value, int(group["seed"]), self.number(p))
            elif kind == "columns":
                seed = int(group["seed" if group["update_sign"] is None else "update_sign_seed"])
                signs = column_signs(p.shape, value, seed, self.number(p))
                real = _real(values)
                shape = (*p.shape, 1) if p.is_complex() else p.shape
                put(real, torch.from_numpy(signs).reshape(shape).expand(real.shape).to(real.device))
            elif value != 0.0:
                _real(values).fill_(value)
            if low:
                state.update(precision.stored(name, values, p, group))
            else:
                state[name] = values
        return state

    def number(self, p: Tensor) -> int:
        """Return the place of a parameter among all."""
        params = (q for group in self.optimizer.param_groups for q in group["params"])
        return next(number for number, q in enumerate(params) if q is p)

    def _group(self, p: Tensor) -> dict[str, Any]:
        groups = self.optimizer.param_groups
        return next(group for group in groups if any(q is p for q in group["params"]))

    @staticmethod
    def _fill_normal(out: Tensor, std: float, seed: int, stream: int) -> None:
        real = torch.view_as_real(out) if out.is_complex() else out
        draws = np.empty(real.numel())
        _core.optim_normal(draws, seed, stream)
        put(real, torch.from_numpy(draws * std).reshape(real.shape).to(real.device))

    def conform(
        self,
        tensors: list[Tensor],
        scales: list[Tensor | None],
        low: Tensor | None,
        ordered: bool = False,
    ) -> list[Tensor]:
        """Return stand-ins of parameter, gradient and states that share one dense layout.

        With `ordered`, elements lie in the order of their indices. Codes with their scales, and the
        low half of the parameter, are laid out anew in place where the layout of their parameter
        has changed.

        Raises
        ------
        TypeError, ValueError, NotImplementedError
            If they cannot be brought into shape.
        """
        p, g, *states = tensors
        name = type(self.optimizer).__name__
        if g.layout == torch.sparse_coo and self.optimizer.sparse:
            if self._group(p)["weight_decay"] != 0.0:
                raise RuntimeError(
                    f"weight_decay must be 0 for a sparse gradient in {name}, got "
                    f"{self._group(p)['weight_decay']}; decay would reach every row"
                )
            g = g.to_dense()
        for tensor, what in ((p, "parameter"), (g, "gradient")):
            if tensor.layout != torch.strided:
                raise NotImplementedError(
                    f"{name} takes no sparse {what} ({tensor.layout}); use a dense one, such as "
                    "nn.Embedding(..., sparse=False), or torch.optim.SparseAdam"
                )
            if tensor.dtype not in _TYPES + _COMPLEX:
                raise TypeError(
                    f"each {what} must be float32, float64, bfloat16, float16, complex64 or "
                    f"complex128, got {str(tensor.dtype).removeprefix('torch.')}; convert it"
                )
        if p.is_complex() != g.is_complex():
            raise TypeError(
                f"grad must be of the parameter's kind, got {g.dtype} for {p.dtype}; convert it"
            )
        for state in states:
            if state.shape not in (p.shape, _real(p.detach()).shape):
                raise ValueError(
                    f"state of shape {tuple(state.shape)} does not match its parameter of shape "
                    f"{tuple(p.shape)}; load the checkpoint of this model"
                )
        if any(size > 1 and stride == 0 for size, stride in zip(p.shape, p.stride(), strict=True)):
            raise ValueError(
                f"parameter of shape {tuple(p.shape)} and strides {p.stride()} overlaps itself; "
                "pass a copy, such as p.clone()"
            )
        if p.is_complex():
            self._check_complex(p)
        with torch.no_grad():
            real = [_real(tensor.detach()) for tensor in (p, g, *states)]
            keep = not ordered and precision.is_dense(real[0])
            work = real[0] if keep else real[0].contiguous()
            for codes, scale in zip(states, scales, strict=True):
                if codes.dtype == torch.uint8 and codes.stride() != work.stride():
                    values = torch.empty_like(work, dtype=torch.float32)
                    codes.data, new = precision.quantize(
                        values.copy_(precision.dequantize(codes, scale))
                    )
                    if scale is not None:
                        scale.copy_(new)
            if low is not None and low.stride() != work.stride():
                low.data = torch.empty_like(work).copy_(low)
            real[2:] = [_real(state.detach()) for state in states]
            return [_like(work, tensor) for tensor in (work, *real[1:])]

    def _check_complex(self, p: Tensor) -> None:
        from thalweg.optim import plain

        groups = self.optimizer.param_groups
        for group in (g for g in groups if any(q is p for q in g["params"])):
            plain.check_shapes(self.optimizer, group, p)

    @staticmethod
    def restore(tensor: Tensor, stand_in: Tensor) -> None:
        """Copy a stand-in back, unless it shares the memory."""
        if tensor.data_ptr() != stand_in.data_ptr():
            with torch.no_grad():
                _real(tensor.detach()).copy_(stand_in)

    @staticmethod
    def direction(p: Tensor) -> Tensor:
        """Return room for the direction of a rule on matrices, in the type it is computed in."""
        dtype = torch.float64 if p.dtype == torch.float64 else torch.float32
        return torch.empty_like(p, dtype=dtype, requires_grad=False)

    @staticmethod
    def orthogonalize(
        u: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
    ) -> None:
        """Replace a direction by its orthogonal factor."""
        with torch.no_grad():
            u.copy_(newton_schulz(u.flatten(1), coefficients, steps, eps).reshape(u.shape))


def newton_schulz(
    u: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Tensor:
    """Return the (nearly) orthogonal factor of a matrix; see `thalweg.optim.Muon`."""
    a, b, c = coefficients
    x = u.mT if u.shape[0] > u.shape[1] else u
    x = x / x.norm().clamp(min=eps)
    # Memory once for all iterations: fresh pages would cost as much as a small product.
    square = x.new_empty(x.shape[0], x.shape[0])
    polynomial, other = torch.empty_like(square), torch.empty_like(x)
    for _ in range(steps):
        torch.mm(x, x.mT, out=square)
        torch.addmm(square, square, square, beta=b, alpha=c, out=polynomial)
        torch.addmm(x, polynomial, x, beta=a, out=other)
        x, other = other, x
    return x.mT if u.shape[0] > u.shape[1] else x


def _counter_dtype() -> torch.dtype:
    """Type of a step counter, as torch has it."""
    return torch.float64 if torch.get_default_dtype() == torch.float64 else torch.float32


def _real(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def _like(work: Tensor, tensor: Tensor) -> Tensor:
    """`tensor` in the layout of `work`, and of a type the core reads."""
    if tensor.stride() == work.stride() and tensor.dtype in (*_TYPES, torch.uint8):
        return tensor
    dtype = tensor.dtype if tensor.dtype in _TYPES else work.dtype
    return torch.empty_like(work, dtype=dtype).copy_(tensor)
