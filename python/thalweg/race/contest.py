"""From entrants to result: the sweep if asked for, then the race, both in the live view."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from thalweg.race.display import watching
from thalweg.race.entrants import Entrant
from thalweg.race.lane import Contender
from thalweg.race.result import Result, conclude
from thalweg.race.runner import Plan, line_up, run
from thalweg.race.sweep import FACTORS, Trial, best, sweep
from thalweg.race.tasks import Task


def conduct(
    lanes: Sequence[Contender],
    task: Task,
    plan: Plan,
    console: Console,
    sweeps: Sequence[list[Trial]] = (),
) -> Result | None:
    """Race lanes that stand ready; None if Ctrl-C came before all had been measured."""
    labels = [lane.entrant.label for lane in lanes]
    with watching(labels, plan.epochs * task.checks, console) as watch:
        finished = run(lanes, task, plan, watch)
    return conclude(lanes, task, plan, finished=finished, sweeps=sweeps)


def contest(
    entrants: Sequence[Entrant], task: Task, plan: Plan, *, lr_sweep: bool, console: Console
) -> Result | None:
    """Race `entrants`, each at its best of five rates if `lr_sweep`.

    Returns
    -------
    Result or None
        None if Ctrl-C came before every contender had been measured.
    """
    sweeps: list[list[Trial]] = []
    if lr_sweep:
        found = _rates(entrants, task, plan, console)
        if found is None:
            return None
        sweeps = found
        entrants = [e.at_rate(best(t).lr) for e, t in zip(entrants, sweeps, strict=True)]
    return conduct(line_up(entrants, task, plan), task, plan, console, sweeps)


def _rates(
    entrants: Sequence[Entrant], task: Task, plan: Plan, console: Console
) -> list[list[Trial]] | None:
    found = []
    with watching([e.label for e in entrants], plan.epochs * len(FACTORS), console) as watch:
        for entrant in entrants:
            trials = sweep(entrant, task, plan, watch)
            if trials is None:
                return None
            found.append(trials)
    return found
