"""A quarter of the optimizer's memory: int8 states, and bfloat16 weights that still learn.

The same network on the bundled digits, with AdamW in four settings; prints bytes of state and of
weights for each parameter, and the loss. Then a checkpoint goes from int8 to float32 and back,
without loss. Runs in a few seconds.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

from thalweg import optim

SETTINGS = {
    "float32 weights, float32 state": (torch.float32, {}),
    "float32 weights, int8 state": (torch.float32, {"state_dtype": "int8"}),
    "bfloat16 weights, rounded to nearest": (torch.bfloat16, {"state_dtype": "int8"}),
    "bfloat16 weights, rounded stochastically": (
        torch.bfloat16,
        {"state_dtype": "int8", "rounding": "stochastic"},
    ),
    "bfloat16 weights with compensation": (
        torch.bfloat16,
        {"state_dtype": "int8", "rounding": "kahan"},
    ),
}


def train(dtype, options, epochs=15):
    digits = load_digits()
    x, y = torch.tensor(digits.data, dtype=torch.float32) / 8 - 1, torch.tensor(digits.target)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10)).to(dtype)
    optimizer = optim.AdamW(model.parameters(), lr=3e-4, **options)
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(32):
            loss = nn.functional.cross_entropy(model(x[batch].to(dtype)).float(), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        final = nn.functional.cross_entropy(model.float()(x), y)
    return model, optimizer, float(final)


def size(tensors):
    return sum(t.numel() * t.element_size() for t in tensors)


def main():
    for name, (dtype, options) in SETTINGS.items():
        model, optimizer, loss = train(dtype, options)
        n = sum(p.numel() for p in model.parameters())
        state = size(t for entry in optimizer.state.values() for t in entry.values())
        print(f"{name:<42} {state / n:5.2f} bytes of state a parameter, loss {loss:.4f}")

    # State is torch tensors, and state_dict works as ever; other precisions load it.
    model, optimizer, _ = train(*SETTINGS["float32 weights, int8 state"], epochs=1)
    full = optim.AdamW(model.parameters())
    full.load_state_dict(optimizer.state_dict())
    back = optim.AdamW(model.parameters(), state_dtype="int8")
    back.load_state_dict(full.state_dict())
    weight = model[0].weight
    moments = []
    for holder in (optimizer, back):
        entry = holder.state[weight]
        moments.append(optim.dequantize(entry["exp_avg"], entry["exp_avg_scale"]))
    assert torch.equal(*moments)
    assert torch.equal(moments[0], full.state[weight]["exp_avg"])
    print("int8 -> float32 -> int8: the same numbers")


if __name__ == "__main__":
    main()
