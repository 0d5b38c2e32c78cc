"""Objectives with known structure: a probe that moves a few coordinates costs what it changes.

===================  ========================================================================
`MaxSat`             weights of unsatisfied clauses; reads and writes DIMACS CNF and WCNF
`FactorGraph`        a sum of terms: tables, parities, equalities, counts, spins
===================  ========================================================================
"""

from thalweg.search.objectives._maxsat_state import MaxSatState
from thalweg.search.objectives.factor_graph import FactorGraph, FactorGraphState
from thalweg.search.objectives.maxsat import MaxSat

__all__ = ["FactorGraph", "FactorGraphState", "MaxSat", "MaxSatState"]
