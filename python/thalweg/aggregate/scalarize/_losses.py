"""Losses as a vector."""

from __future__ import annotations

from typing import Any

from thalweg._extras import require


def as_vector(losses: Any, m: int | None = None) -> Any:
    """A tensor of shape (m,); raises ValueError for another length."""
    torch = require("torch")
    vector = losses if isinstance(losses, torch.Tensor) else torch.stack(list(losses))
    if vector.ndim != 1 or not len(vector) or (m is not None and len(vector) != m):
        wanted = "(m,), m at least 1" if m is None else f"({m},)"
        raise ValueError(
            f"losses must be of shape {wanted}, got {tuple(vector.shape)}; one scalar for each loss"
        )
    return vector
