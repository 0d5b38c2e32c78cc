"""Optimizer steps beside their peers: ratios, bytes, share of the floor loop.

    python benches/steps.py --rows 1,4 --threads 1,2 --quick --json steps.json

One process for each number of threads, both sides in it, in turn; see `stepping/measure.py`. On a
busy machine look at the column `cpu`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from stepping import measure, table

ROWS = [*range(1, 21)]


def main() -> int:
    arguments = _arguments()
    if arguments.child:
        from stepping import child

        child.run(arguments.rows, arguments.threads[0], arguments)
        return 0
    print(table.COLUMNS, flush=True)
    records = []
    for threads in arguments.threads:
        records += _child(threads, arguments)
    floor = next((r["floor_kind"] for r in records if r.get("floor_kind")), "not measured")
    print(table.LEGEND.format(floor=floor, load=measure.LOAD))
    missed = [r for r in records if r.get("verdict") == "MISSED"]
    judged = [r for r in records if "verdict" in r]
    print(f"\n{len(judged) - len(missed)} of {len(judged)} lines reach the must column.")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(records, indent=1) + "\n")
    return 0


def _child(threads: int, arguments: argparse.Namespace) -> list[dict[str, object]]:
    """Run the rows in a process of its own, with every library at `threads` threads."""
    names = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "THALWEG_NUM_THREADS"]
    environment = {**os.environ, **dict.fromkeys(names, str(threads))}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "records.json"
        command = [sys.executable, __file__, "--child", "--json", str(out)]
        command += ["--threads", str(threads), "--rows", ",".join(map(str, arguments.rows))]
        command += [f"--{flag}" for flag in ("quick", "large") if getattr(arguments, flag)]
        subprocess.run(command, env=environment, check=True)
        return json.loads(out.read_text())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    every = ",".join(map(str, ROWS))
    parser.add_argument("--rows", type=_numbers, default=every, help=f"some of {every}")
    cores = os.cpu_count() or 1
    threads = ",".join(map(str, sorted({1, cores})))
    parser.add_argument("--threads", type=_numbers, default=threads, help=f"default {threads}")
    parser.add_argument("--quick", action="store_true", help="few and short rounds")
    parser.add_argument("--large", action="store_true", help="also W3, 124M parameters")
    parser.add_argument("--json", metavar="FILE", help="write the records there")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.rows) - set(ROWS))
    if unknown:
        parser.error(f"--rows must be among {every}, got {unknown[0]}; leave it out for all")
    if min(arguments.threads) < 1:
        parser.error(f"--threads must be at least 1, got {min(arguments.threads)}; try 1,2")
    return arguments


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
