"""Gradient clipping: by one norm of all gradients, and pixel by pixel."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any, Literal

import torch
from torch import Tensor

from thalweg import _core
from thalweg.optim.optimizer import bump_versions

_NATIVE_NORMS = (1.0, 2.0, float("inf"))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients together so that their norm is at most `max_norm`.

    A replacement of `torch.nn.utils.clip_grad_norm_`, with the same numbers in fewer passes: one
    that reads the gradients, and one that scales them only where that changes something. An
    optimizer of this package saves the second pass too: pass it `clip_norm` instead.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Whose `.grad` to clip, in place; those without gradient are skipped.
    max_norm : float
        Largest norm of all gradients together.
    norm_type : float, default 2.0
        Order of the norm; `inf` or "inf" for the largest absolute value. Orders besides 1, 2 and
        infinity are computed by torch.
    error_if_nonfinite : bool, default False
        Raise for a norm that is NaN or infinite, before any gradient changes; by default NaN and
        infinity spread to all gradients.
    foreach : bool, optional
        Passed on to torch for gradients out of the core's reach, and without effect for others.

    Returns
    -------
    Tensor, shape ()
        The norm before clipping.

    Raises
    ------
    RuntimeError
        If `error_if_nonfinite` and the norm is not finite.

    Notes
    -----
    `g *= min(1, max_norm / (norm + 1e-6))`, so a clipped norm ends slightly below the limit. The
    norm accumulates in float64 and does not depend on the number of threads. Gradients on other
    devices, sparse, complex or overlapping ones and tensor subclasses such as DTensor go to torch.

    References
    ----------
    Pascanu, Mikolov, Bengio 2013, "On the difficulty of training recurrent neural networks".

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.zeros(2))
    >>> w.grad = torch.tensor([3.0, 4.0])
    >>> float(clip_grad_norm_([w], max_norm=1.0))
    5.0
    >>> float(w.grad.norm())
    1.0
    """
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm_type = float(norm_type)
    total = None
    if gradients and norm_type in _NATIVE_NORMS and all(g.numel() for g in gradients):
        total = _core.optim_total_norm(gradients, norm_type)
    if total is None:
        return torch.nn.utils.clip_grad_norm_(
            parameters, max_norm, norm_type, error_if_nonfinite, foreach
        )
    # In the type and the operations of torch, whose factor this then is.
    dtype = reduce(torch.promote_types, (g.dtype for g in gradients))
    norm = torch.tensor(total, dtype=dtype)
    if error_if_nonfinite and not bool(norm.isfinite()):
        raise RuntimeError(
            f"the norm of order {norm_type} of all gradients must be finite, got {float(norm)}; "
            "lower the learning rate, or pass error_if_nonfinite=False to let it spread"
        )
    factor = float((float(max_norm) / (norm + 1e-6)).clamp(max=1.0))
    if factor != 1.0:
        if _core.optim_scale(gradients, factor):
            bump_versions(gradients)
        else:
            with torch.no_grad():
                for g in gradients:
                    g.mul_(factor)
    return norm


def clip_grad_pixelwise_(
    gradient: Tensor,
    max_norm: float = 0.1,
    *,
    norm: Literal["inf", "2"] = "inf",
    dim: int = 1,
    grad_scale: float | Tensor = 1.0,
) -> Tensor:
    """Scale the gradient of each pixel so that its norm over the channels is at most `max_norm`.

    Use it on the gradient of a rendered image, where few pixels would else decide the step; see
    `clip_pixels` for the place in a model.

    Parameters
    ----------
    gradient : Tensor, floating, shape (..., channels, ...)
        Changed in place, on any device.
    max_norm : float, default 0.1
        Largest norm of one pixel, > 0.
    norm : {"inf", "2"}
        Largest absolute value over the channels, as in the released code, or their 2-norm.
    dim : int, default 1
        Axis of the channels.
    grad_scale : float or Tensor of one element, default 1.0
        What the loss was multiplied by (`GradScaler.get_scale()`); the limit is multiplied too.

    Returns
    -------
    Tensor
        `gradient`.

    Raises
    ------
    ValueError
        If `max_norm` is not positive, `norm` is unknown or `dim` is no axis of `gradient`.

    Notes
    -----
    `g *= min(1, max_norm / norm(g))`, each pixel by itself. A pixel with NaN becomes NaN.

    References
    ----------
    Pan et al. 2024, "Enhancing high-resolution 3D generation through pixel-wise gradient clipping",
    arXiv:2310.12474.

    Examples
    --------
    >>> import torch
    >>> image = torch.tensor([[[[1.0, 0.01]], [[0.5, 0.02]]]])
    >>> clip_grad_pixelwise_(image).flatten().tolist()
    [0.1, 0.01, 0.05, 0.02]
    """
    _check_pixels(gradient.dim(), max_norm, norm, dim)
    with torch.no_grad():
        gradient.mul_(_pixel_factor(gradient, max_norm, norm, dim, grad_scale))
    return gradient


def clip_pixels(
    image: Tensor,
    max_norm: float = 0.1,
    *,
    norm: Literal["inf", "2"] = "inf",
    dim: int = 1,
    grad_scale: float | Tensor = 1.0,
) -> Tensor:
    """Return `image`, whose gradient is clipped pixel by pixel on its way back.

    Put it between renderer and loss; parameters as for `clip_grad_pixelwise_`.

    Examples
    --------
    >>> import torch
    >>> image = torch.ones(1, 3, 2, 2, requires_grad=True)
    >>> (100.0 * clip_pixels(image)).sum().backward()
    >>> float(image.grad.max())
    0.1
    """
    _check_pixels(image.dim(), max_norm, norm, dim)
    clipped: Tensor = _ClipPixels.apply(image, max_norm, norm, dim, grad_scale)
    return clipped


class _ClipPixels(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, *limits: Any) -> Tensor:
        ctx.limits = limits
        return image.view_as(image)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (gradient,) = gradients
        return gradient * _pixel_factor(gradient, *ctx.limits), None, None, None, None


def _check_pixels(axes: int, max_norm: float, norm: str, dim: int) -> None:
    if not 0.0 < max_norm < float("inf"):
        raise ValueError(
            f"max_norm must be a positive finite number, got {max_norm}; a usual value is 0.1"
        )
    if norm not in ("inf", "2"):
        raise ValueError(f'norm must be "inf" or "2", got {norm!r}; the released code has "inf"')
    if not -axes <= dim < axes:
        raise ValueError(
            f"dim must be an axis of a tensor with {axes} axes, got {dim}; "
            "images of shape (N, C, H, W) have their channels at 1"
        )


def _pixel_factor(
    gradient: Tensor, max_norm: float, norm: str, dim: int, grad_scale: float | Tensor
) -> Tensor:
    order = float(norm)
    size = torch.linalg.vector_norm(gradient, order, dim=dim, keepdim=True)
    limit = torch.as_tensor(max_norm * grad_scale, dtype=size.dtype, device=size.device)
    # As min(1, limit / size), without dividing by zero.
    return limit / torch.maximum(size, limit)


__all__ = ["clip_grad_norm_", "clip_grad_pixelwise_", "clip_pixels"]
