"""The processes of a torch.distributed group that search together: agree, gather, fail together."""

from __future__ import annotations

import hashlib
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalweg._extras import require

__all__ = ["LEFT", "READY", "Processes", "fingerprint", "uninterrupted"]

# What a process says when it meets the others.
READY, FAILED, LEFT = range(3)
# Bytes of what went wrong that the others are told.
_WORDS = 400


class Processes:
    """The members of a group; one process where torch.distributed is not initialised."""

    def __init__(self, group: Any = None) -> None:
        dist = require("torch").distributed
        self._group = group
        self.rank, self.count = 0, 1
        # Some have left while others went on: no exchange is whole any more.
        self.parted = False
        if not (dist.is_available() and dist.is_initialized()):
            if group is not None:
                raise ValueError(
                    "group must be None before init_process_group, got a group; initialise first"
                )
            return
        self.rank, self.count = dist.get_rank(group), dist.get_world_size(group)
        if self.rank < 0:
            raise ValueError(
                "group must hold this process, got one without it; search in its members alone"
            )
        config = str(dist.get_backend_config(group))
        if "cpu" not in config:
            raise ValueError(
                f"group must reach the CPU, got backend {config}; "
                "pass torch.distributed.new_group(backend='gloo')"
            )

    def share(self, count: int) -> slice:
        """Which of `count` things are this process's."""
        return slice(self.rank, count, self.count)

    def gather(self, own: NDArray[Any]) -> list[NDArray[Any]]:
        """The array of every process, all of one shape and type."""
        if self.count == 1:
            return [own]
        torch = require("torch")
        sent = torch.from_numpy(np.ascontiguousarray(own))
        out = [torch.empty_like(sent) for _ in range(self.count)]
        torch.distributed.all_gather(out, sent, group=self._group)
        return [t.numpy() for t in out]

    def collect(self, own: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        """All of `count` numbers, of which each process has its share."""
        out = np.empty(count)
        padded = np.full(-(-count // self.count), np.nan)
        padded[: len(own)] = own
        for rank, theirs in enumerate(self.gather(padded)):
            place = out[rank :: self.count]
            place[:] = theirs[: len(place)]
        return out

    def meet(
        self,
        said: int,
        what: str,
        key: int = 0,
        error: BaseException | None = None,
        fix: str = "",
    ) -> None:
        """Raise in every process, unless all say the same with the same key.

        A process that comes with an `error` raises that one.
        """
        if self.parted:
            raise RuntimeError("processes have parted, got another call; spread the objective anew")
        said = said if error is None else FAILED
        rows = np.stack(self.gather(np.array([said, key], dtype=np.int64)))
        if (rows[:, 0] == FAILED).any():
            self._fail(rows[:, 0], error)
        others = np.flatnonzero((rows[:, 0] == LEFT) != (said == LEFT)).tolist()
        if others:
            self.parted = True
            here, there = ("costs", "left") if said == READY else ("the end", "goes on")
            raise RuntimeError(
                f"processes must ask for costs equally often, got {here} in process {self.rank} "
                f"where {others} {there}; run the same loop everywhere"
            )
        others = np.flatnonzero(rows[:, 1] != rows[0, 1]).tolist()
        if others:
            raise ValueError(
                f"{what} must be the same in every process, got other ones in {others} than in "
                f"process 0; {fix}"
            )

    def _fail(self, said: NDArray[Any], error: BaseException | None) -> None:
        """Raise what went wrong here or elsewhere."""
        text = "" if error is None else f"{type(error).__name__}: {error}"
        # Zeroes fill the rest; a character that was cut in two is left out.
        row = np.frombuffer(text.encode()[:_WORDS].ljust(_WORDS, b"\0"), dtype=np.uint8)
        texts = [r.tobytes().rstrip(b"\0").decode(errors="ignore") for r in self.gather(row)]
        if error is not None:
            raise error
        told = [f"process {rank}: {texts[rank]}" for rank in np.flatnonzero(said == FAILED)]
        raise RuntimeError(f"evaluation failed in {'; '.join(told)}; see the log of that process")


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait: half an exchange would leave the others in theirs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[tuple[Any, ...]] = []
    before = signal.signal(signal.SIGINT, lambda *call: waiting.append(call))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting and callable(before):
            before(*waiting[0])


def fingerprint(*values: Any) -> int:
    """A signed 64-bit number of arrays, tensors, searches and plain values, the same everywhere."""
    hashed = hashlib.blake2b(digest_size=8)
    for value in values:
        _feed(hashed, value)
    return int.from_bytes(hashed.digest(), "little", signed=True)


def _feed(hashed: Any, value: Any) -> None:
    hashed.update(f"|{type(value).__name__}".encode())
    if isinstance(value, np.ndarray):
        hashed.update(f"{value.dtype}{value.shape}".encode())
        hashed.update(np.ascontiguousarray(value).data)
    elif isinstance(value, (bytes, str, int, float, complex, np.generic, type(None))):
        hashed.update(repr(value).encode())
    elif isinstance(value, Mapping):
        hashed.update(str(len(value)).encode())
        for key in sorted(value, key=repr):
            _feed(hashed, key)
            _feed(hashed, value[key])
    elif isinstance(value, (list, tuple)):
        hashed.update(str(len(value)).encode())
        for item in value:
            _feed(hashed, item)
    elif isinstance(value, (set, frozenset)):
        _feed(hashed, sorted(value, key=repr))
    elif hasattr(value, "untyped_storage"):
        torch = require("torch")
        flat = value.detach().cpu().contiguous().reshape(-1)
        _feed(hashed, (str(value.dtype), tuple(value.shape)))
        hashed.update(flat.view(torch.uint8).numpy().data)
    elif hasattr(value, "state_dict"):
        # A search: its settings and where it stands.
        kept = {k: v for k, v in vars(value).items() if k != "_core"}
        _feed(hashed, [kept, value.state_dict()])
