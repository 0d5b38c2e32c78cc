"""`project=`: parameters stay in their sets after every step."""

import copy
import pickle

import pytest
import torch

import thalweg.project as pr
from thalweg import optim


def quadratic(x, target):
    return (x - target).square().sum()


@pytest.mark.parametrize("rule", [optim.SGD, optim.AdamW, optim.Lion])
def test_every_step_ends_in_the_set(rule):
    target = torch.tensor([0.9, 0.4, -0.5], dtype=torch.float64)
    x = torch.full((3,), 1 / 3, dtype=torch.float64, requires_grad=True)
    optimizer = rule([x], lr=0.1, weight_decay=0.0, project=pr.simplex)
    start = float(quadratic(x, target).detach())
    for _ in range(50):
        optimizer.zero_grad()
        quadratic(x, target).backward()
        optimizer.step()
        assert float(x.detach().min()) >= 0
        assert abs(float(x.detach().sum()) - 1) <= 1e-12
    assert float(quadratic(x, target).detach()) < start
    if rule is optim.SGD:  # adaptive and sign steps have other fixed points
        # Each step contracts by 1 - 2 lr = 0.8, from a distance below 1: 0.8^50 = 1.4e-5.
        assert torch.allclose(x.detach(), pr.simplex(target), rtol=0, atol=1.5e-5)


def test_a_mapping_projects_its_parameters_alone():
    model = torch.nn.Linear(5, 3)
    optimizer = optim.SGD(model.parameters(), lr=0.5, project={model.weight: pr.stiefel})
    bias = model.bias.detach().clone()
    model(torch.randn(8, 5)).square().sum().backward()
    slope = model.bias.grad.clone()
    version = model.weight._version
    optimizer.step()
    W = model.weight.detach()
    assert torch.allclose(W @ W.T, torch.eye(3), atol=1e-6)
    assert torch.allclose(model.bias.detach(), bias - 0.5 * slope, atol=1e-6)
    assert model.weight._version > version


def test_what_has_no_gradient_stays():
    x = torch.tensor([3.0, 4.0], requires_grad=True)
    optim.SGD([x], lr=0.1, project=pr.l2_ball).step()
    assert x.tolist() == [3.0, 4.0]


def test_checkpoints_and_copies():
    x = torch.tensor([1.0, 0.0], requires_grad=True)
    optimizer = optim.Adam([x], lr=0.1, project=pr.simplex)
    x.grad = torch.ones(2)
    optimizer.step()
    torch.save(optimizer.state_dict(), __import__("io").BytesIO())
    assert copy.deepcopy(optimizer).project is pr.simplex
    assert pickle.loads(pickle.dumps(optimizer)).project is pr.simplex
    other = optim.Adam([x], lr=0.1, project=pr.simplex)
    other.load_state_dict(optimizer.state_dict())
    assert other.project is pr.simplex


def test_refuses():
    x = torch.zeros(2, requires_grad=True)
    with pytest.raises(TypeError, match="project must be a callable or a mapping from parameters"):
        optim.SGD([x], lr=0.1, project="simplex")
    with pytest.raises(TypeError, match="project must map parameters to callables, got str: func"):
        optim.SGD([x], lr=0.1, project={"x": pr.simplex})
    x.grad = torch.ones(2)
    with pytest.raises(ValueError, match=r"project must keep the shape \(2,\) of its parameter"):
        optim.SGD([x], lr=0.1, project=lambda p: p[:1]).step()
