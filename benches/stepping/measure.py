"""Contenders in turn, ratios round by round, and the rounds that other processes disturbed.

Wall time of one call is never compared with that of another moment: a round runs every contender,
and only ratios inside a round count.
"""

from __future__ import annotations

import math
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

WARM_UP = 3
# Cores' worth of other processes that a round may see.
LOAD = 0.15
# The kernel counts processor time in steps of this; shorter rounds say nothing about load.
TICK = 1.0 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01


@dataclass
class Contender:
    """What is timed; `before` runs first, outside the time."""

    name: str
    call: Callable[[], object]
    before: Callable[[], object] | None = None


@dataclass
class Rounds:
    """Seconds a call, a list for each contender; the same place is the same round."""

    wall: dict[str, list[float]]
    cpu: dict[str, list[float]]
    load: list[float | None]

    @property
    def kept(self) -> list[int]:
        """Rounds without disturbance; all where there is none, or load is unknown."""
        return [i for i, load in enumerate(self.load) if load is None or load <= LOAD]

    def ratios(self, ours: str, peer: str, clock: str = "wall") -> list[float]:
        """Ratios of the kept rounds, or of all where none is kept."""
        times = self.wall if clock == "wall" else self.cpu
        rounds = self.kept if clock == "wall" and self.kept else range(len(self.load))
        return [times[ours][i] / times[peer][i] for i in rounds if times[peer][i] > 0.0]

    def median(self, name: str) -> float:
        """Median seconds a call over the kept rounds."""
        rounds = self.kept or range(len(self.load))
        return statistics.median(self.wall[name][i] for i in rounds)


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def run(contenders: list[Contender], rounds: int, sample: float) -> Rounds:
    """Time `rounds` rounds; a sample repeats its call until it lasts about `sample` seconds."""
    repeats = {c.name: _repeats(c, sample) for c in contenders}
    names = [c.name for c in contenders]
    result = Rounds({n: [] for n in names}, {n: [] for n in names}, [])
    for index in range(rounds):
        # Each comes first equally often.
        order = contenders if index % 2 == 0 else contenders[::-1]
        busy, own, start = _busy(), time.process_time(), time.perf_counter()
        for contender in order:
            wall, cpu = _sample(contender, repeats[contender.name])
            result.wall[contender.name].append(wall)
            result.cpu[contender.name].append(cpu)
        elapsed = time.perf_counter() - start
        own = time.process_time() - own
        after = _busy()
        known = busy is not None and after is not None and elapsed > 5 * TICK
        load = (after - busy - own) / elapsed if known and after and busy else None
        result.load.append(load)
    return result


def _repeats(contender: Contender, sample: float) -> int:
    seconds = [_sample(contender, 1)[0] for _ in range(WARM_UP)]
    # With something to do before each call, one call is one sample's worth of noise already.
    limit = 5 if contender.before else 100_000
    return max(1, min(limit, round(sample / max(min(seconds), 1e-7))))


def _sample(contender: Contender, repeats: int) -> tuple[float, float]:
    call, before = contender.call, contender.before
    if before is None:
        wall, cpu = time.perf_counter(), time.thread_time()
        for _ in range(repeats):
            call()
        return (time.perf_counter() - wall) / repeats, (time.thread_time() - cpu) / repeats
    total_wall = total_cpu = 0.0
    for _ in range(repeats):
        before()
        wall, cpu = time.perf_counter(), time.thread_time()
        call()
        total_wall += time.perf_counter() - wall
        total_cpu += time.thread_time() - cpu
    return total_wall / repeats, total_cpu / repeats


def _busy() -> float | None:
    """Seconds that all processors have worked, or were taken away; None where unknown."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return None
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) * TICK


def extra_memory(call: Callable[[], object], allowances: Iterable[int], probe: int) -> float | None:
    """The first of `allowances` (bytes, rising) that `call` gets by with, else infinity.

    The address space of the process is limited meanwhile. None where such a limit does not hold:
    where `probe` bytes can be had all the same.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    for allowance in allowances:
        try:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
        except OSError:
            return None
        limit = pages * resource.getpagesize() + allowance
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
        try:
            if allowance < probe and _can_have(probe):
                return None
            call()
            return allowance
        except (MemoryError, RuntimeError):
            continue
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    return math.inf


def _can_have(size: int) -> bool:
    try:
        bytearray(size)
    except MemoryError:
        return False
    return True
