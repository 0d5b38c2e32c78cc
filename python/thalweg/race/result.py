"""What came out: figures of each contender, and who wins."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from thalweg.race.lane import Contender, Point
from thalweg.race.runner import Plan
from thalweg.race.sweep import Trial
from thalweg.race.tasks import Task


@dataclass(frozen=True)
class Row:
    """One contender's figures.

    Attributes
    ----------
    label, note : str
        Its name, and what the figures must not be read without.
    of_torch : bool
        Whether it is a reference line.
    lr : float
        Rate before the schedule.
    settings : dict
        What its constructor was given.
    points : list of Point
        Its curve.
    diverged : bool
        Whether a loss was not finite.
    epochs_to_target, seconds_to_target : float or None
        When its training loss first reached the target, interpolated between checks; None: never.
    step_ms : tuple of three floats
        Quartiles of a step in the optimizer alone, milliseconds.
    state_bytes : float
        Bytes kept between steps, a parameter.
    sweep : list of Trial
        Rates tried; empty without a sweep.
    """

    label: str
    note: str
    of_torch: bool
    lr: float
    settings: dict[str, object]
    points: list[Point]
    diverged: bool
    epochs_to_target: float | None
    seconds_to_target: float | None
    step_ms: tuple[float, float, float]
    state_bytes: float
    sweep: list[Trial] = field(default_factory=list)

    @property
    def accuracy(self) -> float:
        """Share of the test images told rightly at the end."""
        return self.points[-1].test_accuracy


@dataclass(frozen=True)
class Result:
    """A race that was run; `rows` stand in the order of the ranking."""

    task: Task
    plan: Plan
    parameters: int
    finished: bool
    rows: list[Row]


def conclude(
    lanes: Sequence[Contender],
    task: Task,
    plan: Plan,
    *,
    finished: bool,
    sweeps: Sequence[list[Trial]] = (),
) -> Result | None:
    """Rank the lanes: by test accuracy, then by epochs to the target; diverged ones come last.

    Returns
    -------
    Result or None
        None if not every lane was measured after its start.
    """
    if any(len(lane.points) < 2 for lane in lanes):
        return None
    trials = list(sweeps) or [[] for _ in lanes]
    rows = [_row(lane, plan.target, own) for lane, own in zip(lanes, trials, strict=True)]
    rows.sort(key=_place)
    return Result(task, plan, lanes[0].parameters, finished, rows)


def _row(lane: Contender, target: float, trials: list[Trial]) -> Row:
    epochs, seconds = crossing(lane.points, target)
    quartiles = statistics.quantiles([1e3 * s for s in lane.step_seconds], n=4)
    return Row(
        label=lane.entrant.label,
        note=lane.entrant.note,
        of_torch=lane.entrant.of_torch,
        lr=lane.lr,
        settings=dict(lane.entrant.settings),
        points=list(lane.points),
        diverged=lane.diverged,
        epochs_to_target=epochs,
        seconds_to_target=seconds,
        step_ms=(quartiles[0], quartiles[1], quartiles[2]),
        state_bytes=lane.state_bytes / lane.parameters,
        sweep=trials,
    )


def _place(row: Row) -> tuple[bool, float, float]:
    epochs = math.inf if row.epochs_to_target is None else row.epochs_to_target
    return row.diverged, -row.accuracy, epochs


def crossing(points: Sequence[Point], target: float) -> tuple[float | None, float | None]:
    """Find when the training loss first reached `target`: (epochs, seconds), or (None, None).

    Between two checks the logarithm of the loss is taken to fall in a straight line.
    """
    for before, after in pairwise(points):
        if after.train_loss <= target:
            fall = math.log(before.train_loss / max(after.train_loss, 1e-300))
            share = math.log(before.train_loss / target) / fall if fall > 0 else 1.0
            share = min(max(share, 0.0), 1.0)
            return (
                before.epoch + share * (after.epoch - before.epoch),
                before.seconds + share * (after.seconds - before.seconds),
            )
    return None, None
