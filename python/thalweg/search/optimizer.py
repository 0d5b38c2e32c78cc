"""PolyStep for any torch module: a closure that returns a loss, no backward pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from thalweg._extras import require
from thalweg.search._arguments import as_choice, as_schedule, as_seed
from thalweg.search._processes import Processes
from thalweg.search.polystep import PolyStep

torch = require("torch")

from thalweg.search import subspace as _subspace  # noqa: E402
from thalweg.search.evaluate import Evaluator  # noqa: E402
from thalweg.search.variants import Variants  # noqa: E402

__all__ = ["PolyStepOptimizer"]

# Stagnation as published, and how many moves are remembered.
_STILL, _PATIENCE, _HISTORY = 1e-4, 20, 5


class PolyStepOptimizer(Variants):
    """Train a torch module without gradients.

    Use it when the module or the loss has no useful gradient: spikes, rounding, argmax, counts.
    For a feed-forward network, `thalweg.search.objectives` trains orders of magnitude faster.

    Parameters
    ----------
    model : torch.nn.Module
        Parameters with ``requires_grad`` are trained, in place; the others stay.
    subspace : {"per_layer", "structured", "low_rank", "full", "global"}, default "per_layer"
        What a coordinate stands for, see `thalweg.search.subspace`. Tensors with fewer than two
        axes keep all entries.
    rank : int, optional
        Rank of all but "full" and "global", default min(d_out, d_in) / 16 within 4 to 64; all
        coordinates of "global", default 64.
    rank_schedule : sequence of (step, rank), default ()
        Steps, counted from 0 and increasing, from which on another rank holds: what was found is
        folded into the weights, radii stay, velocity is dropped.
    max_coords : int, optional
        Most coordinates in all: those of matrices are scaled down to it.
    particle_dim : int, default 8
        Coordinates of a block.
    blocks : {"per_layer", "grouped", "monolithic"}, default "per_layer"
        Whether every tensor, every two tensors, or all of them share radii and scale of costs.
    redraw : int or "stagnation", default 20
        Steps between redraws of the subspace: what was found is folded into the weights and fresh
        directions are drawn. 0 for never; "stagnation" after 20 steps in a row that changed the
        cost by less than 1e-4 of it.
    directions : {"random", "moves"}, default "random"
        Whether redrawn directions of dense "per_layer" and "global" bases are all random, or begin
        with those that the last five moves span: up to half of them after `max_iterations` steps.
    chunk_size : int, optional
        Variants evaluated at once; default as many as fit into the cache of a CPU,
        or 64 MB of weights elsewhere.
    evaluate : {"auto", "vmap", "loop"}, default "auto"
        Batched through torch.func, or one after the other. `evaluator.reason` says why "auto"
        fell back.
    compat : iterable of str, default ()
        "absorb": the redraw draws the same subspace again, as published; others as `PolyStep`.
    spread : bool or ProcessGroup, default False
        Whether the processes of torch.distributed (gloo) share the variants, chunk by chunk: all
        of them, or those of a group. Each needs the same model, closure, batches and seeds.
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

    With `spread` chunks are those of one process, so results are too, bit for bit; there should be
    several a process, see `chunk_size`. What fails in one process fails in all.

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
        max_coords: int | None = None,
        particle_dim: int = 8,
        blocks: str = "per_layer",
        redraw: int | str = 20,
        directions: str = "random",
        chunk_size: int | None = None,
        evaluate: str = "auto",
        compat: Any = (),
        spread: Any = False,
        seed: int | np.random.Generator | None = None,
        **settings: Any,
    ) -> None:
        as_choice("subspace", subspace, _subspace.KINDS)
        as_choice("blocks", blocks, ("per_layer", "grouped", "monolithic"))
        as_choice("directions", directions, ("random", "moves"))
        if directions == "moves" and subspace not in ("per_layer", "global"):
            raise ValueError(
                f"directions must be 'random' with subspace={subspace!r}, got 'moves'; "
                "choose 'per_layer' or 'global'"
            )
        if isinstance(redraw, str):
            as_choice("redraw", redraw, ("stagnation",))
        limits = ("rank", rank, 1), ("redraw", redraw, 0), ("max_coords", max_coords, 1)
        for name, value, least in limits:
            if isinstance(value, int) and value < least:
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
        self._first_rank, self._most = rank, max_coords
        self._recent: list[dict[str, Any]] | None = [] if directions == "moves" else None
        self._kept: dict[str, Any] = {}
        self._stagnant, self._last = 0, math.nan
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
        group = None if spread is True else spread
        self._processes = None if spread is False else Processes(group)
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
        before = self._gradients()

        def costs(variants: dict[str, Any]) -> Any:
            out = self.evaluator.costs(closure, variants)
            if self._gradients() != before:
                raise TypeError(
                    "closure must leave no gradients, got a change of the .grad of a parameter; "
                    "drop what writes it: no gradient is used"
                )
            return out

        return self._step(costs, closure)

    def _gradients(self) -> list[tuple[int, int] | None]:
        grads = [p.grad for p in self.parameters.values()]
        return [None if g is None else (id(g), g._version) for g in grads]

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
            self._keep_moves()
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
        cost = float(told[0]) if self._centres() else self.search.mean_cost
        still = abs(cost - self._last) < _STILL * abs(self._last)
        self._stagnant, self._last = self._stagnant + 1 if still else 0, cost
        if refresh is not None and self.model.training and any(True for _ in self.model.buffers()):
            self.evaluator.one(refresh)
        return cost

    def _due(self) -> bool:
        if isinstance(self.redraw, str):
            due = self._stagnant >= _PATIENCE
            self._stagnant = 0 if due else self._stagnant
            return due
        return self.search.step // max(1, self._steps_per_tell()) % self.redraw == 0

    def _steps_per_tell(self) -> int:
        return int(self.search._given["amortize"])

    def _reopen(self) -> None:
        state = self.search.state_dict()
        state["counters"][3] = 0.0
        self.search.load_state_dict(state)

    def _draw(self) -> list[int]:
        """Draw the subspace; returns the ends of the coordinates of its parts."""
        plain = {name: p.detach() for name, p in self.parameters.items()}
        key = (self._seed, self._draws)
        self._bases, self._starts, ends = _subspace.draw_all(
            plain, self._kind, self._rank, key, self._most, self._kept
        )
        return ends

    def _keep_moves(self) -> None:
        """Directions that the next bases begin with."""
        if not self._recent:
            return
        share = min(1.0, self._steps / int(self.search._given["max_iterations"]))
        rows = {name: torch.stack([m[name] for m in self._recent]) for name in self.parameters}
        if self._kind == "global":
            wide = torch.cat(list(rows.values()), 1)
            top = _subspace.top_directions(wide, int(0.5 * share * len(self.search.x)))
            sizes = [r.shape[1] for r in rows.values()]
            self._kept = dict(zip(rows, torch.split(top, sizes, 1), strict=True))
            return
        self._kept = {
            name: _subspace.top_directions(r, int(0.5 * share * self._bases[name].coords))
            for name, r in rows.items()
        }

    def _rebase(self) -> None:
        """Fold the coordinates into the weights."""
        self._base = {name: p.detach().clone() for name, p in self.parameters.items()}
        self._versions = {name: p._version for name, p in self.parameters.items()}
        for basis in self._bases.values():
            basis.follow(next(iter(self.parameters.values())).new_zeros(basis.coords))
        self.search.restart(np.zeros(self._ends[-1]))

    def _follow_outside_changes(self) -> None:
        if any(p._version != self._versions[name] for name, p in self.parameters.items()):
            self._rebase()

    def _write(self) -> None:
        x = torch.from_numpy(self.search.x)
        last: dict[str, Any] = {}
        with torch.no_grad():
            for name, p in self.parameters.items():
                start, basis = self._starts[name], self._bases[name]
                c = x[start : start + basis.coords].to(p)
                basis.follow(c)
                moved = self._base[name] + basis.expand(c)
                if self._recent is not None:
                    last[name] = (moved - p).reshape(-1)
                p.copy_(moved)
                self._versions[name] = p._version
        if self._recent is not None:
            self._recent = [*self._recent, last][-_HISTORY:]

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
            "stagnant": (self._stagnant, self._last),
            "moves": (self._recent, self._kept),
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
        self._stagnant, self._last = state["stagnant"]
        recent, self._kept = state["moves"]
        self._draw()
        self._write()
        # Loading is no move.
        self._recent = None if self._recent is None else list(recent or ())
