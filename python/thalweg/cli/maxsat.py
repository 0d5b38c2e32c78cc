"""`thalweg maxsat`: an anytime solver for DIMACS CNF and WCNF files."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np

import thalweg
from thalweg._errors import InputError
from thalweg.search.objectives import MaxSat

# Longer lines of values break some readers.
_LINE = 4000


@click.command(name="maxsat")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="Time for the search, reading excluded.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=20000,
    show_default=True,
    help="PolyStep steps at most; what is left of the time polishes.",
)
@click.option(
    "--polish",
    type=click.FloatRange(0, 1),
    default=0.2,
    show_default=True,
    help="Share of the time kept for polishing by single flips; 0 for PolyStep alone.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the PolyStep part.")
@click.option("--bits", is_flag=True, help="Values as a string of 0 and 1 (MaxSAT Evaluation).")
def command(
    file: Path,
    seconds: float,
    seed: int,
    steps: int,
    polish: float,
    threads: int | None,
    bits: bool,
) -> int:
    """Satisfy as much as possible of FILE (.cnf or .wcnf, also .gz, .bz2, .xz).

    Prints the lines of the solver competitions: `o COST` whenever the cost falls, `s` for the
    status, `v` for the values, `c` for comments. Ctrl-C or SIGTERM ends the search at once, with
    the best assignment so far.
    """
    if threads is not None:
        thalweg.set_num_threads(threads)
    found: list[Any] = []
    with _on_terminate(_interrupt):
        try:
            problem = _read(file)
            _say(f"c thalweg {thalweg.__version__}, {problem!r}")
            _search(problem, seconds, seed, steps, polish, found)
        except KeyboardInterrupt:
            # Between the native parts, which return what they have when interrupted.
            pass
    # Nothing may cut the answer short but a kill.
    with _on_terminate(signal.SIG_IGN):
        if found:
            _conclude(problem, found[-1], bits)
        else:
            _say("s UNKNOWN")
    return 0


def _read(file: Path) -> MaxSat:
    try:
        return MaxSat.read(file)
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{file} cannot be read: {reason}; check the name") from error
    except (ValueError, MemoryError) as error:
        raise InputError(str(error)) from error


def _search(
    problem: MaxSat, seconds: float, seed: int, steps: int, polish: float, found: list[Any]
) -> None:
    begin = time.perf_counter()
    report = _Costs(problem)
    best = problem.polystep(
        steps, seconds=seconds * (1 - polish), seed=seed, callback=report.improved
    )
    found.append(best)
    report.improved(best.nit, best.fun)
    _say(
        f"c polystep: {best.nit} steps, {best.flips} flips, {best.seconds:.2f} s, "
        f"{100 * best.satisfied:.4f} % satisfied, {best.message}"
    )
    left = seconds - (time.perf_counter() - begin)
    if best.status in (0, 4) or polish == 0 or left <= 0:
        return
    walk = problem.polish(best.x, seconds=left, seed=seed, callback=report.improved)
    found.append(walk)
    report.improved(walk.nit, walk.fun)
    _say(
        f"c polish: {walk.flips} flips, {walk.seconds:.2f} s, "
        f"{100 * walk.satisfied:.4f} % satisfied, {walk.message}"
    )


class _Costs:
    """Prints an o line for each cost below all before, once no hard clause is broken."""

    def __init__(self, problem: MaxSat) -> None:
        self.problem = problem
        self.best: int | None = None

    def improved(self, _step: int, cost: int) -> None:
        hard, soft = self.problem.split(cost)
        if hard == 0 and (self.best is None or soft < self.best):
            self.best = soft
            _say(f"o {soft}")


def _conclude(problem: MaxSat, best: Any, bits: bool) -> None:
    if best.hard:
        _say(f"c {best.hard} hard clauses are unsatisfied")
        _say("s UNKNOWN")
        return
    # Status 0: every clause that can hold does, so nothing costs less.
    _say("s OPTIMUM FOUND" if best.status == 0 else "s SATISFIABLE")
    for line in _values(best.x, bits):
        _say(line)


def _values(assignment: Any, bits: bool) -> Iterator[str]:
    if bits:
        yield "v " + "".join(np.where(assignment, "1", "0"))
        return
    numbers = np.arange(1, len(assignment) + 1)
    words = [*np.where(assignment, numbers, -numbers).astype(str), "0"]
    line = "v"
    for word in words:
        if len(line) + 1 + len(word) > _LINE:
            yield line
            line = "v"
        line += f" {word}"
    yield line


def _say(line: str) -> None:
    # At once: whoever reads a pipe may kill the solver next.
    print(line, file=sys.stdout, flush=True)


def _interrupt(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt


@contextmanager
def _on_terminate(handler: Any) -> Iterator[None]:
    """Answer SIGTERM and SIGINT by `handler`.

    SIGINT too, since shells start jobs in the background with it ignored.
    """
    numbers = [signal.SIGTERM, signal.SIGINT]
    try:
        before = [(number, signal.signal(number, handler)) for number in numbers]
    except ValueError:
        # Not the main thread: signals are not ours to handle.
        before = []
    try:
        yield
    finally:
        for number, old in before:
            signal.signal(number, old)
