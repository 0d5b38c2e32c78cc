"""A result as a table for the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from thalweg.race.result import Result, Row
from thalweg.race.sweep import at_edge


def show(result: Result, console: Console) -> None:
    """Print ranking, winner and notes."""
    console.print(_ranking(result))
    console.print(f"[bold]{_verdict(result)}[/bold]", highlight=False)
    for line in notes(result):
        console.print(line, style="dim", highlight=False)


def notes(result: Result) -> list[str]:
    """List what the table must not be read without."""
    lines = list(dict.fromkeys(row.note for row in result.rows if row.note))
    lines += [
        f"{row.label}: best at the edge of its five rates; a better may lie beyond"
        for row in result.rows
        if row.sweep and at_edge(row.sweep)
    ]
    if not result.finished:
        lines.append(f"interrupted after epoch {result.rows[0].points[-1].epoch:g}")
    return lines


def _ranking(result: Result) -> Table:
    task, plan = result.task, result.plan
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title=f"{task.title}: {result.parameters} parameters, {plan.epochs} epochs, "
        f"seed {plan.seed}",
        caption=f"target: training loss {plan.target:g}; ms/step: optimizer alone, median",
    )
    table.add_column("#", justify="right")
    table.add_column("optimizer", overflow="fold")
    for name in (
        "lr",
        "test\nacc.",
        "epochs to\ntarget",
        "s to\ntarget",
        "ms/\nstep",
        "state B/\nparam",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for rank, row in enumerate(result.rows, start=1):
        table.add_row(str(rank), *_cells(row), style=_style(rank, row))
    return table


def _cells(row: Row) -> list[str]:
    return [
        row.label,
        f"{row.lr:.3g}",
        "diverged" if row.diverged else f"{100 * row.accuracy:.2f} %",
        "-" if row.epochs_to_target is None else f"{row.epochs_to_target:.1f}",
        "-" if row.seconds_to_target is None else f"{row.seconds_to_target:.2f}",
        f"{row.step_ms[1]:.3f}",
        f"{row.state_bytes:.1f}",
    ]


def _style(rank: int, row: Row) -> str:
    if rank == 1:
        return "bold green"
    return "dim" if row.of_torch else ""


def _verdict(result: Result) -> str:
    first = result.rows[0]
    if first.diverged:
        return "No winner: every optimizer diverged. Lower the rates or pass --lr-sweep."
    told = round(first.accuracy * len(result.task.test[1]))
    equals = [row.label for row in result.rows[1:] if row.accuracy == first.accuracy]
    tie = f"; {', '.join(equals)} as many (order: epochs to the target)" if equals else ""
    return f"{first.label} wins: {told} of {len(result.task.test[1])} test images right{tie}."
