"""The rules of the native registry, as Python sees them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from thalweg import _core


@dataclass(frozen=True)
class Rule:
    """One optimizer rule: its names, its decay, and its hyperparameters with their defaults."""

    name: str
    class_name: str
    summary: str
    counts: bool
    # Whether a coordinate is stepped without a look at the others.
    pointwise: bool
    decay: str
    weight_decay: float
    fields: tuple[tuple[str, int | None, str, Any], ...]

    def defaults(self) -> dict[str, Any]:
        """Return default hyperparameters as a constructor takes them."""
        out: dict[str, Any] = {}
        for key, index, _, default in self.fields:
            if index is None:
                out[key] = default
            else:
                out[key] = (*out.get(key, ()), default)
        return out


@cache
def rules() -> dict[str, Rule]:
    """Return every rule of the core by its name."""
    return {
        entry["name"]: Rule(
            entry["name"],
            entry["class"],
            entry["summary"],
            entry["counts"],
            entry["pointwise"],
            entry["decay"],
            entry["weight_decay"],
            tuple(entry["fields"]),
        )
        for entry in _core.optim_rules()
    }
