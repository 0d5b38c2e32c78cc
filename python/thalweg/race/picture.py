"""A result as a picture: training loss against epochs and against time, names at the lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import blended_transform_factory

from thalweg.race.result import Result, Row

# Paul Tol's "muted" set and orange: told apart with any common colour blindness and on paper
_COLOURS = (
    "#332288", "#CC6677", "#117733", "#88CCEE", "#882255",
    "#DDAA33", "#44AA99", "#AA4499", "#999933", "#E4632D",
)  # fmt: skip
_MARKERS = "osD^vPXphd"
_REFERENCE_DASHES = ("--", ":", "-.")
_INK, _FAINT = "#222222", "#8a8a8a"
_LOWEST_LOSS = 1e-6


@dataclass(frozen=True)
class Look:
    """How one contender's line is drawn."""

    colour: str
    dashes: str
    marker: str
    width: float


def draw(result: Result, path: Path) -> None:
    """Draw `result` into the PNG file `path`."""
    figure = Figure(figsize=(12.5, 6.4), dpi=160, facecolor="white")
    left = figure.add_axes((0.06, 0.10, 0.36, 0.73))
    right = figure.add_axes((0.625, 0.10, 0.36, 0.73), sharey=left)
    looks = _looks(result.rows)
    for row, look in zip(result.rows, looks, strict=True):
        losses = [_shown(point.train_loss) for point in row.points]
        for axes, places in (
            (left, [point.epoch for point in row.points]),
            (right, [point.seconds for point in row.points]),
        ):
            _line(axes, places, losses, look, first=row is result.rows[0])
    _frame(left, "epochs", result)
    _frame(right, "seconds of training", result)
    right.tick_params(labelleft=False)
    left.set_ylabel("training loss")
    _limits(left, result)
    left.set_xlim(0, max(row.points[-1].epoch for row in result.rows))
    right.set_xlim(0, 1.03 * max(row.points[-1].seconds for row in result.rows))
    _names(left, result, looks)
    _headings(figure, result)
    figure.savefig(path)


def _looks(rows: Sequence[Row]) -> list[Look]:
    """Colours go by name, so that a rule keeps its own when another wins."""
    ours = sorted(row.label for row in rows if not row.of_torch)
    theirs = sorted(row.label for row in rows if row.of_torch)
    looks = []
    for row in rows:
        if row.of_torch:
            i = theirs.index(row.label)
            shade = _INK if i % 2 == 0 else "#777777"
            looks.append(Look(shade, _REFERENCE_DASHES[i % len(_REFERENCE_DASHES)], "", 1.8))
        else:
            i = ours.index(row.label)
            dashes = "-" if i < len(_COLOURS) else "--"
            looks.append(
                Look(_COLOURS[i % len(_COLOURS)], dashes, _MARKERS[i % len(_MARKERS)], 1.6)
            )
    return looks


def _line(
    axes: Axes, places: Sequence[float], losses: Sequence[float], look: Look, *, first: bool
) -> None:
    # above the other lines: references are thin dashes that a solid line would hide
    axes.plot(
        places,
        losses,
        color=look.colour,
        linestyle=look.dashes,
        linewidth=look.width + (1.2 if first else 0.0),
        marker=look.marker,
        markersize=5.5,
        markeredgecolor="white",
        markeredgewidth=0.5,
        markevery=max(1, len(places) // 6),
        solid_capstyle="round",
        zorder=4 if not look.marker else 3,
    )


def _frame(axes: Axes, xlabel: str, result: Result) -> None:
    axes.set_yscale("log")
    axes.set_xlabel(xlabel, color=_INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_FAINT)
    axes.tick_params(which="both", color=_FAINT, labelcolor=_INK)
    axes.grid(axis="y", which="major", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=xlabel == "epochs"))
    axes.yaxis.set_major_locator(LogLocator(numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.axhline(result.plan.target, color=_FAINT, linewidth=1.0, dashes=(2, 2), zorder=1)
    across = blended_transform_factory(axes.transAxes, axes.transData)
    axes.text(
        0.995, result.plan.target, f"target {result.plan.target:g}", color="#666666", fontsize=8,
        ha="right", va="bottom", transform=across,
    )  # fmt: skip


def _limits(axes: Axes, result: Result) -> None:
    start = result.rows[0].points[0].train_loss
    losses = [_shown(point.train_loss) for row in result.rows for point in row.points]
    seen = [loss for loss in losses if math.isfinite(loss)]
    # a loss that shot up on its way to infinity must not flatten the others
    axes.set_ylim(min(*seen, result.plan.target) / 1.6, min(max(seen), 10 * start) * 1.4)


def _names(axes: Axes, result: Result, looks: Sequence[Look]) -> None:
    """Write every name right of its line's end, moved apart where ends are close."""
    low, high = (math.log(limit) for limit in axes.get_ylim())
    ends = [
        (math.log(_shown(row.points[-1].train_loss)) - low) / (high - low) if not row.diverged
        else 1.0
        for row in result.rows
    ]  # fmt: skip
    heights = spread(ends, gap=min(0.052, 1.0 / max(1, len(ends))))
    # the names must fit between the panels, in height and in width
    size = min(
        9.0,
        144 / len(ends),
        153 / max(len(line) for row in result.rows for line in _broken(row.label).split("\n")),
    )
    for rank, (row, look, end, height) in enumerate(
        zip(result.rows, looks, ends, heights, strict=True), start=1
    ):
        axes.plot(
            (1.0, 1.045, 1.06), (min(end, 1.0), height, height), transform=axes.transAxes,
            color=look.colour, linewidth=0.8, clip_on=False,
        )  # fmt: skip
        axes.plot(
            (1.065, 1.125), (height, height), transform=axes.transAxes, color=look.colour,
            linestyle=look.dashes, linewidth=look.width + 0.6, marker=look.marker, markevery=[0],
            markersize=5.5, markeredgecolor="white", markeredgewidth=0.5, clip_on=False,
        )  # fmt: skip
        figures = "diverged" if row.diverged else f"{100 * row.accuracy:.1f} %"
        weight = "bold" if rank == 1 else "normal"
        for place, text, side in ((1.245, figures, "right"), (1.265, _broken(row.label), "left")):
            axes.text(
                place, height, text, transform=axes.transAxes, color=_INK, fontsize=size,
                va="center", ha=side, weight=weight,
            )  # fmt: skip


def _broken(label: str) -> str:
    """Break a long label after its name."""
    name, colon, rest = label.rpartition(":") if len(label) > 17 else (label, "", "")
    return f"{name}{colon}\n{rest}" if rest else name


def spread(ends: Sequence[float], gap: float) -> list[float]:
    """Move heights apart to at least `gap`, around where they are, in [0, 1].

    Parameters
    ----------
    ends : sequence of float
        Heights wanted, 0 the bottom and 1 the top.
    gap : float
        Least distance of two neighbours; `gap * (len(ends) - 1)` must not exceed 1.

    Returns
    -------
    list of float
        Heights in the order of `ends`.
    """
    order = sorted(range(len(ends)), key=lambda i: ends[i])
    rising = _pulled(_pushed(ends, order, gap), order, gap)
    falling = _pushed(_pulled(ends, order, gap), order, gap)
    # both keep order and distance, so their mean does; it centres a cluster on its lines
    return [(low + high) / 2 for low, high in zip(rising, falling, strict=True)]


def _pushed(heights: Sequence[float], order: Sequence[int], gap: float) -> list[float]:
    """Push each height up, off the one below it, and off 0."""
    moved, floor = list(heights), 0.0
    for i in order:
        moved[i] = max(moved[i], floor)
        floor = moved[i] + gap
    return moved


def _pulled(heights: Sequence[float], order: Sequence[int], gap: float) -> list[float]:
    """Pull each height down, off the one above it, and off 1."""
    flipped = _pushed([1 - height for height in heights], order[::-1], gap)
    return [1 - height for height in flipped]


def _headings(figure: Figure, result: Result) -> None:
    task, plan, first = result.task, result.plan, result.rows[0]
    headline = "No winner: every optimizer diverged"
    if not first.diverged:
        headline = f"{first.label} wins with {100 * first.accuracy:.1f} % on the test images"
    epochs = "1 epoch" if plan.epochs == 1 else f"{plan.epochs} epochs"
    if not result.finished:
        epochs = f"interrupted after {first.points[-1].epoch:g} of {epochs}"
    threads = "1 thread" if plan.threads == 1 else f"{plan.threads} threads"
    details = (
        f"{task.title}: the same network of {result.parameters:,} weights, from the same start, "
        f"{epochs}, seed {plan.seed}, {threads}. Beside each name: test accuracy."
    )
    figure.text(0.06, 0.93, headline, fontsize=16, weight="bold", color=_INK)
    figure.text(0.06, 0.88, details, fontsize=10, color="#555555")


def _shown(loss: float) -> float:
    """Keep zero and tiny losses on the logarithmic axis; a loss that is not finite leaves a gap."""
    return max(loss, _LOWEST_LOSS) if math.isfinite(loss) else math.nan
