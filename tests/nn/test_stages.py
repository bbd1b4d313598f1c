"""How a batch is cut changes nothing: blocks of images, halves of a batch, parts of a data set."""

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlite import nn
from nnlite.nn import models
from nnlite.nn.engine import stages
from nnlite.nn.layer import Layer
from nnlite.nn.network import PREDICT_BATCH
from tests.nn.helpers import PassOn, batch_for, difference, gradient_of, laws, networks, seeds, small_models

EXACT = 1e-11


def with_blocks_of(monkeypatch, num_images, network, dtype=np.float64):
    """The same network, fresh, that works on `num_images` images at a time."""
    largest = max(prod(shape) for shape in (network.input_shape, *network.shapes))
    monkeypatch.setattr(stages, "BLOCK_BYTES", num_images * largest * np.dtype(dtype).itemsize)
    return nn.Sequential.from_config(network.config())


@dataclass(frozen=True)
class CountSamples(Layer):
    """Identity that remembers how many images came at a time."""

    sizes: ClassVar[list[int]] = []

    def forward(self, p, x, ws):
        CountSamples.sizes.append(x.shape[2])
        y = ws.output(x.shape)
        y[...] = x
        return y

    def backward(self, p, g, x, y, dy, ws):
        return dy


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_blocks_are_cut_as_this_file_believes(monkeypatch, size):
    network = nn.Sequential([CountSamples(), nn.Flatten(), nn.Dense(2)], (1, 3, 3))
    network = with_blocks_of(monkeypatch, size, network)
    CountSamples.sizes.clear()
    x, y = batch_for(network, 7, np.random.default_rng(0))
    gradient_of(network, network.init(np.random.default_rng(0)).astype(float), x, y)
    assert sum(CountSamples.sizes) == 7
    assert max(CountSamples.sizes) == min(size, 7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("num_images", [1, 2, 3, 6, 7, 20])
def test_blocks_do_not_change_a_gradient(monkeypatch, num_images, dtype):
    whole = models.cifar_cnn((3, 11, 10), 4)
    rng = np.random.default_rng(0)
    weights = whole.init(rng).astype(dtype)
    x, y = batch_for(whole, 7, rng, dtype)
    cut = with_blocks_of(monkeypatch, num_images, whole, dtype)
    cut_loss, cut_gradient = gradient_of(cut, weights, x, y)
    monkeypatch.undo()
    loss, gradient = gradient_of(whole, weights, x, y)
    tolerance = 1e-5 if dtype == np.float32 else EXACT
    assert cut_loss == pytest.approx(loss, rel=tolerance)
    assert difference(cut_gradient, gradient) < tolerance
    assert difference(cut.predict(weights, x), whole.predict(weights, x)) < tolerance


@laws
@given(networks(), st.integers(1, 4), st.integers(1, 9), seeds)
def test_blocks_change_no_network(network, num_images, num_samples, seed):
    rng = np.random.default_rng(seed)
    weights = network.init(rng).astype(np.float64)
    x, y = batch_for(network, num_samples, rng)
    with pytest.MonkeyPatch.context() as patch:
        cut = gradient_of(with_blocks_of(patch, num_images, network), weights, x, y)
    whole = gradient_of(network, weights, x, y)
    assert cut[0] == pytest.approx(whole[0], rel=EXACT)
    assert difference(cut[1], whole[1]) < EXACT, network.summary()


@laws
@given(networks(dropout=True), st.integers(1, 4), seeds)
def test_arguments_stay_as_they_are(network, num_samples, seed):
    """Neither the samples nor the weights belong to the network, even if the first layers work in place."""
    rng = np.random.default_rng(seed)
    weights = network.init(rng).astype(np.float64)
    x, y = batch_for(network, num_samples, rng)
    before = weights.copy(), x.copy(), y.copy()
    network.predict(weights, x)
    network.evaluate(weights, x, y)
    gradient_of(network, weights, x, y, rng)
    for now, then in zip((weights, x, y), before, strict=True):
        assert np.array_equal(now, then), network.summary()


@laws
@given(networks(), st.integers(1, 6), seeds)
def test_repeating_a_step_repeats_its_bits(network, num_samples, seed):
    """Memory is used again, also after other batch sizes and after predicting; nothing of it leaks."""
    rng = np.random.default_rng(seed)
    weights = network.init(rng).astype(np.float64)
    x, y = batch_for(network, num_samples, rng)
    first_loss, first = gradient_of(network, weights, x, y)
    for size in range(1, 7):
        gradient_of(network, weights, *batch_for(network, size, rng))
        network.predict(weights, batch_for(network, size, rng)[0])
    loss, gradient = gradient_of(network, weights, x, y)
    assert loss == first_loss
    assert np.array_equal(gradient, first)


@pytest.mark.parametrize("name", small_models())
def test_the_gradient_of_a_batch_is_the_mean_of_its_halves(name):
    network, rng = small_models()[name], np.random.default_rng(1)
    if network.is_random:
        network = models.emnist_mlp((1, 4, 4), 5, 8, dropout_rate=0.0)
    weights = network.init(rng).astype(np.float64)
    x, y = batch_for(network, 8, rng)
    loss, gradient = gradient_of(network, weights, x, y, rng)
    halves = [gradient_of(network, weights, x[part], y[part], rng) for part in (slice(0, 4), slice(4, 8))]
    assert loss == pytest.approx(np.mean([half[0] for half in halves]), rel=EXACT)
    assert difference(gradient, np.mean([half[1] for half in halves], axis=0)) < EXACT


@laws
@given(networks(), st.integers(1, 9), st.integers(0, 8), seeds)
def test_the_order_of_samples_does_not_matter(network, num_samples, shift, seed):
    rng = np.random.default_rng(seed)
    weights = network.init(rng).astype(np.float64)
    x, y = batch_for(network, num_samples, rng)
    loss, gradient = gradient_of(network, weights, x, y)
    rolled = gradient_of(network, weights, np.roll(x, shift, 0), np.roll(y, shift))
    assert rolled[0] == pytest.approx(loss, rel=EXACT)
    assert difference(rolled[1], gradient) < EXACT


@pytest.mark.parametrize("name", small_models())
def test_evaluations_of_parts_add_up(name):
    network, rng = small_models()[name], np.random.default_rng(2)
    weights = network.init(rng)
    x, y = batch_for(network, 2 * PREDICT_BATCH + 17, rng, np.float32)
    whole = network.evaluate(weights, x, y)
    cuts = [0, 1, 100, PREDICT_BATCH + 50, len(x)]
    parts = [network.evaluate(weights, x[a:b], y[a:b]) for a, b in pairwise(cuts)]
    total = sum(parts[1:], parts[0])
    assert total.count == whole.count == len(x)
    assert total.num_correct == whole.num_correct
    assert total.loss_sum == pytest.approx(whole.loss_sum, rel=1e-5)
    assert whole.accuracy == whole.num_correct / len(x)
    assert whole.loss == pytest.approx(whole.loss_sum / len(x))


@pytest.mark.parametrize("name", small_models())
def test_predicting_one_by_one_is_predicting_at_once(name):
    network, rng = small_models()[name], np.random.default_rng(3)
    weights = network.init(rng)
    x, y = batch_for(network, PREDICT_BATCH + 9, rng, np.float32)
    at_once = network.predict(weights, x)
    assert at_once.shape == (len(x), *network.output_shape)
    assert at_once.dtype == np.float32
    for sample in (0, 1, PREDICT_BATCH - 1, PREDICT_BATCH, len(x) - 1):
        alone = network.predict(weights, x[sample : sample + 1])[0]
        np.testing.assert_allclose(alone, at_once[sample], rtol=1e-4, atol=1e-6)
    hits = network.loss.num_correct(np.ascontiguousarray(at_once.T), y)
    assert network.evaluate(weights, x, y).num_correct == hits


@laws
@given(networks(), st.integers(1, 6), seeds)
def test_training_and_predicting_see_the_same_loss(network, num_samples, seed):
    rng = np.random.default_rng(seed)
    weights = network.init(rng).astype(np.float64)
    x, y = batch_for(network, num_samples, rng)
    loss, _ = gradient_of(network, weights, x, y)
    assert network.evaluate(weights, x, y).loss == pytest.approx(loss, rel=EXACT)


def test_strided_and_readonly_samples(tmp_path):
    """Samples may be a view, or a file mapped into memory."""
    network, rng = small_models()["cifar_cnn"], np.random.default_rng(4)
    weights = network.init(rng)
    x, y = batch_for(network, 6, rng, np.float32)
    wanted = gradient_of(network, weights, x[::2], y[::2])[1]
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert np.array_equal(gradient_of(network, weights, mapped[::2], y[::2])[1], wanted)
    turned = np.ascontiguousarray(x.transpose(1, 2, 3, 0)).transpose(3, 0, 1, 2)[::2]
    assert np.array_equal(gradient_of(network, weights, turned, y[::2])[1], wanted)


def test_two_gradients_with_one_network():
    """Alternating between weight vectors and gradient vectors mixes nothing up."""
    network, rng = small_models()["cifar_cnn"], np.random.default_rng(5)
    vectors = [network.init(rng) for _ in range(3)]
    x, y = batch_for(network, 4, rng, np.float32)
    wanted = [gradient_of(network, vector, x, y)[1] for vector in vectors]
    out = [network.empty(), network.empty()]
    for turn in (0, 1, 2, 0, 2, 1):
        network.loss_and_gradient(vectors[turn], x, y, out=out[turn % 2])
        assert np.array_equal(out[turn % 2], wanted[turn])
    copied = vectors[0].copy()
    copied[:] = vectors[1]  # the same array with other contents
    assert np.array_equal(gradient_of(network, copied, x, y)[1], wanted[1])


def test_memory_that_a_layer_passes_on_is_kept_for_the_next(monkeypatch):
    """PassOn's output is the first convolution's memory, and the second one's backward reads it."""
    layers = [nn.Conv2D(3, 3), PassOn(), nn.Conv2D(2, 3), nn.Flatten(), nn.Dense(3)]
    network = with_blocks_of(monkeypatch, 2, nn.Sequential(layers, (2, 5, 5)))
    rng = np.random.default_rng(7)
    check = nn.check_network(network, *batch_for(network, 5, rng), rng)
    assert check.relative_error < 1e-6, check


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.Tanh(), nn.MaxPool2D(2, 2), nn.LocalResponseNorm()], ids=str)
def test_an_image_stage_that_learns_nothing(layer):
    network, rng = nn.Sequential([layer, nn.Flatten(), nn.Dense(3)], (2, 5, 5)), np.random.default_rng(6)
    check = nn.check_network(network, *batch_for(network, 4, rng), rng)
    assert check.relative_error < 1e-6, check


@dataclass(frozen=True)
class Spoil(nn.Layer):
    """Passes on, and leaves nothing of the gradient that it is given, as it may."""

    needs_input: ClassVar[bool] = False
    needs_output: ClassVar[bool] = False

    def forward(self, p, x, ws):
        y = ws.output(x.shape)
        np.copyto(y, x)
        return y

    def backward(self, p, g, x, y, dy, ws):
        dx = dy.copy()
        dy[...] = 7
        return dx


@pytest.mark.parametrize(
    "layer",
    [
        *(nn.Conv2D(4, 1, 2), nn.Conv2D(4, 3, 2, algorithm="im2col"), nn.Conv2D(4, 3, 2, algorithm="rowwise")),
        *(nn.Conv2D(4, 3, algorithm="winograd"), nn.Conv2D(4, 3, 2, groups=4), nn.Conv2D(4, 3, 2, groups=2)),
        *(nn.MaxPool2D(2, 3), nn.AveragePool2D(2, 3), nn.GlobalAveragePool2D(), nn.GroupNorm(2), nn.ReLU(), nn.ELU()),
        *(nn.LocalResponseNorm(), nn.Residual(nn.Conv2D(4, 1)), nn.Residual([nn.Conv2D(4, 3, 2)], nn.Conv2D(4, 1, 2))),
    ],
    ids=str,
)
def test_memory_that_was_written_over_does_not_come_back(layer):
    """The gradient that a layer returns belongs to the one before it, which may write over it: what should be zero in
    it must be so at every step, not only at the first."""
    network = nn.Sequential([nn.Conv2D(4, 3), Spoil(), layer, nn.Flatten(), nn.Dense(3)], (2, 7, 6))
    rng = np.random.default_rng(8)
    vector, (x, y) = network.init(rng).astype(np.float64), batch_for(network, 3, rng)
    first, *later = (gradient_of(network, vector, x, y)[1] for _ in range(3))
    for gradient in later:
        assert np.array_equal(gradient, first)
