"""The network of the image tasks."""

from __future__ import annotations

from torch import Tensor, nn

CLASSES = 10


def conv_net(side: int) -> nn.Module:
    """Two convolutions, two poolings, one hidden layer, for `side` x `side` images in grey."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * (side // 4) ** 2, 64),
        nn.ReLU(),
        nn.Linear(64, CLASSES),
    )


def standardize(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Shift and scale both to the mean 0 and the deviation 1 of the training images."""
    mean, deviation = train.mean(), train.std()
    return (train - mean) / deviation, (test - mean) / deviation
