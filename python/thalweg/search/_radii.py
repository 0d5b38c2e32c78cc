"""First radii of PolyStep, and the settings of its published forms."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg.search._arguments import Bounds
from thalweg.search.choices import _Choice

__all__ = ["Fixed", "automatic", "first_radius", "published", "published_es"]

Array = NDArray[np.float64]


class Fixed(_Choice):
    """A length of its own, not multiplied by the temperature."""

    def __init__(self, *, value: float) -> None:
        object.__setattr__(self, "value", value)

    def _setting(self) -> tuple[str, list[float]]:
        return "constant", [self.value]  # type: ignore[attr-defined]


def automatic(radius: str | float | _Choice, first: float) -> Any:
    """A radius as the core takes it, "auto" starting at `first`."""
    return ("auto", [float(first)]) if radius == "auto" else radius


def first_radius(start: Array, box: Bounds | None) -> float:
    """A fifth of the width of the box, else the root mean square of the start, else 1."""
    if box is not None:
        width = box[1] - box[0]
        width = width[np.isfinite(width) & (width > 0)]
        if width.size:
            return 0.2 * float(width.mean())
    rms = float(np.sqrt(np.mean(start**2)))
    return rms if rms > 0.0 else 1.0


def published() -> dict[str, Any]:
    """Fixed radii, raw costs, Sinkhorn, no momentum."""
    return {
        "epsilon": 0.1,
        "step_radius": 1.0,
        "probe_radius": 2.0,
        "solver": "sinkhorn",
        "scale_cost": 1.0,
        "momentum": 0.0,
        "compat": ("repair",),
    }


def published_es(dim: int, step_radius: float) -> dict[str, Any]:
    """Each solution one particle, costs at the vertices."""
    return {
        "particle_dim": dim,
        "epsilon": 0.5,
        "step_radius": Fixed(value=step_radius),
        # One probe sits at half the probe radius.
        "probe_radius": Fixed(value=2.0 * step_radius),
        "scale_cost": "mean",
        "momentum": 0.0,
        "compat": ("repair",),
    }
