"""One process: every line at one number of threads."""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import thalweg
from stepping import floor, measure, rows, table, workloads
from stepping.measure import Contender

# Rounds and seconds a sample; what needs something before each call lasts longer anyway.
FULL, QUICK = (15, 0.06), (7, 0.02)
IDLE = 0.020


def run(numbers: list[int], threads: int, arguments: argparse.Namespace) -> None:
    """Measure, print line by line, and write the records."""
    torch.set_num_threads(threads)
    thalweg.set_num_threads(threads)
    rounds, sample = QUICK if arguments.quick else FULL
    records = []

    def emit(record: dict[str, Any]) -> None:
        records.append(record)
        print(table.line(record), flush=True)

    wanted = [case for case in rows.cases(arguments.large) if case.row in numbers]
    for workload, cases in groupby(wanted, key=lambda case: case.workload):
        params = workloads.params(workload)
        loop, kind = floor.make(params, threads)
        for case in cases:
            common = {k: getattr(case, k) for k in ("row", "method", "workload", "position")}
            emit({**common, "threads": threads, **_line(case, params, loop, rounds, sample)})
            records[-1]["floor_kind"] = kind
            gc.collect()
    if 20 in numbers:
        for workload in ("W1", "W4"):
            params = workloads.params(workload)
            for name, make in rows.ELEMENTWISE.items():
                emit(_extra(name, make, params, workload, threads))
        clip = rows.our("AdamW", clip_norm=1.0, mask="cautious")
        emit(_extra("AdamW cautious clip", clip, workloads.params("W1"), "W1", threads))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(records))


def _line(
    case: rows.Case, params: list[Tensor], loop: Callable[[], None], rounds: int, sample: float
) -> dict[str, Any]:
    try:
        peer = case.make_peer(params)
    except ImportError as error:
        return {"skipped": f"{error.name or 'the peer'} is not installed"}
    before = {None: None, "idle": lambda: time.sleep(IDLE), "op": _operation()}[case.position]
    ours, theirs = Contender("ours", case.make(params), before), Contender("peer", peer, before)
    contenders = [ours, theirs]
    elements = sum(p.numel() for p in params)
    if elements >= 1_000_000:
        contenders.append(Contender("floor", loop, before))
    result = measure.run(contenders, rounds, sample)

    scale = rows.BYTES["AdamW"] / case.bytes if case.per_byte else 1.0
    one = torch.get_num_threads() == 1
    ratio = [scale * r for r in measure.quartiles(result.ratios("ours", "peer"))]
    cpu = scale * measure.quartiles(result.ratios("ours", "peer", "cpu"))[1] if one else None
    must, stretch = case.must[not one], case.stretch[not one]
    seconds = result.median("ours")
    share = None
    if len(contenders) == 3:
        shares = result.ratios("floor", "ours")
        share = measure.quartiles(shares)[1] * case.bytes / floor.BYTES
    return {
        "peer": case.peer,
        "seconds": seconds,
        "peer_seconds": result.median("peer"),
        "ratio": ratio,
        "cpu_ratio": cpu,
        "must": must,
        "stretch": stretch,
        "verdict": table.verdict(ratio[1], must, stretch),
        "bytes": case.bytes,
        "gbps": case.bytes * elements / seconds / 1e9 if len(contenders) == 3 else None,
        "floor": share,
        "kept": len(result.kept),
        "rounds": rounds,
        "load": result.load,
    }


def _operation() -> Callable[[], object]:
    """A torch operation that every thread takes part in, as the end of a backward pass does."""
    a, out = torch.randn(4_000_000), torch.empty(4_000_000)
    return lambda: torch.mul(a, 1.5, out=out)


def _extra(
    name: str, make: rows.Make, params: list[Tensor], workload: str, threads: int
) -> dict[str, Any]:
    """Memory that a step needs beyond its parameters and states, after the first one."""
    step = make(params)
    step()
    step()
    gc.collect()
    largest = max(p.numel() * p.element_size() for p in params)
    parameter = sum(p.numel() * p.element_size() for p in params)
    chunks = sum(-(-p.numel() // (1 << 15)) for p in params)
    # A KiB for each tensor and chunk, and as much as the allocator asks for at once.
    limit = (len(params) + chunks) * 1024 + (256 << 10)
    must = max(largest // 2, limit)
    extra = measure.extra_memory(step, [limit, must, 2 * parameter], probe=largest)
    record = {"row": 20, "method": name, "workload": workload, "threads": threads}
    judged = {} if extra is None else {"verdict": table.verdict(extra, must, limit)}
    return {**record, "extra": extra, "parameter": parameter, "limit": limit, **judged}
