"""`Network.train`, `Trainer` and `shifted`: interruption, augmentation, refusals."""

import os
import signal

import numpy as np
import pytest

from thalweg.search.objectives import Dense, Network, Trainer, shifted

rng = np.random.default_rng(0)
X = rng.normal(size=(240, 9)).astype(np.float32)
y = (X[:, 0] + X[:, 1] > 0).astype(int) + (X[:, 2] > 1)


def network(seed=0):
    return Network([Dense.random(9, 8, "sign", rng=seed), Dense.random(8, 3, "linear", rng=seed)])


def test_ctrl_c_keeps_what_is_reached():
    net = network()
    before = net.evaluate(X, y)

    def stop(entry):
        if entry.epoch == 3:
            os.kill(os.getpid(), signal.SIGINT)

    out = net.train(X, y, epochs=50, batch_size=60, callback=stop)
    assert out.message == "interrupted"
    assert 3 <= len(out.history) < 50
    assert net.evaluate(X, y) < before


def test_trainer_takes_the_batches_it_is_given():
    net, trainer = network(), None
    trainer = Trainer(net, 40, seed=1)
    costs = []
    for start in range(0, 240, 60):
        costs.append(net.evaluate(X[start : start + 60], y[start : start + 60]))
        told = trainer.step(X[start : start + 60], y[start : start + 60])
        assert told == pytest.approx(costs[-1], rel=1e-5)
    for _ in range(36):
        trainer.step(X, y)
    assert net.evaluate(X, y) < costs[0]
    assert trainer.evaluations > 40 * 2 * 11
    twin = network()
    again = Trainer(twin, 40, seed=1)
    for start in range(0, 240, 60):
        again.step(X[start : start + 60], y[start : start + 60])
    for _ in range(36):
        again.step(X, y)
    assert (twin.theta == net.theta).all()


def test_trainer_refuses():
    with pytest.raises(ValueError, match="steps must be at least 1"):
        Trainer(network(), 0)
    with pytest.raises(ValueError, match="momentum must be in"):
        Trainer(network(), 5, momentum=1.0)
    trainer, before = Trainer(network(), 5), network().theta
    with pytest.raises(ValueError, match="y"):
        trainer.step(X, y[:-1])
    with pytest.raises(ValueError, match="NaN"):
        trainer.step(np.where(X > 1, np.nan, X), y)
    assert (trainer.network.theta == before).all()


def test_augmented_samples_are_the_ones_trained_on():
    seen = []

    def augment(given, generator):
        assert given.shape == X.shape
        seen.append(generator.random())
        return given + generator.normal(size=given.shape).astype(np.float32) * 0.01

    one, two = network(), network()
    one.train(X, y, epochs=3, batch_size=60, augment=augment, seed=4)
    assert len(set(seen)) == 3
    two.train(X, y, epochs=3, batch_size=60, augment=augment, seed=4)
    assert seen[:3] == seen[3:]
    assert (one.theta == two.theta).all()
    plain = network()
    plain.train(X, y, epochs=3, batch_size=60, seed=4)
    assert (plain.theta != one.theta).any()


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        (lambda given, _: given[:-1], r"samples of shape \(240, 9\), got \(239, 9\)"),
        (lambda given, _: given * np.nan, "finite numbers, got NaN"),
    ],
)
def test_bad_augmentation_is_refused(augment, message):
    net = network()
    before = net.theta
    with pytest.raises(ValueError, match=message):
        net.train(X, y, epochs=1, augment=augment)
    assert (net.theta == before).all()


def test_shifts_move_whole_images():
    images = np.zeros((500, 5, 4), np.float32)
    images[:, 2, 2] = 1.0
    moved = shifted(5, 4)(images.reshape(500, 20), np.random.default_rng(0)).reshape(500, 5, 4)
    places = {tuple(np.argwhere(image)[0]) for image in moved}
    assert places == {(r, c) for r in (1, 2, 3) for c in (1, 2, 3)}
    assert (moved.sum((1, 2)) == 1).all()
    series = np.repeat(images.reshape(500, 1, 20), 3, 1)
    again = shifted(5, 4)(series, np.random.default_rng(0))
    assert (again == moved.reshape(500, 1, 20)).all()
    assert (shifted(5, 4, pixels=0)(images.reshape(500, 20), rng) == images.reshape(500, 20)).all()


def test_shifts_repeat_the_border():
    image = np.arange(6, dtype=np.float32).reshape(1, 6)
    moved = shifted(2, 3)(np.repeat(image, 200, 0), np.random.default_rng(0))
    assert {tuple(m) for m in moved} >= {(0, 0, 1, 3, 3, 4), (3, 4, 5, 3, 4, 5)}


def test_shifts_refuse():
    with pytest.raises(ValueError, match="height must be >= 1"):
        shifted(0)
    with pytest.raises(ValueError, match="pixels must be >= 0"):
        shifted(2, pixels=-1)
    with pytest.raises(ValueError, match=r"does not match images of shape \(3, 3\)"):
        shifted(3)(np.ones((2, 8), np.float32), rng)
