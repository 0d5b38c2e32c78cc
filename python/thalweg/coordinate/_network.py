"""What a block coordinate trainer trains: linear layers with ReLU between, skips, data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg._extras import require

Block = NDArray[Any]


def linear_layers(model: Any) -> list[Any]:
    """Return the linear layers of a Sequential of Linear and ReLU in turn, or of a list of them.

    Raises
    ------
    TypeError
        If there is another module, or dtype.
    ValueError
        If they do not follow in turn, or widths do not fit.
    """
    nn = require("torch").nn
    sequential = isinstance(model, nn.Sequential)
    if not sequential and (isinstance(model, nn.Module) or not isinstance(model, Iterable)):
        raise TypeError(
            "model must be a Sequential of Linear and ReLU, or a list of Linear, got "
            f"{type(model).__name__}; pass its layers as a list"
        )
    modules = list(model)
    for k, module in enumerate(modules):
        wanted = nn.ReLU if sequential and k % 2 else nn.Linear
        if not isinstance(module, wanted):
            raise TypeError(
                f"model[{k}] must be a {wanted.__name__}, got {type(module).__name__}; "
                "linear layers with ReLU between them are what the closed forms are for"
            )
    layers = modules[::2] if sequential else modules
    if not layers or (sequential and len(modules) % 2 == 0):
        raise ValueError(
            f"model must end with a Linear, got {len(modules)} modules; its output is not activated"
        )
    for k, layer in enumerate(layers):
        _check(layer, layers[max(k - 1, 0)], k)
    return layers


def _check(layer: Any, before: Any, k: int) -> None:
    torch = require("torch")
    weight = layer.weight
    if weight.dtype not in (torch.float32, torch.float64) or weight.dtype != before.weight.dtype:
        raise TypeError(
            f"layer {k} must be float32 or float64, as the others, got {weight.dtype}; "
            "convert the model with .float()"
        )
    if weight.device.type != "cpu":
        raise ValueError(f"layer {k} must be on the CPU, got {weight.device}; move it with .cpu()")
    if k and layer.in_features != before.out_features:
        raise ValueError(
            f"layer {k} of {layer.in_features} inputs does not match layer {k - 1} of "
            f"{before.out_features} outputs; give them one width"
        )
    if not all(bool(torch.isfinite(p).all()) for p in layer.parameters()):
        raise ValueError(f"layer {k} holds NaN or infinity; initialise it anew")


def skips(residual: bool | Sequence[bool], layers: list[Any], sequential: bool) -> list[bool]:
    """Return for each layer whether its input is added to its activation."""
    fits = [layer.in_features == layer.out_features for layer in layers]
    flags = [residual and fit for fit in fits] if isinstance(residual, bool) else list(residual)
    if len(flags) != len(layers):
        raise ValueError(
            f"residual must hold {len(layers)} flags, got {len(flags)}; pass one a linear layer"
        )
    for k, (flag, fit) in enumerate(zip(flags, fits)):
        if flag and not fit:
            raise ValueError(
                f"residual[{k}] must be False for a layer of {layers[k].in_features} inputs and "
                f"{layers[k].out_features} outputs, got True; a skip needs one width"
            )
    if any(flags) and sequential:
        raise ValueError(
            "residual must be False for a Sequential, which adds no inputs, got True; "
            "pass the list of its Linear layers"
        )
    return [bool(flag) for flag in flags]


def parameters(layer: Any) -> tuple[Block, Block]:
    """Weights and bias as arrays, in place where they are contiguous; zeros without a bias."""
    W = layer.weight.detach().numpy()
    b = np.zeros(len(W), W.dtype) if layer.bias is None else layer.bias.detach().numpy()
    return np.ascontiguousarray(W), np.ascontiguousarray(b)


def samples(X: Any, width: int, dtype: Any, name: str) -> Block:
    """Samples as a contiguous finite array of `width` columns."""
    array = X.detach().cpu().numpy() if hasattr(X, "detach") else np.asarray(X)
    if array.ndim != 2 or array.shape[1] != width or not len(array):
        raise ValueError(
            f"{name} must be of shape (n, {width}) with n >= 1, got {array.shape}; flatten it first"
        )
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold numbers, got {array.dtype}; convert it to {dtype}")
    array = np.ascontiguousarray(array, dtype=dtype)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity; remove or impute these samples")
    return array


def targets(Y: Any, width: int, dtype: Any) -> Block:
    """Targets of `width` columns; a vector of integers becomes one-hot."""
    array = Y.detach().cpu().numpy() if hasattr(Y, "detach") else np.asarray(Y)
    if array.ndim == 1 and array.dtype.kind in "iu" and len(array):
        if array.min() < 0 or array.max() >= width:
            raise ValueError(
                f"Y must hold classes in 0..{width - 1}, got {array.min()}..{array.max()}; "
                "widen the last layer or recode them"
            )
        return np.asarray(np.eye(width, dtype=dtype)[array])
    return samples(array, width, dtype, "Y")
