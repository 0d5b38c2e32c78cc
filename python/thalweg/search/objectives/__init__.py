"""Objectives with known structure: a probe that moves a few coordinates costs what it changes.

==========================  ==================================================================
`MaxSat`                    weights of unsatisfied clauses; reads and writes DIMACS CNF and WCNF
`FactorGraph`               a sum of terms: tables, parities, equalities, counts, spins
`Network`                   feed-forward networks: spiking, quantised, staircase, smooth units
`Dense Attention Routed`    their layers
`Layer Progress Training`   settings and outcome of `Network.train`
`Trainer`                   its steps one by one, on batches of yours
`shifted`                   images moved by a pixel, for `Network.train`
`ObliqueTree`               hard-routed trees of hyperplanes
==========================  ==================================================================
"""

from thalweg.search.objectives._maxsat_state import MaxSatState
from thalweg.search.objectives.augment import shifted
from thalweg.search.objectives.factor_graph import FactorGraph, FactorGraphState
from thalweg.search.objectives.layers import Attention, Dense, Routed
from thalweg.search.objectives.maxsat import MaxSat
from thalweg.search.objectives.network import Network
from thalweg.search.objectives.training import Layer, Progress, Trainer, Training
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
    "Trainer",
    "Training",
    "shifted",
]
