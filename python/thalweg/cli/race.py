"""`thalweg race`: find out which optimizer trains a real network best."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from thalweg._errors import InputError
from thalweg.cli import INTERRUPTED
from thalweg.race import tasks

if TYPE_CHECKING:
    from thalweg.race.result import Result
    from thalweg.race.runner import Plan
    from thalweg.race.tasks import Task

_NEEDS = {"torch": "torch", "matplotlib": "matplotlib", "sklearn": "scikit-learn"}


@click.command(name="race")
@click.option(
    "--task",
    "task_name",
    type=click.Choice(tasks.names()),
    default="digits",
    show_default=True,
    help="What to train on.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the IDX files, gzipped or not (task mnist; snn takes the digits without).",
)
@click.option(
    "--optimizers",
    metavar="LIST",
    help="Who races, e.g. adamw,diffgrad:lr=3e-3,torch:AdamW. "
    "Default: ten rules of thalweg, torch's AdamW and SGD. Task snn: polystep, openai_es, spsa, "
    "surrogate.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the training images.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of initial weights and batch order: same seed, same numbers.",
)
@click.option(
    "--lr-sweep",
    is_flag=True,
    help="First find each optimizer's best of five rates (takes five times as long).",
)
@click.option(
    "--target",
    type=click.FloatRange(min=0, min_open=True),
    metavar="LOSS",
    help="Training loss whose reaching is timed.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Threads of torch and thalweg.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    default=Path("race"),
    show_default=True,
    help="Folder for race.json and race.png.",
)
def command(
    task_name: str,
    data: Path | None,
    optimizers: str | None,
    epochs: int | None,
    seed: int,
    lr_sweep: bool,
    target: float | None,
    threads: int | None,
    out: Path,
) -> int:
    """Train one network with many optimizers from the same start, and say which wins.

    Prints a ranking and writes race.json and race.png. Ctrl-C ends the race with what it has.
    """
    _require(task_name)
    from torch import get_num_threads

    from thalweg.race import picture, record, table
    from thalweg.race.runner import Plan

    if lr_sweep and task_name == "snn":
        raise InputError("--lr-sweep has no use with --task snn; type rates in --optimizers")
    task = tasks.load(task_name, data)
    plan = Plan(
        epochs=epochs or task.epochs,
        seed=seed,
        target=target or task.target,
        threads=threads or task.threads or get_num_threads(),
    )
    race = (
        _spikes(optimizers, task, plan)
        if task_name == "snn"
        else _steps(optimizers, task, plan, lr_sweep)
    )
    _prepare(out)
    result = race(Console(stderr=True))
    if result is None:
        print("thalweg: interrupted before there was anything to compare", file=sys.stderr)
        return INTERRUPTED
    table.show(result, Console())
    record.write(result, out / "race.json")
    picture.draw(result, out / "race.png")
    print(f"Written: {out / 'race.json'}, {out / 'race.png'}")
    return 0 if result.finished else INTERRUPTED


def _steps(
    optimizers: str | None, task: Task, plan: Plan, lr_sweep: bool
) -> Callable[[Console], Result | None]:
    """Get optimizers ready; refuses wrong settings before anything long begins."""
    from thalweg.race import entrants as field
    from thalweg.race.contest import contest
    from thalweg.race.runner import line_up

    racers = field.parse(field.DEFAULT if optimizers is None else optimizers)
    line_up(racers, task, plan)
    return lambda console: contest(racers, task, plan, lr_sweep=lr_sweep, console=console)


def _spikes(optimizers: str | None, task: Task, plan: Plan) -> Callable[[Console], Result | None]:
    """Get the contenders of the spiking task ready."""
    from thalweg.race.contest import conduct
    from thalweg.race.spiking import contenders as field

    racers = field.parse(field.DEFAULT if optimizers is None else optimizers)
    lanes = field.line_up(racers, task, plan)
    return lambda console: conduct(lanes, task, plan, console)


def _require(task: str) -> None:
    """Refuse before anything long begins if a package is missing."""
    needed = [module for module in _NEEDS if module != "sklearn" or task in ("digits", "snn")]
    missing = [_NEEDS[module] for module in needed if find_spec(module) is None]
    if missing:
        raise InputError(
            f"thalweg race --task {task} needs {' and '.join(missing)}; "
            'install with pip install "thalweg[demo]"'
        )


def _prepare(out: Path) -> None:
    """Make the folder and try to write in it, so that a finished race is never lost."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"cannot write in --out {out} ({reason}); pass another folder") from error
