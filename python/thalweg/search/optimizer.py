"""PolyStep for any torch module: a closure that returns a loss, no backward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from thalweg._extras import require
from thalweg.search._arguments import as_choice, as_schedule, as_seed
from thalweg.search.polystep import PolyStep

torch = require("torch")

from thalweg.search import subspace as _subspace  # noqa: E402
from thalweg.search.evaluate import Evaluator  # noqa: E402

__all__ = ["PolyStepOptimizer"]

# Variants at once: more leave the cache of a CPU, fewer leave an accelerator idle.
_CPU_FLOATS, _CPU_MOST, _DEVICE_FLOATS = 2**18, 128, 2**24


class PolyStepOptimizer:
    """Train a torch module without gradients.

    Use it when the module or the loss has no useful gradient: spikes, rounding, argmax, counts.
    For a feed-forward network, `thalweg.search.objectives` trains orders of magnitude faster.

    Parameters
    ----------
    model : torch.nn.Module
        Parameters with ``requires_grad`` are trained, in place; the others stay.
    subspace : {"per_layer", "structured", "full", "global"}, default "per_layer"
        What a coordinate stands for, see `thalweg.search.subspace`. Tensors with fewer than two
        axes keep all entries.
    rank : int, optional
        Rank of "per_layer" and "structured", default min(d_out, d_in) / 16 within 4 to 64; all
        coordinates of "global", default 64.
    rank_schedule : sequence of (step, rank), default ()
        Steps, counted from 0 and increasing, from which on another rank holds: what was found is
        folded into the weights, radii stay, velocity is dropped.
    particle_dim : int, default 8
        Coordinates of a block.
    blocks : {"per_layer", "grouped", "monolithic"}, default "per_layer"
        Whether every tensor, every two tensors, or all of them share radii and scale of costs.
    redraw : int, default 20
        Steps between redraws of the subspace: what was found is folded into the weights and fresh
        directions are drawn. 0 for never.
    chunk_size : int, optional
        Variants evaluated at once; default as many as fit into the cache of a CPU,
        or 64 MB of weights elsewhere.
    evaluate : {"auto", "vmap", "loop"}, default "auto"
        Batched through torch.func, or one after the other. `evaluator.reason` says why "auto"
        fell back.
    compat : iterable of str, default ()
        "absorb": the redraw draws the same subspace again, as published; others as `PolyStep`.
    seed : None, int or numpy Generator
        Seed of rotations and subspaces.
    **settings
        Settings of `PolyStep`; `radius_limit` is 10, `patience` 0 and `plateau` False here.

    Attributes
    ----------
    search : PolyStep
        The search over coordinates: `effective_lr`, `nonfinite`, `radii(group)`.
    evaluator : Evaluator
        `mode` in use and `reason` of a fallback.

    Raises
    ------
    ValueError
        Without a trainable parameter, or for settings out of range.
    TypeError
        For parameters that are not real floating point, or a closure that returns gradients.

    Notes
    -----
    All variants of a step see the same dropout masks, and buffers (batch norm statistics) return
    to their values after each; they move on once a step, by one call at the new weights.
    Only tensors that a chunk of variants touches are batched, so layers before them run once.
    Random numbers are kept for the CPU generator; on another device dropout masks may differ
    between chunks.

    Examples
    --------
    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(64, 2)
    >>> y = (x[:, 0] * x[:, 1] > 0).float()
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    >>> optimizer = PolyStepOptimizer(model, subspace="full", seed=0)
    >>> def closure():
    ...     return ((model(x)[:, 0] > 0).float() - y).abs().mean()
    >>> first = optimizer.step(closure)
    >>> for _ in range(60):
    ...     last = optimizer.step(closure)
    >>> last < first
    True
    """

    def __init__(
        self,
        model: Any,
        *,
        subspace: str = "per_layer",
        rank: int | None = None,
        rank_schedule: Sequence[tuple[int, int]] = (),
        particle_dim: int = 8,
        blocks: str = "per_layer",
        redraw: int = 20,
        chunk_size: int | None = None,
        evaluate: str = "auto",
        compat: Any = (),
        seed: int | np.random.Generator | None = None,
        **settings: Any,
    ) -> None:
        as_choice("subspace", subspace, _subspace.KINDS)
        as_choice("blocks", blocks, ("per_layer", "grouped", "monolithic"))
        for name, value, least in (("rank", rank, 1), ("redraw", redraw, 0)):
            if value is not None and value < least:
                raise ValueError(f"{name} must be >= {least}, got {value}; see the documentation")
        self.model = model
        self.parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        if not self.parameters:
            raise ValueError(
                "model must have a parameter with requires_grad, got none; unfreeze one"
            )
        for name, p in self.parameters.items():
            if not p.is_floating_point():
                raise TypeError(f"{name} must be real floating point, got {p.dtype}; freeze it")
        compat = set(compat)
        self._same_draw = "absorb" in compat
        self._kind, self._rank, self.redraw = subspace, rank, redraw
        self._first_rank = rank
        self._seed, self._draws = as_seed(seed), 0
        self._schedule = as_schedule(rank_schedule)
        self._stride = {"per_layer": 1, "grouped": 2, "monolithic": len(self.parameters)}[blocks]
        # A network without a scale of its own would grow with its probes; a batch is luck.
        self._settings = {
            "radius_limit": 10.0,
            "patience": 0,
            "plateau": False,
            **settings,
            "compat": compat - {"absorb"},
            "particle_dim": particle_dim,
        }
        self.evaluator = Evaluator(model, evaluate)
        self._chunk = chunk_size
        self._changes = self._steps = 0
        self._arrange()
        self._first_radii()

    def _arrange(self) -> None:
        """Draw the subspace and begin a search in it."""
        ends = self._draw()
        self._ends = ends[self._stride - 1 :: self._stride]
        if not self._ends or self._ends[-1] != ends[-1]:
            self._ends.append(ends[-1])
        self.search = PolyStep(
            np.zeros(ends[-1]),
            groups=self._ends,
            seed=(self._seed + self._changes) % 2**64,
            **self._settings,
        )
        self._width = int(self.search._given["particle_dim"])
        self._rebase()

    def _follow_schedule(self) -> None:
        """Another rank, if its step has come."""
        while self._changes < len(self._schedule):
            step, rank = self._schedule[self._changes]
            if self._steps < step:
                return
            radii = [self.search.radii(group) for group in range(len(self._ends))]
            self._changes += 1
            self._rank = rank
            self._draws += 1
            self._arrange()
            if self._centres():
                for group, r in enumerate(radii):
                    self.search._core.set_radii(group, r["step_radius"], r["probe_radius"])

    def step(self, closure: Callable[[], Any]) -> float:
        """Move the parameters once.

        Parameters
        ----------
        closure : callable
            ``closure() -> loss`` runs the model on a batch and returns its loss, a number or a
            tensor of one element. It must not call backward. It is called once for all variants
            of a chunk where the model can be batched, else once for each.

        Returns
        -------
        float
            The loss before the move where the probe radius is automatic, else the mean loss of
            the variants.
        """
        return self._step(lambda variants: self.evaluator.costs(closure, variants), closure)

    def step_batched(self, closure: Callable[[dict[str, Any]], Any]) -> float:
        """As `step`, with a closure that evaluates stacked parameters itself.

        Parameters
        ----------
        closure : callable
            ``closure({name: (n, *shape)}) -> (n,)`` losses. A name is missing where that
            parameter is the same in all variants.
        """

        def costs(variants: dict[str, Any]) -> Any:
            count = len(next(iter(variants.values())))
            with torch.no_grad():
                out = closure(variants)
            shape = tuple(getattr(out, "shape", ()))
            if shape != (count,):
                raise ValueError(
                    f"closure must return losses of shape ({count},), got {shape}; "
                    "return one loss a variant"
                )
            return out

        return self._step(costs, None)

    def _step(self, costs: Callable[[dict[str, Any]], Any], refresh: Any) -> float:
        self._follow_outside_changes()
        self._follow_schedule()
        if self.redraw and self.search.step and self._due():
            self._draws += not self._same_draw
            self._draw()
            self._rebase()
        self.evaluator.begin()
        count = self.search.open()
        told = np.empty(count)
        try:
            with torch.no_grad():
                self._fill(costs, told)
            self.search.tell(told)
        except BaseException:
            # An interrupted step is taken back: the next one draws the same candidates.
            self._reopen()
            raise
        self._steps += 1
        self._write()
        if refresh is not None and self.model.training and any(True for _ in self.model.buffers()):
            self.evaluator.one(refresh)
        centre = self._centres()
        return float(told[0]) if centre else self.search.mean_cost

    def _due(self) -> bool:
        return self.search.step // max(1, self._steps_per_tell()) % self.redraw == 0

    def _steps_per_tell(self) -> int:
        return int(self.search._given["amortize"])

    def _centres(self) -> int:
        return int(isinstance(self.search._given["probe_radius"], tuple)) and int(
            self.search._given["probe_radius"][0] == "auto"
        )

    def _reopen(self) -> None:
        state = self.search.state_dict()
        state["counters"][3] = 0.0
        self.search.load_state_dict(state)

    def _fill(self, costs: Callable[[dict[str, Any]], Any], told: Any) -> None:
        index = self._centres()
        if index:
            name, p = next(iter(self.parameters.items()))
            told[0] = float(costs({name: p.detach()[None].clone()})[0])
        start = 0
        for end in self._ends:
            index = self._fill_group(costs, told, index, start, end)
            start = end

    def _fill_group(self, costs: Any, told: Any, index: int, start: int, end: int) -> int:
        p = min(self._width, end - start)
        per_row = _vertices(self.search._given["polytope"], p) * self.search._given["num_probe"]
        rows = -(-(end - start) // p)
        inside = [n for n in self._bases if start <= self._starts[n] < end]
        stride = max(1, self._fit([self.parameters[n] for n in inside]) // per_row)
        for row in range(0, rows, stride):
            n = min(stride, rows - row)
            offsets = np.empty((n * per_row, self._width))
            self.search._core.offsets(index, offsets)
            c = torch.from_numpy(np.ascontiguousarray(offsets[:, :p])).view(n, per_row, p)
            first, last = start + row * p, start + (row + n) * p
            variants = {}
            for name in inside:
                a = self._starts[name]
                if a < last and a + self._bases[name].coords > first:
                    param = self.parameters[name]
                    basis = self._bases[name].rows(first - a, last - a, param.detach())
                    # One pass: base + offsets @ basis.
                    flat = param.detach().reshape(1, 1, -1)
                    moved = torch.baddbmm(flat, c.to(param), basis.view(n, p, -1))
                    variants[name] = moved.view(-1, *param.shape)
            told[index : index + n * per_row] = costs(variants).double().cpu().numpy()
            index += n * per_row
        return index

    def _fit(self, inside: list[Any]) -> int:
        """Variants at once."""
        if self._chunk is not None:
            return self._chunk
        size = max(int(p.numel()) for p in inside)
        if inside[0].device.type == "cpu":
            return max(1, min(_CPU_FLOATS // size, _CPU_MOST))
        return max(1, _DEVICE_FLOATS // size)

    def _draw(self) -> list[int]:
        """Draw the subspace; returns the ends of the coordinates of its parts."""
        plain = {name: p.detach() for name, p in self.parameters.items()}
        key = (self._seed, self._draws)
        self._bases, self._starts, ends = _subspace.draw_all(plain, self._kind, self._rank, key)
        return ends

    def _rebase(self) -> None:
        """Fold the coordinates into the weights."""
        self._base = {name: p.detach().clone() for name, p in self.parameters.items()}
        self._versions = {name: p._version for name, p in self.parameters.items()}
        self.search.restart(np.zeros(self._ends[-1]))

    def _follow_outside_changes(self) -> None:
        if any(p._version != self._versions[name] for name, p in self.parameters.items()):
            self._rebase()

    def _write(self) -> None:
        x = torch.from_numpy(self.search.x)
        with torch.no_grad():
            for name, p in self.parameters.items():
                start, basis = self._starts[name], self._bases[name]
                c = x[start : start + basis.coords].to(p)
                p.copy_(self._base[name] + basis.expand(c))
                self._versions[name] = p._version

    def _first_radii(self) -> None:
        start = 0
        for group, end in enumerate(self._ends):
            inside = [n for n in self._bases if start <= self._starts[n] < end]
            norm = float(sum(self.parameters[n].detach().double().norm() ** 2 for n in inside))
            probe = 0.1 * norm**0.5 or 0.1
            self.search._core.set_radii(group, 0.1 * probe, probe)
            start = end

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs, weights included."""
        return {
            "search": self.search.state_dict(),
            "base": {name: p.clone() for name, p in self._base.items()},
            "draws": self._draws,
            "changes": self._changes,
            "steps": self._steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the state of an optimizer with the same settings; writes the weights too."""
        if set(state["base"]) != set(self.parameters):
            raise ValueError(
                f"state must hold the parameters {sorted(self.parameters)}, "
                f"got {sorted(state['base'])}; build the model as before"
            )
        changes = int(state["changes"])
        if changes > len(self._schedule):
            raise ValueError(
                f"state must be one with the same rank_schedule, got {changes} changes of rank "
                f"where {len(self._schedule)} are known; build the optimizer as before"
            )
        if changes != self._changes:
            self._rank = self._schedule[changes - 1][1] if changes else self._first_rank
            self._changes = changes
            self._arrange()
        self.search.load_state_dict(state["search"])
        self._seed = (int(state["search"]["seed"]) - changes) % 2**64
        self._draws, self._steps = int(state["draws"]), int(state["steps"])
        self._base = {name: state["base"][name].clone() for name in self.parameters}
        self._draw()
        self._write()


def _vertices(polytope: str, p: int) -> int:
    return {"orthoplex": 2 * p, "simplex": p + 1, "cube": int(2**p)}[polytope]
