"""The live view: a bar a contender, with its last loss and accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from thalweg.race.lane import Contender
from thalweg.race.runner import Watch


@contextmanager
def watching(labels: Sequence[str], checks: int, console: Console) -> Iterator[Watch]:
    """Show one bar a label, `checks` long, while the block runs.

    Outside a terminal nothing is shown: a log full of bars helps nobody.

    Yields
    ------
    callable
        To be called with a lane whenever it was measured; its entrant's label picks the bar.
    """
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    with progress:
        bars = {label: progress.add_task(label, total=checks, figures="") for label in labels}

        def watch(lane: Contender) -> None:
            point = lane.points[-1]
            figures = f"loss {point.train_loss:8.2g}  test {100 * point.test_accuracy:5.1f} %"
            if lane.diverged:
                figures = "diverged"
            progress.update(bars[lane.entrant.label], advance=1, figures=figures)

        yield watch
