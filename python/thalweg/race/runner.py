"""The race: every contender trains a stretch in turn, so that a busy moment hits all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from thalweg.race.entrants import Entrant
from thalweg.race.lane import Contender, Lane
from thalweg.race.tasks import Task

Watch = Callable[[Contender], None]
"""Called with a lane whenever it has been measured."""


@dataclass(frozen=True)
class Plan:
    """How long the race is and what it starts from.

    Attributes
    ----------
    epochs : int
        Passes over the training images.
    seed : int
        Of the initial weights and the order of the batches.
    target : float
        Training loss whose reaching is timed.
    threads : int
        Threads of torch, and of thalweg, which follows it.
    """

    epochs: int
    seed: int
    target: float
    threads: int


def line_up(entrants: Sequence[Entrant], task: Task, plan: Plan) -> list[Lane]:
    """Give every entrant its own copy of the same initial network.

    Raises
    ------
    InputError
        If an optimizer refuses its settings.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        weights = task.network().state_dict()
        return [Lane(entrant, task, weights) for entrant in entrants]


def run(lanes: Sequence[Contender], task: Task, plan: Plan, watch: Watch) -> bool:
    """Train all lanes, a stretch at a time each.

    Returns
    -------
    bool
        False if Ctrl-C ended it early; what every lane had measured by then is kept.
    """
    try:
        with _threads(plan.threads):
            for lane in lanes:
                lane.check(0.0)
            for epoch, batches in _stretches(task, plan):
                for lane in lanes:
                    if not lane.diverged:
                        lane.train(batches)
                        lane.check(epoch)
                        watch(lane)
    except KeyboardInterrupt:
        _cut_to_common_length(lanes)
        return False
    return True


def _stretches(task: Task, plan: Plan) -> Iterator[tuple[float, list[tuple[Tensor, float]]]]:
    """Yield, check by check, the epochs passed and the batches with their share of the rate."""
    images = len(task.train[1])
    steps = math.ceil(images / task.batch_size)
    total = steps * plan.epochs
    checks = min(task.checks, steps)
    cuts = [round(i * steps / checks) for i in range(checks + 1)]
    for epoch in range(plan.epochs):
        # numpy's stream, unlike torch's, is the same on every platform
        order = torch.from_numpy(np.random.default_rng([plan.seed, epoch]).permutation(images))
        batches = [
            (batch, _share((epoch * steps + i) / total))
            for i, batch in enumerate(torch.split(order, task.batch_size))
        ]
        for start, end in pairwise(cuts):
            yield epoch + end / steps, batches[start:end]


def _share(progress: float) -> float:
    """Cosine schedule from 1 to 0: without it sign-based rules end where their rate lets them."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def _cut_to_common_length(lanes: Sequence[Contender]) -> None:
    common = min((len(lane.points) for lane in lanes if not lane.diverged), default=0)
    for lane in lanes:
        del lane.points[common:]


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def shortened(task: Task, kept: Tensor, held_out: Tensor) -> Task:
    """Make a task that trains on `kept` and is tested on `held_out`, both training images."""
    images, classes = task.train
    return replace(
        task,
        train=(images[kept], classes[kept]),
        test=(images[held_out], classes[held_out]),
        checks=1,
    )
