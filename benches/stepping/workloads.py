"""Lists of parameters, with gradients that stay the same."""

from __future__ import annotations

import torch
from torch import Tensor

# Blocks of a residual net with 18 layers: (channels in, channels out, stride).
_RESNET = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)]
_GPT2 = {"width": 768, "layers": 12, "words": 50257, "places": 1024}
_NAMES = {
    "W1": "one tensor of 25M",
    "W2": "a ResNet-18 list",
    "W3": "a GPT-2-small list",
    "W3 block": "the matrices of one of its blocks",
    "W3 hidden": "the matrices of all of its blocks",
    "W4": "500 tensors of 64 to 4096",
    "W5": "one tensor of 1M",
    "one": "one tensor of 1",
}


def shapes(workload: str) -> list[tuple[int, ...]]:
    """Shapes of a workload's parameters."""
    match workload:
        case "W1":
            return [(25_000_000,)]
        case "W2":
            return _resnet()
        case "W3":
            return _gpt2()
        case "W3 block":
            return _block()
        case "W3 hidden":
            return _block() * _GPT2["layers"]
        case "W4":
            generator = torch.Generator().manual_seed(0)
            sizes = torch.rand(500, generator=generator).mul_(6).exp2_().mul_(64)
            return [(int(n),) for n in sizes]
        case "W5":
            return [(1_000_000,)]
        case "one":
            return [(1,)]
    raise ValueError(f"workload must be one of {', '.join(_NAMES)}, got {workload!r}")


def params(workload: str) -> list[Tensor]:
    """Parameters of ordinary size, each with a gradient."""
    generator = torch.Generator().manual_seed(1)
    made = []
    for shape in shapes(workload):
        p = torch.nn.Parameter(torch.randn(shape, generator=generator))
        p.grad = torch.randn(shape, generator=generator).mul_(0.1)
        made.append(p)
    return made


def describe(workload: str) -> str:
    return f"{workload}: {_NAMES[workload]}"


def _resnet() -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = [(64, 3, 7, 7), (64,), (64,)]
    for before, after, stride in _RESNET:
        for block in range(2):
            first = before if block == 0 else after
            found += [(after, first, 3, 3), (after,), (after,)]
            found += [(after, after, 3, 3), (after,), (after,)]
            if block == 0 and stride == 2:
                found += [(after, first, 1, 1), (after,), (after,)]
    return [*found, (1000, 512), (1000,)]


def _block() -> list[tuple[int, ...]]:
    """Matrices of one block of GPT-2 small."""
    width = _GPT2["width"]
    return [(3 * width, width), (width, width), (4 * width, width), (width, 4 * width)]


def _gpt2() -> list[tuple[int, ...]]:
    width, hidden = _GPT2["width"], 4 * _GPT2["width"]
    found: list[tuple[int, ...]] = [(_GPT2["words"], width), (_GPT2["places"], width)]
    for _ in range(_GPT2["layers"]):
        found += [(width,), (width,), (3 * width, width), (3 * width,), (width, width), (width,)]
        found += [(width,), (width,), (hidden, width), (hidden,), (width, hidden), (width,)]
    return [*found, (width,), (width,)]
