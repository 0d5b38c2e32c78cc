"""State of a native search: saved, loaded, pickled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["Stateful"]


class Stateful:
    """A search whose numbers all lie in `_core`, which `_rebuild` makes anew."""

    _core: Any
    _seed: int

    def _rebuild(self, seed: int) -> None:
        """Make `_core` with the settings of before, from any start."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs; the run goes on bit for bit."""
        arrays = {name: np.asarray(value) for name, value in self._core.save()}
        return {"seed": self._seed, **arrays}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the state of a search with the same settings.

        Raises
        ------
        ValueError
            If the state does not fit; nothing has changed then.
        """
        saved = [
            (name, np.ascontiguousarray(value, dtype=np.float64))
            for name, value in state.items()
            if name != "seed"
        ]
        before = self._core, self._seed
        try:
            self._rebuild(int(state["seed"]))
            self._core.restore(saved)
        except (KeyError, ValueError) as error:
            self._core, self._seed = before
            raise ValueError(
                f"state must be one of a search with the same settings, got {error}; "
                "build the search as before and load again"
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: value for name, value in self.__dict__.items() if name != "_core"}
        return {"kept": kept, "state": self.state_dict()}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.__dict__.update(saved["kept"])
        self._rebuild(self._seed)
        self.load_state_dict(saved["state"])
