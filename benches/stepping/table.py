"""The table, as plain text."""

from __future__ import annotations

from typing import Any

COLUMNS = (
    "row  th method               workload peer                     ours       ratio  [quartiles]"
    "      cpu    must  stretch verdict  B/el  GB/s floor  kept"
)
POSITIONS = {None: "", "idle": " +idle", "op": " +op"}


def time_text(seconds: float) -> str:
    return f"{seconds * 1e3:8.3f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:8.2f} us"


def line(record: dict[str, Any]) -> str:
    """One line of the table."""
    where = record["workload"] + POSITIONS[record.get("position")]
    head = f"{record['row']:>3} {record['threads']:>3} {record['method']:<20} {where:<8} "
    if "skipped" in record:
        return f"{head}left out: {record['skipped']}"
    if record["row"] == 20:
        return head + _memory(record)
    low, middle, high = record["ratio"]
    cpu = f"{record['cpu_ratio']:.3f}" if record["cpu_ratio"] else "-"
    floor = f"{record['floor']:.0%}" if record["floor"] else "-"
    speed = f"{record['gbps']:.1f}" if record["gbps"] else "-"
    return (
        f"{head}{record['peer']:<23} {time_text(record['seconds'])} {middle:8.3f}  "
        f"[{low:.3f}, {high:.3f}] {cpu:>7} {record['must']:7.2f} {record['stretch']:8.2f} "
        f"{record['verdict']:<8} {record['bytes']:>4} {speed:>5} {floor:>5}  "
        f"{record['kept']}/{record['rounds']}"
    )


def _memory(record: dict[str, Any]) -> str:
    if record["extra"] is None:
        return "left out: this system does not limit memory"
    return (
        f"{'extra memory of a step':<23} at most {record['extra'] / 1024:.0f} KiB beside "
        f"{record['parameter'] / 1024:.0f} KiB parameters; must: no parameter-sized temporary, "
        f"stretch: {record['limit'] / 1024:.0f} KiB; {record['verdict']}"
    )


def verdict(value: float, must: float, stretch: float) -> str:
    return "stretch" if value <= stretch else "must" if value <= must else "MISSED"


LEGEND = """
ratio   ours / peer, median of the ratios of single rounds, wall time; below 1 we are faster
cpu     the same by processor time of the calling thread (one thread only): less disturbed
B/el    bytes an element that must cross the bus; GB/s is what our time implies
floor   time of a loop that reads four arrays and writes three in place, scaled to these bytes, as
        a share of ours ({floor})
kept    rounds in which other processes used at most {load} core, of all rounds; 0 kept: the figures
        are of all rounds, and only cpu is to be trusted
+idle   after 20 ms of sleep; +op right after a torch operation on all threads
row 16  seconds a byte against torch's fused AdamW"""
