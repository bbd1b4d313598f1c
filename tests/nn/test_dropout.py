"""Dropout: one mask a step for both directions, kept mean, nothing while predicting."""

import numpy as np
import pytest

from nnlite import nn
from nnlite.errors import StructureError
from tests.nn.helpers import Gains, gradient_of, through

SHAPES = [(40,), (3, 5, 4)]


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_backward_uses_the_mask_that_forward_drew(shape, rate):
    """Predecessors drew a second mask: the cosine between their gradient and the true one was 0.76."""
    layers = [Gains(), nn.Dropout(rate), nn.Flatten(), nn.Dense(1, nn.Normal(1.0))]
    network = nn.Sequential(layers, shape, nn.HalfSquaredError())
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((6, *shape)), rng.standard_normal(6)
    weights = network.init(rng).astype(np.float64)
    check = nn.check_network(network, x, y, rng, weights=weights)
    assert check.relative_error < 1e-6, check
    ones, sevens = np.ones((8, *shape)), np.full((8, *shape), 7.0)
    passed = through(nn.Dropout(rate), ones, sevens, rng=np.random.default_rng(1))
    values = {0.0, 7 / (1 - rate)} if rate else {7.0}
    assert set(np.unique(passed.dx.round(9))) == {round(value, 9) for value in values}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_mean_and_share_are_kept(rate, dtype):
    passed = through(
        nn.Dropout(rate), np.ones((100, 500), dtype), np.ones((100, 500), dtype), rng=np.random.default_rng(0)
    )
    deviation = 4 * np.sqrt(rate / (1 - rate) / passed.dx.size)
    assert passed.dx.mean() == pytest.approx(1, abs=deviation)
    assert np.mean(passed.dx == 0) == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / passed.dx.size))


def test_every_sample_and_every_step_draws_anew():
    rng = np.random.default_rng(0)
    ones = np.ones((2, 200))
    first, second = (through(nn.Dropout(0.5), ones, ones, rng=rng).dx for _ in range(2))
    for a, b in ((first[0], first[1]), (first[0], second[0])):
        assert 0.3 < np.mean(a == b) < 0.7


def test_every_block_of_images_draws_anew(monkeypatch):
    from nnlite.nn.engine import stages

    monkeypatch.setattr(stages, "BLOCK_BYTES", 1)
    ones = np.ones((3, 2, 10, 10))
    dx = through(nn.Dropout(0.5), ones, ones, rng=np.random.default_rng(0)).dx
    assert not np.array_equal(dx[0], dx[1])
    assert not np.array_equal(dx[1], dx[2])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_off_while_predicting(shape):
    x = np.random.default_rng(0).standard_normal((5, *shape))
    assert np.array_equal(through(nn.Dropout(0.9), x, rng=np.random.default_rng(1)).y, x)


def test_the_generator_decides():
    network = nn.Sequential([nn.Dense(30), nn.Dropout(0.5), nn.Dense(3)], (4,))
    rng = np.random.default_rng(0)
    weights, x, y = network.init(rng), rng.random((8, 4), np.float32), rng.integers(0, 3, 8)
    same = [gradient_of(network, weights, x, y, np.random.default_rng(5))[1] for _ in range(2)]
    other = gradient_of(network, weights, x, y, np.random.default_rng(6))[1]
    assert np.array_equal(*same)
    assert not np.array_equal(same[0], other)
    assert network.is_random
    assert not nn.Sequential([nn.Dense(3)], (4,)).is_random


def test_training_needs_a_generator():
    network = nn.Sequential([nn.Dropout(0.5), nn.Dense(3)], (4,))
    x, y = np.zeros((2, 4), np.float32), np.zeros(2, int)
    with pytest.raises(StructureError, match="Dropout needs rng="):
        network.loss_and_gradient(network.empty(), x, y, out=network.empty())
    network.predict(network.empty(), x)


@pytest.mark.parametrize("rate", [1.0, -0.1, 1.5, float("nan")])
def test_the_rate_is_a_fraction(rate):
    with pytest.raises(StructureError, match=rf"\[0, 1\): got {rate}"):
        nn.Dropout(rate)
