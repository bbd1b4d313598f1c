"""Initial weights: their spread, their source, and nothing else."""

from math import sqrt

import numpy as np
import pytest

from nnlite import nn
from tests.nn.helpers import small_models

FAN_IN, FAN_OUT = 50, 150
STANDARD_DEVIATIONS = [
    (nn.He(), sqrt(2 / FAN_IN)),
    (nn.Glorot(), sqrt(2 / (FAN_IN + FAN_OUT))),
    (nn.Normal(0.3), 0.3),
    (nn.Constant(0.7), 0.0),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("initializer", "std"), STANDARD_DEVIATIONS, ids=str)
def test_mean_and_standard_deviation(initializer, std, dtype):
    out = np.full((200, 500), np.nan, dtype)
    initializer.fill_inplace(out, np.random.default_rng(0), FAN_IN, FAN_OUT)
    mean = 0.7 if isinstance(initializer, nn.Constant) else 0.0
    assert out.std() == pytest.approx(std, rel=0.02, abs=1e-6)
    assert out.mean() == pytest.approx(mean, abs=5 * std / sqrt(out.size) + 1e-6)


@pytest.mark.parametrize(
    ("layer", "shape", "passed"),
    [
        (nn.Conv2D(3, 3, weight=nn.Dirac()), (3, 4, 5), 3),
        (nn.Conv2D(3, 4, weight=nn.Dirac()), (3, 4, 5), 3),
        (nn.Conv2D(5, 1, weight=nn.Dirac()), (3, 4, 5), 3),
        (nn.Conv2D(2, 5, weight=nn.Dirac()), (3, 4, 5), 2),
        (nn.Conv2D(4, 3, weight=nn.Dirac(), groups=4), (4, 4, 5), 4),
        (nn.Conv2D(4, 3, weight=nn.Dirac(), groups=2), (4, 4, 5), 4),
        (nn.Dense(6, nn.Dirac()), (4,), 4),
    ],
    ids=str,
)
def test_dirac_passes_its_input_on(layer, shape, passed):
    network, rng = nn.Sequential([layer, nn.Flatten()], shape), np.random.default_rng(0)
    x = rng.standard_normal((3, *shape)).astype(np.float32)
    y = network.predict(network.init(rng), x).reshape(3, *layer.output_shape(shape))
    np.testing.assert_allclose(y[:, :passed], x[:, :passed], atol=1e-6)
    assert not y[:, passed:].any()


def fans(layer, shape):
    network = nn.Sequential([layer, nn.Flatten()], shape)
    weights = network.layout.views(network.init(np.random.default_rng(0)))
    return weights[f"{network.names[0]}/weight"].std()


def test_fans_count_what_one_output_and_one_input_meet():
    assert fans(nn.Dense(300, nn.He()), (200,)) == pytest.approx(sqrt(2 / 200), rel=0.02)
    assert fans(nn.Dense(300, nn.Glorot()), (200,)) == pytest.approx(sqrt(2 / 500), rel=0.02)
    assert fans(nn.Conv2D(64, 5, weight=nn.He()), (32, 5, 5)) == pytest.approx(sqrt(2 / (25 * 32)), rel=0.02)
    conv = nn.Conv2D(64, 5, weight=nn.Glorot())
    assert fans(conv, (32, 5, 5)) == pytest.approx(sqrt(2 / (25 * 32 + 25 * 64)), rel=0.02)


def test_activations_keep_their_size_through_ten_layers_of_he_and_relu():
    layers = [layer for _ in range(10) for layer in (nn.Dense(400), nn.ReLU())]
    network = nn.Sequential([*layers, nn.Dense(400)], (400,))
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50, 400)).astype(np.float32)
    size = np.mean(np.square(network.predict(network.init(rng), x)))
    assert 1 < size < 4  # He keeps E[y²] = 2 E[relu²] * 2 / 2; it would be 2^-10 or 2^10 otherwise


@pytest.mark.parametrize("name", small_models())
def test_weights_are_a_function_of_the_generator(name):
    network = small_models()[name]
    one, same, other = (network.init(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert np.array_equal(one, other) == (name in ("linear", "svm"))  # which begin at zero
    assert one.dtype == np.float32
    assert one is not same


def test_tensors_start_differently_and_biases_where_they_are_told():
    network = small_models()["cifar_cnn"]
    views = network.layout.views(network.init(np.random.default_rng(0)))
    assert np.all(views["conv1/bias"] == 0)
    assert np.all(views["conv2/bias"] == np.float32(0.1))
    assert np.all(views["dense3/bias"] == 0)
    assert not np.array_equal(views["conv1/weight"].ravel()[:50], views["conv2/weight"].ravel()[:50])
