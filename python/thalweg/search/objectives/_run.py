"""Settings and results of native searches."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.search._arguments import as_seed
from thalweg.search.result import result_class

Sweep = float | tuple[float, float]

_STOP = {
    "optimum": (0, "no assignment costs less"),
    "budget": (2, "steps or time are used up"),
    "callback": (3, "the callback asked to stop"),
    "interrupted": (4, "interrupted; this is the best so far"),
}


def as_settings(
    *,
    max_steps: int | None,
    seconds: float | None,
    seed: int | np.random.Generator | None,
    sigma: float,
    **sweeps: Sweep,
) -> dict[str, Any]:
    """Settings as the core takes them; it checks the ranges of the others."""
    check_limit("max_steps", max_steps)
    return {
        "seed": as_seed(seed),
        "max_steps": max_steps,
        "seconds": seconds,
        "sigma": float(sigma),
        **{name: _sweep(name, value) for name, value in sweeps.items()},
    }


def check_limit(name: str, value: int | None) -> None:
    """Refuse a number of steps that is none."""
    if value is not None and (int(value) != value or value < 0):
        raise ValueError(f"{name} must be an integer >= 0, got {value}; None is no limit")


def as_result(report: dict[str, Any], probes: int, **more: Any) -> Any:
    """The report of a native search as scipy words it."""
    status, message = _STOP[report["stop"]]
    return result_class()(
        x=report["assignment"],
        fun=report["cost"],
        nit=report["steps"],
        nfev=probes,
        flips=report["flips"],
        seconds=report["seconds"],
        status=status,
        success=status in (0, 2),
        message=message,
        **more,
    )


def _sweep(name: str, value: Sweep) -> tuple[float, float]:
    if isinstance(value, (int, float, np.number)):
        return float(value), float(value)
    try:
        start, end = value
        return float(start), float(end)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} must be a number or a pair (start, end), got {value!r}; "
            "a pair moves over the run"
        ) from None
