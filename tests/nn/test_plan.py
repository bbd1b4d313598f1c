"""Steps in another order, the same numbers."""

import numpy as np
import pytest

from nnlite import nn
from nnlite.nn.engine.order import plan


def names(layers, shape):
    shapes = [shape]
    for layer in layers[:-1]:
        shapes.append(layer.output_shape(shapes[-1]))
    return [type(step.layer).__name__ for step in plan(layers, shapes)]


def test_the_pool_goes_before_bias_and_relu():
    layers = [nn.Conv2D(4, 3), nn.ReLU(), nn.MaxPool2D(3, 2)]
    assert names(layers, (3, 9, 9)) == ["Rowwise", "MaxPool2D", "ChannelBias", "ReLU"]


def test_columns_are_sorted_for_the_pool():
    layers = [nn.Conv2D(4, 3), nn.ReLU(), nn.MaxPool2D(3, 2)]
    assert names(layers, (3, 9, 8)) == ["Rowwise", "MaxPoolOfSortedColumns", "ChannelBias", "ReLU"]
    layers = [nn.Conv2D(4, 3), nn.LocalResponseNorm(), nn.MaxPool2D(3, 2)]
    assert names(layers, (3, 9, 8)) == ["Rowwise", "ChannelBias", "LocalResponseNorm", "MaxPool2D"]


def test_the_pool_stays_behind_what_looks_at_neighbours():
    layers = [nn.Conv2D(4, 3), nn.LocalResponseNorm(), nn.ReLU(), nn.MaxPool2D(2, 2)]
    assert names(layers, (3, 9, 9)) == ["Rowwise", "ChannelBias", "LocalResponseNorm", "MaxPool2D", "ReLU"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("width", [7, 8, 9])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (2, 2), (3, 3), (2, 3), (5, 2)])
def test_the_plan_changes_no_bit(dtype, tied, width, kernel, stride):
    """The network as planned, against its layers called one by one as written."""
    layers = [nn.Conv2D(4, 3), nn.ReLU(), nn.MaxPool2D(kernel, stride), nn.Flatten()]
    network = nn.Sequential(layers, (3, 9, width), nn.HalfSquaredError())
    rows, columns = network.shapes[2][1:]
    rng = np.random.default_rng(0)
    vector = network.init(rng).astype(dtype)
    vector[-4:] = 0.125, -0.25, 0.5, 0  # the bias
    x = rng.standard_normal((3, 3, 9, width)).astype(dtype)
    if tied:  # sums of small whole numbers are exact, so equal ones are equal whatever their order
        x, vector[:-4] = np.round(x), np.round(8 * vector[:-4]) / 8
    targets = rng.standard_normal((3, 4 * rows * columns)).astype(dtype)
    gradient = np.zeros_like(vector)
    network.loss_and_gradient(vector, x, targets, out=gradient)

    p = {key.split("/")[1]: view for key, view in network.layout.views(vector).items()}
    g = {key: np.zeros_like(view) for key, view in p.items()}
    workspaces = [nn.Workspace(dtype, {}) for _ in range(3)]
    activations = [np.ascontiguousarray(x.transpose(2, 3, 0, 1))]
    for layer, ws in zip(layers, workspaces, strict=False):
        activations.append(layer.forward(p, activations[-1], ws))
    outputs = activations[-1].transpose(2, 3, 0, 1).reshape(3, -1)
    assert np.array_equal(outputs, network.predict(vector, x))

    dy = ((outputs - targets) * dtype(1 / 3)).reshape(3, 4, rows, columns).transpose(2, 3, 0, 1).copy()
    for index in (2, 1, 0):
        dy = layers[index].backward(p, g, activations[index], activations[index + 1], dy, workspaces[index])
    expected = np.concatenate([g["weight"].ravel(), g["bias"]])
    np.testing.assert_allclose(gradient, expected, rtol=2e-5 if dtype is np.float32 else 1e-12, atol=1e-6)
