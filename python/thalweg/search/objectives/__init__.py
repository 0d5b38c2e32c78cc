"""Objectives with known structure: a probe costs what it changes.

==========================  ==================================================================
`Network`, `Dense`          feed-forward networks: spiking, quantised, staircase, smooth units
==========================  ==================================================================
"""

from thalweg.search.objectives.network import Dense, Network
from thalweg.search.objectives.training import Layer, Progress, Training

__all__ = ["Dense", "Layer", "Network", "Progress", "Training"]
