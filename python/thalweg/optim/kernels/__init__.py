"""Steps of CUDA tensors by kernels that are printed from the rules, where Triton is installed.

`THALWEG_TRITON` says when: `auto` (wherever it can), `off`, or `interpret`, which takes CPU tensors
through Triton's interpreter (set `TRITON_INTERPRET=1` too), for tests. Without Triton, and for what
the kernels do not cover, steps run in plain torch; see `docs/triton.md`.
"""

from __future__ import annotations

import os
import warnings
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from thalweg.optim.kernels.admit import Item
    from thalweg.optim.optimizer import Optimizer
    from thalweg.optim.plain import Call
    from thalweg.optim.stand_in import Row

MODES = ("auto", "off", "interpret")
MODE = os.environ.get("THALWEG_TRITON", "auto")
if MODE not in MODES:
    raise ValueError(f"THALWEG_TRITON must be one of {', '.join(MODES)}, got {MODE!r}; unset it")
# Whether CPU tensors are left to the kernels.
INTERPRETED = MODE == "interpret"


def take(optimizer: Optimizer, rows: list[Row]) -> tuple[list[Item], list[Row]]:
    """Return the rows that kernels can step, with what that takes, and the others.

    Nothing is written.
    """
    kind = "cpu" if INTERPRETED else "cuda"
    if MODE == "off" or optimizer._telemetry is not None or torch.compiler.is_compiling():
        return [], rows
    devices = {row.target.device for row in rows}
    usable = {device for device in devices if device.type == kind and ready(device)}
    if not usable:
        return [], rows
    from thalweg.optim.kernels import admit

    return admit.take(optimizer, rows, usable)


def step(optimizer: Optimizer, items: list[Item], call: Call) -> None:
    """Step what `take` has taken."""
    if items:
        from thalweg.optim.kernels import batch

        batch.step(optimizer, items, call)


@cache
def ready(device: torch.device) -> bool:
    """Return whether kernels run on a device; says once why not, where one would expect it."""
    if find_spec("triton") is None:
        return False
    if device.type == "cuda" and not _is_recent(device):
        return False
    from thalweg.optim.kernels import launch

    try:
        launch.probe(device)
    # Whatever a driver or a missing compiler of C raises.
    except Exception as error:
        warnings.warn(
            f"Triton must compile for {device}, got {type(error).__name__}: {error}; steps run in "
            "plain torch, which THALWEG_TRITON=off asks for without this warning",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    return True


def _is_recent(device: torch.device) -> bool:
    """Whether Triton supports a device: one of NVIDIA's, from compute capability 8.0."""
    return torch.version.cuda is not None and torch.cuda.get_device_capability(device) >= (8, 0)


__all__ = ["INTERPRETED", "step", "take"]
