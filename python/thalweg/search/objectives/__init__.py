"""Objectives with known structure: a probe costs what it changes.

==========================  ==================================================================
`Network`                   feed-forward networks: spiking, quantised, staircase, smooth units
`Dense Attention Routed`    their layers
`Layer Progress Training`   settings and outcome of `Network.train`
`ObliqueTree`               hard-routed trees of hyperplanes
==========================  ==================================================================
"""

from thalweg.search.objectives.network import Attention, Dense, Network, Routed
from thalweg.search.objectives.training import Layer, Progress, Training
from thalweg.search.objectives.tree import ObliqueTree

__all__ = [
    "Attention",
    "Dense",
    "Layer",
    "Network",
    "ObliqueTree",
    "Progress",
    "Routed",
    "Training",
]
