"""Exchange of the point where gradients are taken for the point to use, for any array library."""

from __future__ import annotations

from typing import Any

Terms = list[tuple[str, float]]


def exchange(blends: list[tuple[str, Terms]], buffers: dict[str, Any]) -> dict[str, Any]:
    """Return the new buffers by name; each is a weighted sum of old ones."""
    return {name: _blend(terms, buffers) for name, terms in blends}


def _blend(terms: Terms, buffers: dict[str, Any]) -> Any:
    # A product even with 1: the result must not be a buffer.
    parts = [by * buffers[name] for name, by in terms]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total
