"""Train one network with many optimizers from the same start, and say which wins.

The engine of `thalweg race`: `tasks` (data and network), `entrants` (which optimizers, at which
rates), `runner` (training and measuring), `sweep` (the best of five rates), `result` (figures and
ranking), and `table`, `record`, `picture`, which show a result. `docs/race.md` says how to read it.
"""
