"""Adapters, and what a process holds on them."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from thalweg import _core


@dataclass(frozen=True)
class Adapter:
    """Something that shaders run on.

    Attributes
    ----------
    index : int
        Its number, which chooses it.
    name, driver : str
        As the driver gives them.
    kind : str
        "discrete", "integrated", "virtual", "software" or "other".
    backend : str
        "vulkan", "metal" or "dx12".
    max_binding, max_buffer : int
        The largest stretch of memory that a shader sees at once, and that is allocated at once, in
        bytes. Longer parameter lists are cut, nothing else changes.
    max_workgroups : int
        Of one dimension of a dispatch.
    storage_buffers : int
        That one shader may bind.
    """

    index: int
    name: str
    kind: str
    backend: str
    driver: str
    max_binding: int
    max_buffer: int
    max_workgroups: int
    storage_buffers: int


@dataclass(frozen=True)
class Memory:
    """What a process holds on a device: see `memory`."""

    buffers: int
    allocated: int | None
    shaders: int


def adapters() -> list[Adapter]:
    """Return everything that shaders can run on.

    Returns
    -------
    list of Adapter
        Graphics cards first, software last; empty if there is no driver.

    Examples
    --------
    >>> from thalweg import gpu
    >>> all(adapter.max_binding > 0 for adapter in gpu.adapters())
    True
    """
    return [Adapter(**entry) for entry in _core.gpu_adapters()]


def memory(adapter: str | int | None = None) -> Memory:
    """Return what this process holds on a device.

    Parameters
    ----------
    adapter : str or int, optional
        A part of the name or the number of an adapter; ``THALWEG_GPU_ADAPTER`` by default, else the
        first one.

    Returns
    -------
    Memory
        `buffers`, bytes of all objects that live; `allocated`, bytes that the driver gave, or None
        where it does not tell; `shaders`, how many are compiled.

    Raises
    ------
    RuntimeError
        If there is no adapter.
    ValueError
        If none has this name or number.
    """
    buffers, allocated, shaders = _core.gpu_memory(chosen(adapter))
    return Memory(buffers, allocated, shaders)


def bandwidth(megabytes: int = 64, repeat: int = 9, adapter: str | int | None = None) -> float:
    """Return how fast a device reads and writes its memory.

    Parameters
    ----------
    megabytes : int, default 64
        Size of what is copied, at least 1; as much as one binding holds at most.
    repeat : int, default 9
        Copies, of which the median counts; at least 1.
    adapter : str or int, optional
        As in `memory`.

    Returns
    -------
    float
        Bytes per second, read and written together.

    Raises
    ------
    RuntimeError, ValueError
        As `memory`; ValueError also for sizes below 1.
    """
    for name, value in (("megabytes", megabytes), ("repeat", repeat)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}; the default will do")
    return median(_core.gpu_bandwidth(megabytes << 20, repeat, chosen(adapter)))


def release() -> None:
    """End every device of this process and free its memory.

    Objects that live on a device are lost: they raise RuntimeError from then on. New ones start a
    new device.
    """
    _core.gpu_release()


def chosen(adapter: str | int | None) -> str | None:
    """Return an adapter's number or name as the core takes it."""
    return None if adapter is None else str(adapter)
