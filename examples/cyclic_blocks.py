"""A network whose layers are blocks, variance reduced; and one beside its input's scale."""

import torch

from thalweg.coordinate import AlternatingCD, CyclicBCD

torch.manual_seed(0)
x = torch.randn(512, 6)
y = torch.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:3]


def network():
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(6, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))


model = network()
layers = [{"params": model[0].parameters()}, {"params": model[2].parameters()}]
optimizer = CyclicBCD(layers, lr=0.1, n_samples=len(x))


def closure(samples):
    rows = slice(None) if samples is None else samples
    return torch.nn.functional.mse_loss(model(x[rows]), y[rows])


for _ in range(600):
    optimizer.step(closure)
passes = optimizer.n_gradients / len(x)
print(f"layers as blocks: loss {closure(None):.4f} after {passes:.0f} passes over the samples")

model = network()
scale = torch.tensor(1.0, requires_grad=True)
schedule = AlternatingCD(
    {"weights": model.parameters(), "scale": [scale]},
    {
        "weights": lambda p: torch.optim.Adam(p, lr=1e-2),
        "scale": lambda p: torch.optim.SGD(p, lr=1e-2),
    },
    period={"scale": 5},
    clamp={"scale": (0.5, 3.0)},
)
for _ in range(300):
    loss = schedule.step(lambda: torch.nn.functional.mse_loss(model(scale * x), y))
print(f"weights and scale in turn: loss {loss:.4f}, scale {scale.item():.2f}")
