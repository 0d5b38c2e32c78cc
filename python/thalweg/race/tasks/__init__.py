"""What is raced on: a network, its data and the length of the race.

A task is a file of this folder with a function `load(data)`; its name is the file's.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Task:
    """A classification problem with the settings that suit it.

    Attributes
    ----------
    name, title : str
        As typed, and as shown.
    network : callable
        Builds the network with fresh weights from torch's global generator.
    train, test : pair of Tensor
        Inputs of shape (n, ...) and int64 classes of shape (n,).
    epochs, batch_size : int
        Length of the race and images a step.
    checks : int
        Measurements an epoch.
    target : float
        Training loss whose reaching is timed.
    threads : int or None
        Threads that suit the network; None leaves torch's count.
    """

    name: str
    title: str
    network: Callable[[], nn.Module]
    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    epochs: int
    batch_size: int
    checks: int
    target: float
    threads: int | None


def names() -> list[str]:
    """List the tasks, without importing them."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def load(name: str, data: Path | None) -> Task:
    """Build the task `name`, reading what it needs from the folder `data`.

    Raises
    ------
    InputError
        If the data cannot be read, or the task has no use for `data`.
    """
    task: Task = importlib.import_module(f"{__name__}.{name}").load(data)
    return task
