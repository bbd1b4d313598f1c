"""Backward is the derivative of forward: every layer, loss and model, by finite differences in float64."""

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlite import nn
from nnlite.nn import gradcheck
from nnlite.nn.engine import stages
from tests.nn.helpers import ACTIVATIONS, Gains, batch_for, image_layers, laws, networks, seeds, small_models

TOLERANCE = 1e-6
KERNELS, STRIDES, PADDINGS = range(1, 6), range(1, 4), ("same", "valid")
IMAGES = [(1, 5, 5), (3, 7, 6), (2, 5, 9)]
VECTORS = [(1,), (5,), (4,)]


def assert_right(check: gradcheck.GradientCheck) -> None:
    assert check.relative_error < TOLERANCE, check


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", IMAGES, ids=str)
def test_convolution(shape, kernel, stride, padding):
    layer = nn.Conv2D(2, kernel, stride, padding)
    assert_right(nn.check_layer(layer, shape, np.random.default_rng(kernel), num_samples=2))


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("channels", "filters", "groups"), [(4, 4, 4), (4, 6, 2), (3, 3, 1), (2, 4, 2)])
def test_convolution_in_groups(channels, filters, groups, kernel, stride, dilation):
    layer = nn.Conv2D(filters, kernel, stride, groups=groups, dilation=dilation)
    assert_right(nn.check_layer(layer, (channels, 6, 5), np.random.default_rng(kernel), num_samples=2))


@pytest.mark.parametrize(("kernel", "groups", "algorithm"), [
    *((kernel, groups, "auto") for kernel in KERNELS for groups in (1, 2, 4) if kernel > 1 or groups < 4),
    *((3, 1, algorithm) for algorithm in ("im2col", "rowwise", "winograd")),
])  # fmt: skip
def test_standardized_convolution(kernel, groups, algorithm):
    layer = nn.Conv2D(4, kernel, groups=groups, algorithm=algorithm, standardized=True)
    assert_right(nn.check_layer(layer, (4, 5, 6), np.random.default_rng(kernel), num_samples=2))


@pytest.mark.parametrize("num_samples", [1, 5])
@pytest.mark.parametrize("shape", [(2,), (7,)], ids=str)
def test_standardized_dense(shape, num_samples):
    assert_right(nn.check_layer(nn.Dense(3, standardized=True), shape, np.random.default_rng(2), num_samples))


@pytest.mark.parametrize("num_samples", [1, 7])
@pytest.mark.parametrize(("count", "features"), [(1, 3), (2, 1), (9, 4)])
@pytest.mark.parametrize("length", [1, 3])
def test_embedding(length, count, features, num_samples):
    """Also where a number comes several times, in a sample and in several."""
    assert_right(nn.check_layer(nn.Embedding(count, features), (length,), np.random.default_rng(count), num_samples))
    layer = nn.Residual([nn.Embedding(count, 1), nn.Tanh()])
    assert_right(nn.check_layer(layer, (length,), np.random.default_rng(count), num_samples))


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", IMAGES, ids=str)
def test_max_pool(shape, kernel, stride, padding):
    layer = nn.MaxPool2D(kernel, stride, padding)
    assert_right(nn.check_layer(layer, shape, np.random.default_rng(kernel), num_samples=2))


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", IMAGES, ids=str)
def test_average_pool(shape, kernel, stride, padding):
    layer = nn.AveragePool2D(kernel, stride, padding)
    assert_right(nn.check_layer(layer, shape, np.random.default_rng(kernel), num_samples=2))


@pytest.mark.parametrize("shape", [*IMAGES, (4, 1, 1)], ids=str)
def test_global_average_pool(shape):
    assert_right(nn.check_layer(nn.GlobalAveragePool2D(), shape, np.random.default_rng(0)))


@pytest.mark.parametrize("num_samples", [1, 4])
@pytest.mark.parametrize("groups", [1, 2, 3, 6])
@pytest.mark.parametrize("size", [(2, 2), (5, 7), (1, 9)], ids=str)
def test_group_norm(size, groups, num_samples):
    layer = nn.GroupNorm(groups)
    assert_right(nn.check_layer(layer, (6, *size), np.random.default_rng(groups), num_samples))


@pytest.mark.parametrize("num_samples", [1, 4])
@pytest.mark.parametrize("size", [2, 3, 10])
def test_layer_norm(size, num_samples):
    assert_right(nn.check_layer(nn.LayerNorm(), (size,), np.random.default_rng(size), num_samples))


@pytest.mark.parametrize("beta", [0.75, 0.5, 1.3])
@pytest.mark.parametrize("radius", [0, 1, 2, 4])
@pytest.mark.parametrize("channels", [1, 2, 5, 9])
def test_local_response_norm(channels, radius, beta):
    layer = nn.LocalResponseNorm(radius, bias=1.5, alpha=0.7, beta=beta)
    assert_right(nn.check_layer(layer, (channels, 3, 2), np.random.default_rng(channels)))


@pytest.mark.parametrize("num_samples", [1, 2, 7])
@pytest.mark.parametrize("shape", VECTORS + IMAGES, ids=str)
@pytest.mark.parametrize("layer", [nn.ReLU(), nn.Dropout(0.4), Gains(), *ACTIVATIONS], ids=str)
def test_element_wise(layer, shape, num_samples):
    assert_right(nn.check_layer(layer, shape, np.random.default_rng(1), num_samples))


@pytest.mark.parametrize("num_samples", [1, 2, 7])
@pytest.mark.parametrize("units", [1, 3])
@pytest.mark.parametrize("shape", VECTORS, ids=str)
def test_dense(shape, units, num_samples):
    assert_right(nn.check_layer(nn.Dense(units), shape, np.random.default_rng(2), num_samples))


@laws
@given(st.data(), seeds)
def test_any_layer_on_images(data, seed):
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 8), st.integers(1, 8)))
    layer = data.draw(image_layers(shape, dropout=True))
    check = nn.check_layer(layer, shape, np.random.default_rng(seed), data.draw(st.integers(1, 3)))
    assert check.relative_error < TOLERANCE, (layer, shape, check)


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_softmax_cross_entropy(scale):
    """Also where one class has nearly all the probability: 30 is e^30 = 1e13 times as likely."""
    network = nn.Sequential([nn.Dense(5, nn.Normal(scale), nn.Normal(scale))], (3,))
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((6, 3)), rng.integers(0, 5, 6)
    assert_right(nn.check_network(network, x, y, rng))


@pytest.mark.parametrize("num_outputs", [1, 3])
def test_half_squared_error(num_outputs):
    network = nn.Sequential([nn.Dense(num_outputs)], (3,), nn.HalfSquaredError())
    rng = np.random.default_rng(4)
    assert_right(nn.check_network(network, *batch_for(network, 5, rng), rng))


@pytest.mark.parametrize("num_samples", [1, 3])
@pytest.mark.parametrize("name", small_models())
def test_models(name, num_samples):
    """Not at the very beginning, where a block that begins as its shortcut has all its ReLUs at their kink."""
    network = small_models()[name]
    rng = np.random.default_rng(5)
    weights = network.init(rng) + 0.05 * rng.standard_normal(network.layout.size)
    x, y = batch_for(network, num_samples, rng)
    assert_right(nn.check_network(network, x, y, rng, num_entries=30, weights=weights))


@pytest.mark.parametrize("num_samples", [1, 2, 3, 4, 5])
def test_blocks_and_a_tail(monkeypatch, num_samples):
    """Two images a block: whole blocks, a shorter last one, and a batch shorter than a block."""
    network = small_models()["cifar_cnn"]
    largest = max(prod(shape) for shape in network.shapes)
    monkeypatch.setattr(stages, "BLOCK_BYTES", 2 * 8 * largest)
    rng = np.random.default_rng(6)
    assert_right(nn.check_network(network, *batch_for(network, num_samples, rng), rng, num_entries=30))


@laws
@given(networks(dropout=True), st.integers(1, 4), seeds)
def test_any_network(network, num_samples, seed):
    rng = np.random.default_rng(seed)
    check = nn.check_network(network, *batch_for(network, num_samples, rng), rng, num_entries=8)
    assert check.relative_error < TOLERANCE, f"{check}\n{network.summary()}"


def test_every_entry_of_the_gradient_is_written():
    for network in small_models().values():
        rng = np.random.default_rng(7)
        x, y = batch_for(network, 3, rng, np.float32)
        gradient = np.full(network.layout.size, np.nan, np.float32)
        network.loss_and_gradient(network.init(rng), x, y, out=gradient, rng=rng)
        assert np.isfinite(gradient).all(), network
