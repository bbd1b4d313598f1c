"""A warm step makes no tensor: all memory was made in the first."""

import tracemalloc

import numpy as np
import pytest

from nnlite import nn
from nnlite.nn import models
from tests.nn.warm import SMALL_BYTES, training_step, warm_peak_bytes

CONVOLUTIONS = [
    nn.Conv2D(20, 5, algorithm="im2col"), nn.Tanh(), nn.Conv2D(20, 3), nn.Dropout(0.1), nn.ReLU(),
    nn.Conv2D(16, 5), nn.MaxPool2D(2, 2), nn.Flatten(), nn.Dense(40), nn.Dropout(0.5), nn.ReLU(), nn.Dense(10),
]  # fmt: skip

GROUPED = [
    nn.Conv2D(16, 3, groups=16), nn.Conv2D(32, 1), nn.Conv2D(16, 3, groups=4), nn.LocalResponseNorm(),
    nn.Conv2D(16, 3, algorithm="im2col"), nn.LocalResponseNorm(), nn.Conv2D(16, 3, algorithm="rowwise"), nn.Flatten(),
    nn.Dense(10),
]  # fmt: skip
MODERN = [
    nn.Conv2D(16, 3, standardized=True), nn.GroupNorm(4), nn.SiLU(),
    nn.Residual([nn.Conv2D(16, 3), nn.GroupNorm(1), nn.LeakyReLU()]),
    nn.AveragePool2D(3, 2), nn.ELU(), nn.Softplus(), nn.GELU(), nn.Sigmoid(), nn.GlobalAveragePool2D(), nn.Flatten(),
    nn.Dense(100), nn.LayerNorm(), nn.GELU(), nn.Dense(10),
]  # fmt: skip


@pytest.mark.parametrize(
    ("network", "num_samples"),
    [
        (models.cifar_cnn(), 13),
        (models.bits_mlp(), 300),
        (models.mlp(), 200),
        (models.emnist_mlp(), 200),
        (nn.Sequential(CONVOLUTIONS, (3, 17, 15)), 9),
        (nn.Sequential(CONVOLUTIONS, (14, 17, 15)), 40),
        (nn.Sequential(GROUPED, (16, 17, 15)), 60),
        (nn.Sequential(MODERN, (3, 17, 15)), 60),
    ],
    ids=["b", "a", "c", "emnist", "odd images", "many images", "grouped", "modern"],
)
def test_training(network, num_samples):
    assert warm_peak_bytes(training_step(network, num_samples)) < SMALL_BYTES


def test_depthwise_with_a_stride():
    """Einsum collects numbers that lie apart in buffers of its own, of 8192 numbers, however many images there are."""
    layers = [nn.Conv2D(16, 3), nn.ReLU(), nn.Conv2D(16, 3, 2, groups=16), nn.ReLU(), nn.Flatten(), nn.Dense(10)]
    peaks = [warm_peak_bytes(training_step(nn.Sequential(layers, (3, 18, 18)), n)) for n in (20, 200)]
    assert max(peaks) < SMALL_BYTES + 4 * 8192


def test_the_test_sees_an_allocation():
    network = nn.Sequential([nn.Dense(100), Wasteful(), nn.Dense(10)], (50,))
    assert warm_peak_bytes(training_step(network, 200)) > SMALL_BYTES


class Wasteful(nn.Tanh, described=False):
    def forward(self, p, x, ws):
        return np.tanh(x)


@pytest.mark.parametrize("optimizer", [nn.SGD(0.1), nn.Momentum(0.1), nn.Nesterov(0.1)], ids=lambda o: type(o).__name__)
def test_optimizers(optimizer):
    assert warm_peak_bytes(training_step(models.mlp(), 200, optimizer)) < SMALL_BYTES


def test_memory_does_not_grow_with_the_number_of_steps():
    steps = [training_step(models.mlp(), n) for n in (100, 37)]
    for step in steps * 3:
        step()
    tracemalloc.start()
    try:
        for step in steps:
            step()
        before, _ = tracemalloc.get_traced_memory()
        for step in steps * 5:
            step()
        assert tracemalloc.get_traced_memory()[0] - before < 2000
    finally:
        tracemalloc.stop()


def test_predicting_makes_only_its_result():
    network = models.cifar_cnn()
    rng = np.random.default_rng(0)
    weights, x = network.init(rng), rng.random((40, 3, 32, 32), np.float32)
    y = rng.integers(0, 10, 40)
    assert warm_peak_bytes(lambda: network.predict(weights, x)) < SMALL_BYTES
    assert warm_peak_bytes(lambda: network.evaluate(weights, x, y)) < SMALL_BYTES
