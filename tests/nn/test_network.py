"""Sequential: names, shapes, counts and what it prints."""

from dataclasses import dataclass

import numpy as np
import pytest

from nnlite import nn
from nnlite.errors import StructureError
from nnlite.nn import models
from tests.nn.helpers import Gains, batch_for, gradient_of, small_models


def convs(area, *channels_filters):
    """Parameters of convolutions, each with a bias and a normalization."""
    return sum((area * channels + 3) * filters for channels, filters in channels_filters)


COUNTS = {  # by hand: (inputs + 1) * outputs of every layer
    "a": (models.bits_mlp, 21 * 100 + 4 * 101 * 100 + 101),
    "b": (models.cifar_cnn, 76 * 64 + 1601 * 64 + 4097 * 384 + 385 * 192 + 193 * 10),
    "c": (models.mlp, 785 * 64 + 65 * 64 + 65 * 10),
    "emnist": (models.emnist_mlp, 785 * 100 + 101 * 47),
    "r": (
        models.airbench,
        convs(9, (3, 24), (24, 32), (32, 32), (32, 128), *[(128, 128)] * 3) + 129 * 10,
    ),
    "linear": (models.linear, 785 * 10),
    "svm": (models.svm, 785 * 10),
    "lenet": (models.lenet, 26 * 6 + 151 * 16 + 401 * 120 + 121 * 84 + 85 * 10),
    "resnet": (
        models.resnet,
        convs(9, (3, 16), *[(16, 16)] * 4, (16, 32), *[(32, 32)] * 3, (32, 64), *[(64, 64)] * 3)
        + convs(1, (16, 32), (32, 64))
        + 65 * 10,
    ),
    "mobilenet": (
        models.mobilenet,
        convs(9, (3, 32), *[(1, c) for c in (32, 64, 128, 128, 256)])
        + convs(1, (32, 64), (64, 128), (128, 128), (128, 256), (256, 256))
        + 257 * 10,
    ),
    "vgg11": (
        models.vgg11,
        convs(9, (3, 64), (64, 128), (128, 256), (256, 256), (256, 512), *[(512, 512)] * 3) + 513 * 10,
    ),
}


@pytest.mark.parametrize("case", COUNTS)
def test_numbers_of_parameters(case):
    model, count = COUNTS[case]
    network = model()
    assert network.layout.size == count
    assert f"{count:,} parameters, {count * 4 / 1e6:.2f} MB" in network.summary()


def test_summary_has_a_line_for_every_layer():
    network = models.cifar_cnn()
    lines = network.summary().splitlines()
    assert len(lines) == 2 + len(network.layers) + 1
    for name, shape, line in zip(network.names, network.shapes, lines[2:], strict=False):
        assert line.startswith(name)
        assert " x ".join(map(str, shape)) in line
    assert lines[2 + network.names.index("conv2")].split()[-3:] == ["102,464", f"{16 * 16 * 64 * 64 * 25:,}", "65,536"]
    assert lines[2 + network.names.index("dense1")].split()[-3:] == ["1,573,248", f"{4096 * 384:,}", "1,536"]
    assert lines[1].split() == ["input", *["3", "x", "32", "x", "32"], "12,288"]


def test_a_summary_sums_up_what_a_sample_takes():
    layers = [nn.Conv2D(4, 3, 2, groups=2), nn.Residual([nn.Conv2D(4, 1), nn.ReLU()]), nn.Flatten(), nn.Dense(5)]
    *lines, total = nn.Sequential(layers, (2, 6, 6)).summary().splitlines()
    products = 4 * 9 * 9 * 1, 4 * 9 * 4, 36 * 5
    assert [line.split()[-2] for line in lines if "conv" in line or "dense" in line] == [f"{n:,}" for n in products]
    assert next(line for line in lines if line.startswith("residual1")).split()[-2:] == [f"{products[1]:,}", "144"]
    num_bytes = 4 * (36 + 36 + 36 + 36 + 36 + 5)
    assert total.endswith(f"a sample: {sum(products):,} multiply-adds, {num_bytes:,} bytes of outputs")


def test_names_number_the_layers_of_a_kind():
    assert models.cifar_cnn().names == [
        *("conv1", "relu1", "pool1", "lrn1", "conv2", "relu2", "lrn2", "pool2"),
        *("flatten1", "dense1", "relu3", "dense2", "relu4", "dense3"),
    ]


@dataclass(frozen=True)
class Conv(Gains):
    """A user's class that is abbreviated as one of nnlite's."""


def test_names_are_never_shared():
    layers = [nn.Conv2D(2, 1), Conv(), nn.Conv2D(2, 1), nn.Flatten(), nn.Dense(3)]
    network = nn.Sequential(layers, (2, 3, 3))
    assert len(set(network.names)) == len(layers)
    rng = np.random.default_rng(0)
    check = nn.check_network(network, *batch_for(network, 2, rng), rng)
    assert check.relative_error < 1e-6, check


@pytest.mark.parametrize("name", small_models())
def test_shapes_say_what_comes_out(name):
    network, rng = small_models()[name], np.random.default_rng(0)
    x, _ = batch_for(network, 3, rng, np.float32)
    assert network.predict(network.init(rng), x).shape == (3, *network.output_shape)


def test_images_flatten_channel_first():
    """As PyTorch does: feature c * H * W + i * W + j."""
    network = nn.Sequential([nn.ReLU(), nn.Flatten()], (2, 3, 4))
    x = np.arange(48, dtype=np.float32).reshape(2, 2, 3, 4)
    assert np.array_equal(network.predict(network.empty(), x), x.reshape(2, 24))


@pytest.mark.parametrize("name", small_models())
def test_a_step_against_the_gradient_goes_down(name):
    """A little away from the beginning, where the ReLUs behind a residual block are at their kink."""
    network, rng = small_models()[name], np.random.default_rng(0)
    weights = network.init(rng) + 0.05 * rng.standard_normal(network.layout.size)
    x, y = batch_for(network, 16, rng)
    loss, gradient = gradient_of(network, weights, x, y, np.random.default_rng(1))
    step = 1e-5 / np.linalg.norm(gradient)
    lower, _ = gradient_of(network, weights - step * gradient, x, y, np.random.default_rng(1))
    assert loss - lower == pytest.approx(1e-5 * np.linalg.norm(gradient), rel=1e-3)


@pytest.mark.parametrize("name", small_models())
def test_a_network_can_learn_a_batch_by_heart(name):
    network, rng = small_models()[name], np.random.default_rng(0)
    weights, optimizer = network.init(rng), nn.Adam(0.01)
    x, y = batch_for(network, 16, rng, np.float32)
    slots = optimizer.slots(weights.size)
    for step in range(300):
        _, gradient = gradient_of(network, weights, x, y, rng)
        optimizer.update_inplace(weights, gradient, slots, step)
    assert network.evaluate(weights, x, y).accuracy == 1


def test_nothing_to_predict():
    network = small_models()["mlp"]
    assert network.predict(network.empty(), np.zeros((0, 1, 5, 4), np.float32)).shape == (0, 6)


def test_networks_without_layers_or_parameters():
    network = nn.Sequential([], (3,))
    x, y = np.eye(3, dtype=np.float32), np.arange(3)
    loss, gradient = gradient_of(network, network.empty(), x, y)
    assert loss == pytest.approx(np.log(np.e + 2) - 1)
    assert gradient.shape == (0,)
    assert network.evaluate(network.empty(), x, y).accuracy == 1


def test_repr_says_what_it_is():
    text = repr(small_models()["mlp"])
    assert "Dense(units=7" in text
    assert "(1, 5, 4)" in text
    assert "SoftmaxCrossEntropy" in text


def test_a_residual_network_begins_as_its_shortcuts():
    """Each block's body ends in a gain of zero; the gradient of that gain is not zero, so that it can grow."""
    network = models.resnet((3, 8, 8), 4, 14, 8)
    rng = np.random.default_rng(0)
    weights, gradient = network.init(rng), network.empty()
    x, y = batch_for(network, 5, rng, np.float32)
    network.loss_and_gradient(weights, x, y, out=gradient)
    w, g = network.layout.views(weights), network.layout.views(gradient)
    blocks = [name for name in network.names if name.startswith("residual")]
    assert len(blocks) == 6
    for block in blocks:
        assert not w[f"{block}/groupnorm2/gain"].any()
        assert g[f"{block}/groupnorm2/gain"].any()
        assert not g[f"{block}/conv1/weight"].any()
    assert [block for block in blocks if f"{block}/shortcut/conv1/weight" in w] == ["residual3", "residual5"]


@pytest.mark.parametrize("depth", [2, 9, 16])
def test_depths_that_a_residual_network_cannot_have(depth):
    with pytest.raises(StructureError, match=f"resnet: depth {depth}; wanted 8, 14, 20 or another 6 n"):
        models.resnet(depth=depth)


@pytest.mark.parametrize("name", ["linear", "svm", "lenet", "vgg11", "resnet", "mobilenet"])
def test_well_known_networks_learn(name):
    """Twenty steps on one batch, with weight decay and a warm-up."""
    network, rng = small_models()[name], np.random.default_rng(0)
    weights, gradient = network.init(rng), network.empty()
    x, y = batch_for(network, 12, rng, np.float32)
    optimizer = nn.Adam(nn.Warmup(nn.Cosine(0.02, 40), 3), weight_decay=0.01, clip_norm=5.0)
    slots, losses = optimizer.slots(weights.size), []
    for step in range(20):
        losses.append(network.loss_and_gradient(weights, x, y, out=gradient))
        optimizer.step_inplace(weights, gradient, slots, step, network.layout)
    assert losses[-1] < 0.7 * losses[0]
    assert network.evaluate(weights, x, y).accuracy > 0.5
