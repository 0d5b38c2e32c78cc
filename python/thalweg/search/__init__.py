"""Gradient-free search: polytope steps, black boxes, networks without gradients.

==============================  =============================================================
`PolyStep`                      ask and tell: a rotated polytope around blocks of coordinates
`OpenAIES`, `SPSA`              ask and tell: the baselines that people compare with
`DifferentialEvolution SepCMA`  ask and tell: populations
`ParticleSwarm`                 ask and tell: a population with velocities
`NelderMead`, `RandomSearch`    ask and tell: a simplex, independent draws
`PrivateGSD`                    synthetic tables with differential privacy
`boolean`                       circuits that learn by their reverse derivative
`minimize`                      one call, a result as scipy's
`PolyStepOptimizer`             any torch module, trained by a closure that returns a loss
`train`                         the same in a loop over batches of tensors
`Linear Cosine Power ...`       schedules and solvers, keyword-only
`register`, `methods`           further methods for `minimize`
==============================  =============================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from thalweg.search import boolean
from thalweg.search._arguments import Bounds
from thalweg.search.choices import (
    Cosine,
    KLSoftmax,
    Linear,
    Power,
    Progressive,
    Sinkhorn,
    Tempered,
    TopK,
)
from thalweg.search.differential_evolution import DifferentialEvolution
from thalweg.search.minimize import minimize
from thalweg.search.nelder_mead import NelderMead
from thalweg.search.openai_es import OpenAIES
from thalweg.search.particle_swarm import ParticleSwarm
from thalweg.search.polystep import PolyStep
from thalweg.search.private_gsd import PrivateGSD
from thalweg.search.random_search import RandomSearch
from thalweg.search.registry import Searcher, methods, register
from thalweg.search.result import Best
from thalweg.search.sep_cma import SepCMA
from thalweg.search.spsa import SPSA
from thalweg.search.tables import Categories, Interval

__all__ = [
    "SPSA",
    "Best",
    "Bounds",
    "Categories",
    "Cosine",
    "DifferentialEvolution",
    "Interval",
    "KLSoftmax",
    "Linear",
    "NelderMead",
    "OpenAIES",
    "ParticleSwarm",
    "PolyStep",
    "Power",
    "PrivateGSD",
    "Progressive",
    "RandomSearch",
    "Searcher",
    "SepCMA",
    "Sinkhorn",
    "Tempered",
    "TopK",
    "boolean",
    "methods",
    "minimize",
    "register",
]

register("polystep", PolyStep)
register("openai_es", OpenAIES)
register("spsa", SPSA)
register("differential_evolution", DifferentialEvolution)
register("sep_cma", SepCMA)
register("particle_swarm", ParticleSwarm)
register("nelder_mead", NelderMead)
register("random_search", RandomSearch)


def __getattr__(name: str) -> Any:
    # These alone need torch, which takes seconds to import.
    torch_parts = {"PolyStepOptimizer": "optimizer", "train": "loop"}
    if name in torch_parts:
        return getattr(import_module(f"thalweg.search.{torch_parts[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
