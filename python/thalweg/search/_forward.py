"""torch's forward derivative, without the warning of its first use."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import torch
from torch import func

__all__ = ["jvp"]


def jvp(f: Any, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
    """As `torch.func.jvp`."""
    _begin()
    out: Any = func.jvp(f, primals, tangents)
    return out[0], out[1]


@cache
def _begin() -> None:
    """Let torch script its formulas, which it warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        func.jvp(torch.sin, (torch.zeros(1),), (torch.zeros(1),))
