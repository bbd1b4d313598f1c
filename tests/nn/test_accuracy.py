"""float32 gradients are within 1e-5 of float64, by the plain algorithms, whatever the sizes.

A layer is held to it on its own, with the same x and dy for both. Whole networks have kinks: where a number lies
within rounding error of zero before a ReLU, or of its neighbour before a pooling, float32 may decide otherwise
than float64, and both are right. So those are tested on examples without such a place.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlite import nn
from nnlite.nn import models
from nnlite.nn.layer import Workspace

TOLERANCE = 1e-5  # relative, in the L2 norm of a tensor

laws = settings(deadline=None, derandomize=True, database=None, max_examples=40)


def difference(a, b):
    size = np.linalg.norm(b)
    return np.linalg.norm(a - b) / size if size else np.linalg.norm(a)


def passage(layer, x, dy, parameters, dtype):
    """(y, dx, gradients) of one layer."""
    ws = Workspace(dtype, {})
    p = {name: tensor.astype(dtype) for name, tensor in parameters.items()}
    g = {name: np.full_like(tensor, np.nan) for name, tensor in p.items()}
    x = x.astype(dtype)
    y = layer.forward(p, x, ws)
    dx = layer.backward(p, g, x, y, dy.astype(dtype), ws)
    return {"y": y, "dx": dx, **g}


def check(layer, height, width, n, channels, scale, seed, whole_numbers=False):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((height, width, n, channels)).astype(np.float32)
    if whole_numbers:  # many are equal
        x = np.round(x)
    parameters = {
        name: (scale * rng.standard_normal(p.shape)).astype(np.float32)
        for name, p in layer.parameters((channels, height, width)).items()
    }
    filters, rows, columns = layer.output_shape((channels, height, width))
    dy = rng.standard_normal((rows, columns, n, filters)).astype(np.float32)
    plain = dataclasses.replace(layer, algorithm="im2col") if isinstance(layer, nn.Conv2D) else layer
    found, expected = passage(layer, x, dy, parameters, np.float32), passage(plain, x, dy, parameters, np.float64)
    for name, tensor in expected.items():
        assert difference(found[name], tensor) < TOLERANCE, name


sizes, channels = st.integers(1, 21), st.integers(1, 70)
batches = st.integers(1, 101)
scales = st.sampled_from([0.05, 1.0])


def limit(n, height, width):
    """Fewer samples of large images, so that an example takes milliseconds."""
    return max(1, min(n, 2000 // (height * width)))


@laws
@given(height=sizes, width=sizes, n=batches, channels=channels, filters=channels, kernel=st.sampled_from([1, 3, 4, 5]),
       stride=st.integers(1, 2), scale=scales, seed=st.integers(0, 99))  # fmt: skip
def test_convolution(height, width, n, channels, filters, kernel, stride, scale, seed):
    layer = nn.Conv2D(filters, kernel, stride)
    check(layer, height, width, limit(n, height, width), channels, scale, seed)


@laws
@given(height=sizes, width=sizes, n=batches, channels=channels, kernel=st.integers(1, 4), stride=st.integers(1, 3),
       whole_numbers=st.booleans(), seed=st.integers(0, 99))  # fmt: skip
def test_pooling_with_and_without_ties(height, width, n, channels, kernel, stride, whole_numbers, seed):
    layer = nn.MaxPool2D(kernel, stride)
    check(layer, height, width, limit(n, height, width), channels, 1, seed, whole_numbers)


@laws
@given(height=sizes, width=sizes, n=batches, channels=channels, radius=st.integers(0, 6),
       alpha=st.sampled_from([0.001 / 9, 0.1]), seed=st.integers(0, 99))  # fmt: skip
def test_local_response_norm(height, width, n, channels, radius, alpha, seed):
    layer = nn.LocalResponseNorm(radius, alpha=alpha)
    check(layer, height, width, limit(n, height, width), channels, 1, seed)


# ---- whole networks


def kinks_are_far(layers, vector, x, network):
    """Whether no number before a ReLU is near zero, and no two before a pooling near each other, but equal."""
    for index, layer in enumerate(layers):
        if not isinstance(layer, (nn.ReLU, nn.MaxPool2D)):
            continue
        before = nn.Sequential([*layers[:index], nn.Flatten()], network.input_shape)
        z = before.predict(vector[: before.layout.size], x)
        near = 1e-5 * np.abs(z).mean()
        if isinstance(layer, nn.ReLU):
            if np.abs(z).min() < near:
                return False
            continue
        z = z.reshape(len(x), *network.shapes[index - 1])
        padded = np.pad(z, [(0, 0), (0, 0), (0, 1), (0, 1)], constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::2, ::2]
        two = np.sort(windows.reshape(-1, 9))[:, -2:]
        gaps = two[:, 1] - two[:, 0]
        if ((gaps > 0) & (gaps < near)).any():
            return False
    return True


def plain(network):
    layers = [dataclasses.replace(q, algorithm="im2col") if isinstance(q, nn.Conv2D) else q for q in network.layers]
    return nn.Sequential(layers, network.input_shape, network.loss)


@pytest.mark.parametrize("scale", [None, 1.0], ids=["initial weights", "weights of std 1"])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("shape", "num_samples"), [((3, 32, 32), 1), ((3, 17, 23), 2), ((1, 11, 9), 7)], ids=str)
def test_case_b(shape, num_samples, tied, scale):
    network = models.cifar_cnn(shape)
    reference = plain(network)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        vector = network.init(rng)
        if scale is not None:
            vector = (scale * rng.standard_normal(vector.size)).astype(np.float32)
        x = rng.random((num_samples, *shape), np.float32)
        if tied:
            x[:, :, : shape[1] // 2] = 1
        if kinks_are_far(reference.layers[:8], vector.astype(np.float64), x.astype(np.float64), reference):
            break
    else:
        pytest.fail("no example without a kink: make it smaller")
    y = rng.integers(0, 10, num_samples)
    gradient, expected = network.empty(), np.empty(vector.size)
    network.loss_and_gradient(vector, x, y, out=gradient)
    reference.loss_and_gradient(vector.astype(np.float64), x.astype(np.float64), y, out=expected)
    for name, part in network.layout.slices.items():
        assert difference(gradient[part], expected[part]) < TOLERANCE, name


@pytest.mark.parametrize("num_samples", [1, 2, 11, 37, 100, 101])
def test_blocks_add_up(num_samples):
    """The gradient of a batch is the mean of those of its samples, whatever the blocks; smooth, so without kinks."""
    layers = [nn.Conv2D(16, 5), nn.Tanh(), nn.LocalResponseNorm(), nn.Conv2D(20, 3), nn.Flatten(), nn.Dense(5)]
    network = nn.Sequential(layers, (3, 24, 21))
    rng = np.random.default_rng(num_samples)
    vector = network.init(rng)
    x, y = rng.standard_normal((num_samples, 3, 24, 21)).astype(np.float32), rng.integers(0, 5, num_samples)
    gradient, expected = network.empty(), np.empty(vector.size)
    network.loss_and_gradient(vector, x, y, out=gradient)
    plain(network).loss_and_gradient(vector.astype(np.float64), x.astype(np.float64), y, out=expected)
    for name, part in network.layout.slices.items():
        assert difference(gradient[part], expected[part]) < TOLERANCE, name
    for threads in (2, 3):
        threaded = nn.Sequential(layers, (3, 24, 21), threads=threads)
        first, second = network.empty(), network.empty()
        for out in (first, second):
            threaded.loss_and_gradient(vector, x, y, out=out)
        assert np.array_equal(first, second)
        assert difference(first, expected) < TOLERANCE
        np.testing.assert_allclose(threaded.predict(vector, x), network.predict(vector, x), rtol=1e-5, atol=1e-5)


def test_dropout_on_images_with_threads():
    """One generator for all threads: the same draws every time, and a backward that uses the same mask."""
    layers = [nn.Conv2D(4, 3), nn.Dropout(0.5), nn.Tanh(), nn.Flatten(), nn.Dense(3)]
    network = nn.Sequential(layers, (2, 40, 40), threads=3)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 2, 40, 40)), rng.integers(0, 3, 50)
    assert nn.check_network(network, x, y, rng, num_entries=5).relative_error < 1e-6
    vector = network.init(rng)
    gradients = [network.empty(), network.empty()]
    for gradient in gradients:
        network.loss_and_gradient(vector, x.astype(np.float32), y, out=gradient, rng=np.random.default_rng(5))
    assert np.array_equal(*gradients)
