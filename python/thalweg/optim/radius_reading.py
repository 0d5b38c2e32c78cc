"""What each step of `SoftmaxRadius` was, and a picture of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from thalweg._extras import require


class RadiusReading(NamedTuple):
    """One step of `SoftmaxRadius`.

    Attributes
    ----------
    length : float
        Of the step that was proposed, over all parameters.
    radius : float
        Of convergence along it.
    r : float
        Their quotient: up to 1 the step is safe.
    scale : float
        Part of the step that was taken.
    """

    length: float
    radius: float
    r: float
    scale: float


def picture(history: Sequence[RadiusReading], fraction: float) -> Any:
    """Draw lengths and radii over the steps, and their quotient; return the figure."""
    pyplot = require("matplotlib.pyplot")
    figure, panels = pyplot.subplots(2, 1, sharex=True, figsize=(7, 6), layout="constrained")
    length, radius, r, scale = zip(*history, strict=True)
    taken = [part * whole for part, whole in zip(scale, length, strict=True)]
    panels[0].plot(length, label="proposed", alpha=0.6)
    panels[0].plot(taken, label="taken")
    panels[0].plot(radius, label="radius", color="tab:green")
    panels[0].set(ylabel="length of the step", yscale="log")
    panels[0].legend()
    panels[1].plot(r)
    panels[1].axhline(fraction, color="tab:red", linewidth=1)
    panels[1].set(xlabel="step", ylabel="r, proposed", yscale="log")
    return figure


__all__ = ["RadiusReading", "picture"]
