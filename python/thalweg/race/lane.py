"""One contender on the track: a network, its optimizers and what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from thalweg.race.entrants import Entrant, rate
from thalweg.race.tasks import Task

_EVALUATION_BATCH = 2000
# the training loss of a large set is taken on its first images: the same for every contender
LOSS_SAMPLE = 5_000


@dataclass(frozen=True)
class Point:
    """Measurements at one moment: `seconds` counts training alone, without measuring."""

    epoch: float
    seconds: float
    train_loss: float
    test_loss: float
    test_accuracy: float


class Described(Protocol):
    """What a result says about an entrant."""

    @property
    def label(self) -> str:
        """Name, with the settings typed where they tell it apart."""

    @property
    def note(self) -> str:
        """What its figures must not be read without."""

    @property
    def of_torch(self) -> bool:
        """Whether it is a reference line."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What it was built with."""


class Contender(Protocol):
    """What a race needs of a lane; `Lane` documents the attributes."""

    lr: float
    points: list[Point]
    step_seconds: list[float]
    diverged: bool

    @property
    def entrant(self) -> Described:
        """Who runs here."""

    def train(self, batches: Iterable[tuple[Tensor, float]]) -> None:
        """Take a step for every batch of indices, at its share of the rate."""

    def check(self, epoch: float) -> None:
        """Measure losses and accuracy, outside the clock."""

    @property
    def parameters(self) -> int:
        """Number of weights of the network."""

    @property
    def state_bytes(self) -> int:
        """Bytes kept between steps."""


class Lane:
    """Trains one entrant.

    Attributes
    ----------
    entrant : Entrant
        Who runs here.
    lr : float
        Its rate before the schedule.
    points : list of Point
        One for the start and one for every check.
    step_seconds : list of float
        Time of every optimizer step.
    diverged : bool
        Whether a loss was not finite; the lane then stands still.
    """

    def __init__(self, entrant: Entrant, task: Task, weights: dict[str, Tensor]) -> None:
        self.entrant = entrant
        self._task = task
        self._model = task.network()
        self._model.load_state_dict(weights)
        self._optimizers = entrant.build(self._model)
        self._groups = [group for each in self._optimizers for group in each.param_groups]
        self._rates = [float(group["lr"]) for group in self._groups]
        self._seconds = 0.0
        self.lr = rate(self._optimizers[0])
        self.points: list[Point] = []
        self.step_seconds: list[float] = []
        self.diverged = False

    def train(self, batches: Iterable[tuple[Tensor, float]]) -> None:
        """Take a step for every batch of indices, at its share of the rate."""
        images, classes = self._task.train
        for batch, share in batches:
            for group, lr in zip(self._groups, self._rates, strict=True):
                group["lr"] = lr * share
            start = perf_counter()
            self._model.zero_grad()
            loss = nn.functional.cross_entropy(self._model(images[batch]), classes[batch])
            loss.backward()  # type: ignore[no-untyped-call]
            ready = perf_counter()
            for optimizer in self._optimizers:
                optimizer.step()
            end = perf_counter()
            self.step_seconds.append(end - ready)
            self._seconds += end - start

    def check(self, epoch: float) -> None:
        """Measure losses and accuracy, outside the clock."""
        sample = (self._task.train[0][:LOSS_SAMPLE], self._task.train[1][:LOSS_SAMPLE])
        train_loss, _ = evaluate(self._model, sample)
        test_loss, accuracy = evaluate(self._model, self._task.test)
        self.points.append(Point(epoch, self._seconds, train_loss, test_loss, accuracy))
        self.diverged = not (math.isfinite(train_loss) and math.isfinite(test_loss))

    @property
    def parameters(self) -> int:
        """Number of weights of the network."""
        return sum(p.numel() for p in self._model.parameters())

    @property
    def state_bytes(self) -> int:
        """Bytes that the optimizers keep between steps, storage shared by tensors counted once."""
        found: dict[int, int] = {}
        for optimizer in self._optimizers:
            for tensor in _tensors(optimizer.state):
                storage = tensor.untyped_storage()
                found[storage.data_ptr()] = storage.nbytes()
        return sum(found.values())


@torch.no_grad()
def evaluate(model: nn.Module, data: tuple[Tensor, Tensor]) -> tuple[float, float]:
    """Return mean cross-entropy and accuracy."""
    loss, right = 0.0, 0
    parts = (torch.split(whole, _EVALUATION_BATCH) for whole in data)
    for images, classes in zip(*parts, strict=True):
        scores = model(images)
        loss += float(nn.functional.cross_entropy(scores, classes, reduction="sum"))
        right += int((scores.argmax(1) == classes).sum())
    return loss / len(data[1]), right / len(data[1])


def _tensors(state: Any) -> Iterable[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict):
        for value in state.values():
            yield from _tensors(value)
    elif isinstance(state, (list, tuple)):
        for value in state:
            yield from _tensors(value)
