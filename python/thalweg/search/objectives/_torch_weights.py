"""Weights of a network from and to a torch module of the same shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg._extras import require
from thalweg.search.objectives.layers import Dense, Floats

__all__ = ["copy_into", "read_layers", "read_weights"]


def read_layers(module: Any) -> list[Dense]:
    """Layers of a `torch.nn.Sequential` of Linear, ReLU and Tanh."""
    nn = require("torch").nn
    layers: list[Dense] = []
    for item in module:
        if isinstance(item, nn.Linear):
            bias = None if item.bias is None else _numpy(item.bias)
            layers.append(Dense(_numpy(item.weight), bias, "linear"))
        elif isinstance(item, (nn.ReLU, nn.Tanh)) and layers and layers[-1].unit == "linear":
            layers[-1].unit = "relu" if isinstance(item, nn.ReLU) else "tanh"
        elif not isinstance(item, (nn.Flatten, nn.Identity)):
            raise TypeError(
                f"module must be a Sequential of Linear, ReLU and Tanh, got "
                f"{type(item).__name__}; build the layers and call load_torch"
            )
    return layers


def read_weights(module: Any) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Weights and biases (zeros where there is none) of the `Linear` modules, in order."""
    return [
        (
            _numpy(item.weight),
            np.zeros(len(item.weight)) if item.bias is None else _numpy(item.bias),
        )
        for item in _linears(module)
    ]


def copy_into(
    module: Any, parameters: Sequence[tuple[Floats, Floats]], wanted: Sequence[Any]
) -> None:
    """Write weights and biases into the `Linear` modules, or raise and write nothing."""
    torch = require("torch")
    linears = _linears(module)
    shapes = [tuple(item.weight.shape) for item in linears]
    if shapes != list(wanted) or any(item.bias is None for item in linears):
        raise ValueError(
            f"module with Linear layers of shape {shapes} does not match the layers of shape "
            f"{list(wanted)}; pass a module of the same shape, with biases"
        )
    with torch.no_grad():
        for item, (w, b) in zip(linears, parameters, strict=True):
            item.weight.copy_(torch.from_numpy(w))
            item.bias.copy_(torch.from_numpy(b))


def _numpy(tensor: Any) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().cpu().float().numpy()
    return array


def _linears(module: Any) -> list[Any]:
    nn = require("torch").nn
    return [item for item in module.modules() if isinstance(item, nn.Linear)]
