"""A result as JSON. `schema` grows when a key changes its meaning or goes."""

from __future__ import annotations

import json
import math
import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

import thalweg
from thalweg.race.result import Result, Row

SCHEMA = 1


def document(result: Result) -> dict[str, Any]:
    """Describe `result` with plain lists, dicts, numbers and strings; NaN and infinity are None."""
    task, plan = result.task, result.plan
    return {
        "schema": SCHEMA,
        "task": task.name,
        "epochs": plan.epochs,
        "batch_size": task.batch_size,
        "seed": plan.seed,
        "schedule": "cosine",
        "lr_sweep": any(row.sweep for row in result.rows),
        "target_loss": plan.target,
        "training_images": len(task.train[1]),
        "test_images": len(task.test[1]),
        "parameters": result.parameters,
        "finished": result.finished,
        "machine": {
            "platform": platform.platform(),
            "cpus": os.cpu_count(),
            "threads": plan.threads,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "thalweg": thalweg.__version__,
        },
        "ranking": [_entry(rank, row) for rank, row in enumerate(result.rows, start=1)],
    }


def write(result: Result, path: Path) -> None:
    """Write the document to `path`."""
    text = json.dumps(document(result), indent=1, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _entry(rank: int, row: Row) -> dict[str, Any]:
    return {
        "rank": rank,
        "optimizer": row.label,
        "reference": row.of_torch,
        "lr": row.lr,
        "settings": {key: _plain(value) for key, value in row.settings.items()},
        "note": row.note,
        "diverged": row.diverged,
        "test_accuracy": row.accuracy,
        "train_loss": _plain(row.points[-1].train_loss),
        "epochs_to_target": row.epochs_to_target,
        "seconds_to_target": row.seconds_to_target,
        "step_ms_quartiles": list(row.step_ms),
        "state_bytes_per_parameter": row.state_bytes,
        "sweep": [_finite(asdict(trial)) for trial in row.sweep],
        "curve": [_finite(asdict(point)) for point in row.points],
    }


def _finite(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: _plain(value) for key, value in entry.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return str(value)
