"""Gradient-free search: polytope steps, black boxes, networks without gradients.

==============================  =============================================================
`PolyStep`                      ask and tell: a rotated polytope around blocks of coordinates
`OpenAIES`, `SPSA`              ask and tell: the baselines that people compare with
`DifferentialEvolution SepCMA`  ask and tell: populations
`ParticleSwarm`                 ask and tell: a population with velocities
`CBO`                           ask and tell: particles that drift to a weighted mean
`GFM`, `GFMPlus`                ask and tell: differences, for kinked and random costs
`EnsembleKalman`                ask and tell outputs: inverse problems
`CMA`                           ask and tell: a Gaussian that learns a full covariance
`NelderMead`, `RandomSearch`    ask and tell: a simplex, independent draws
`PrivateGSD`                    synthetic tables with differential privacy
`boolean`                       circuits that learn by their reverse derivative
`CoveringDirectSearch`          ask and tell: random points and polls, infinite costs allowed
`ZORankSGD`                     ask and tell: an order instead of costs
`DirectionalAttack`, `attack`   a cost behind a trained torch network
`minimize`                      one call, a result as scipy's
`PolyStepOptimizer`             any torch module, trained by a closure that returns a loss
`train`                         the same in a loop over batches of tensors
`MeZO`                          any torch module in the memory of inference, two forwards a step
`ForwardGradient`               `.grad` from forward derivatives along guesses
`stde`                          traces of Hessians and other operators from random directions
`Linear Cosine Power ...`       schedules and solvers, keyword-only
`register`, `methods`           further methods for `minimize`
`thalweg.search.learning`       rules for torch modules that send no gradient from layer to layer
`spread`                        evaluations shared among processes
==============================  =============================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from thalweg.search import boolean
from thalweg.search._arguments import Bounds
from thalweg.search.cbo import CBO
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
from thalweg.search.cma import CMA
from thalweg.search.covering_direct_search import CoveringDirectSearch
from thalweg.search.differential_evolution import DifferentialEvolution
from thalweg.search.ensemble_kalman import EnsembleKalman
from thalweg.search.gfm import GFM, GFMPlus
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
from thalweg.search.spread import spread
from thalweg.search.spsa import SPSA
from thalweg.search.tables import Categories, Interval
from thalweg.search.zo_rank_sgd import ZORankSGD

__all__ = [
    "CBO",
    "CMA",
    "GFM",
    "SPSA",
    "Best",
    "Bounds",
    "Categories",
    "Cosine",
    "CoveringDirectSearch",
    "DifferentialEvolution",
    "EnsembleKalman",
    "GFMPlus",
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
    "ZORankSGD",
    "boolean",
    "methods",
    "minimize",
    "register",
    "spread",
]

register("polystep", PolyStep)
register("openai_es", OpenAIES)
register("spsa", SPSA)
register("differential_evolution", DifferentialEvolution)
register("sep_cma", SepCMA)
register("cma", CMA)
register("particle_swarm", ParticleSwarm)
register("nelder_mead", NelderMead)
register("cbo", CBO)
register("gfm", GFM)
register("gfm_plus", GFMPlus)
register("random_search", RandomSearch)
register("covering_direct_search", CoveringDirectSearch)
register("zo_rank_sgd", ZORankSGD)


def __getattr__(name: str) -> Any:
    # These alone need torch, which takes seconds to import.
    torch_parts = {
        "DirectionalAttack": "directional_attack",
        "ForwardGradient": "forward_gradient",
        "MeZO": "mezo",
        "PolyStepOptimizer": "optimizer",
        "attack": "_attack",
        "train": "loop",
    }
    if name == "stde":
        return import_module("thalweg.search.stde")
    if name in torch_parts:
        return getattr(import_module(f"thalweg.search.{torch_parts[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
