"""The race of spiking networks: gradient-free contenders next to a surrogate gradient.

`contenders` (who may race, with which settings), `lanes` (how each of them trains), `network`
(the same network for numpy and for torch). Data, schedule, ranking and pictures are those of
`thalweg.race`.
"""
