"""A digit classifier trained without gradients: every block of the network in closed form."""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from thalweg.coordinate import BlockCoordinateTrainer

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)

torch.manual_seed(0)
model = nn.Sequential(
    nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
)
for layer in model[::2]:
    nn.init.normal_(layer.weight, std=0.05)
    nn.init.constant_(layer.bias, 0.1)

trainer = BlockCoordinateTrainer(model, alpha=1.0, joint_bias=True)
history = trainer.fit(X_train, y_train, sweeps=60)
inputs = torch.from_numpy(X_test).float()
accuracy = (model(inputs).argmax(1) == torch.from_numpy(y_test)).double().mean()
print(f"objective {history[0]:.1f} -> {history[-1]:.2f} in {trainer.sweeps} sweeps")
print(f"test accuracy {accuracy:.3f}")
assert accuracy > 0.9
