"""Objectives with known structure: a probe that moves a few coordinates costs what it changes.

==========================  ==================================================================
`MaxSat`                    weights of unsatisfied clauses; reads and writes DIMACS CNF and WCNF
`FactorGraph`               a sum of terms: tables, parities, equalities, counts, spins
`Network`                   feed-forward networks: spiking, quantised, staircase, smooth units
`Dense Attention Routed`    their layers
`Layer Progress Training`   settings and outcome of `Network.train`
`ObliqueTree`               hard-routed trees of hyperplanes
==========================  ==================================================================
"""

from thalweg.search.objectives._maxsat_state import MaxSatState
from thalweg.search.objectives.factor_graph import FactorGraph, FactorGraphState
from thalweg.search.objectives.maxsat import MaxSat
from thalweg.search.objectives.network import Attention, Dense, Network, Routed
from thalweg.search.objectives.training import Layer, Progress, Training
from thalweg.search.objectives.tree import ObliqueTree

__all__ = [
    "Attention",
    "Dense",
    "FactorGraph",
    "FactorGraphState",
    "Layer",
    "MaxSat",
    "MaxSatState",
    "Network",
    "ObliqueTree",
    "Progress",
    "Routed",
    "Training",
]
