"""Promises of layers of one's own: those that are not kept are found, and those of a base class end where it does."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from nnlite import nn
from nnlite.errors import StructureError
from nnlite.nn.engine.stages import ImageStage
from tests.nn.helpers import batch_for


def over_samples(x):
    return x.mean(axis=(0, 1, 2) if x.ndim == 4 else 1, keepdims=x.ndim == 2)


@dataclass(frozen=True)
class Centered(nn.Layer):
    """As a batch normalization: what is subtracted is the mean over the batch, while training."""

    needs_input: ClassVar[bool] = False
    needs_output: ClassVar[bool] = False
    seen: ClassVar[list[tuple[int, ...]]] = []

    def forward(self, p, x, ws):
        self.seen.append(x.shape)
        return np.subtract(x, over_samples(x) if ws.training else 0, out=ws.output(x.shape))

    def backward(self, p, g, x, y, dy, ws):
        return dy - over_samples(dy)


@dataclass(frozen=True)
class DeclaredCentered(Centered):
    """The same, and says so."""

    whole_batch: ClassVar[bool] = True


@dataclass(frozen=True)
class AlwaysCentered(DeclaredCentered):
    """Also while predicting."""

    def forward(self, p, x, ws):
        return np.subtract(x, over_samples(x), out=ws.output(x.shape))


@dataclass(frozen=True)
class Overwriting(nn.Layer):
    """Puts its output where its input was, and does not say so."""

    def forward(self, p, x, ws):
        return np.negative(x, out=x)

    def backward(self, p, g, x, y, dy, ws):
        return -dy


@dataclass(frozen=True)
class Passing(nn.Layer):
    """Does nothing while predicting, as a Dropout."""

    def forward(self, p, x, ws):
        return np.multiply(x, 2, out=ws.output(x.shape)) if ws.training else x

    def backward(self, p, g, x, y, dy, ws):
        return 2 * dy


SHAPES = [(4,), (4, 3, 2)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Centered(), r"Centered mixes samples: its output changes by [1-9]\.\de-01 when .* declare whole_batch = True"),
        (AlwaysCentered(), "AlwaysCentered mixes samples: .* while predicting; .* must not depend on the others"),
        (Overwriting(), r"Overwriting\.forward writes over its input"),
        (Passing(), r"Passing\.forward returns its input, or a view of it: declare may_return_input = True"),
    ],
)
def test_a_promise_that_is_not_kept_is_one_line_of_the_check(layer, words, shape):
    with pytest.raises(StructureError, match=words) as error:
        nn.check_layer(layer, shape, np.random.default_rng(0))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_layer_that_says_that_it_mixes_passes(shape):
    assert nn.check_layer(DeclaredCentered(), shape, np.random.default_rng(0)).relative_error < 1e-8


@pytest.mark.parametrize("layer", [nn.Flatten(), nn.Dropout(0.5), nn.ReLU(), nn.Conv2D(2, 3), nn.LocalResponseNorm()])
def test_nnlite_s_own_layers_keep_theirs(layer):
    nn.check_layer(layer, (3, 4, 4), np.random.default_rng(0))


def test_a_layer_that_needs_the_whole_batch_is_refused_among_layers_on_images():
    with pytest.raises(
        StructureError, match=r"layer declaredcentered1: .* block by block: put it behind Flatten"
    ) as error:
        nn.Sequential([nn.Conv2D(2, 3), DeclaredCentered(), nn.Flatten(), nn.Dense(3)], (1, 6, 6))
    assert "\n" not in str(error.value)
    with pytest.raises(StructureError, match="whole batch"):
        nn.Sequential([DeclaredCentered()], (1, 6, 6))


def test_behind_flatten_it_is_given_the_whole_batch():
    """Images come in blocks of 55 and 45; what is behind Flatten sees all 100."""
    network = nn.Sequential([nn.Conv2D(8, 3), nn.Flatten(), DeclaredCentered(), nn.Dense(3)], (1, 40, 40))
    stage = network._execution(np.dtype(np.float32)).images
    assert isinstance(stage, ImageStage)
    assert stage.block_size < 100
    x, y = np.random.default_rng(0).random((100, 1, 40, 40), np.float32), np.arange(100) % 3
    DeclaredCentered.seen.clear()
    network.loss_and_gradient(network.init(np.random.default_rng(0)), x, y, out=network.empty())
    assert DeclaredCentered.seen == [(8 * 40 * 40, 100)]


# ---- a class that computes something else than its base does not inherit what that promised


@dataclass(frozen=True)
class Absolute(nn.Layer):
    """y = |x|, written from nothing."""

    def forward(self, p, x, ws):
        return np.abs(x, out=ws.output(x.shape))

    def backward(self, p, g, x, y, dy, ws):
        return dy * np.sign(x)


@dataclass(frozen=True)
class AbsoluteOfReLU(nn.ReLU):
    """The same from a ReLU: it reads x, turns orders round, and a maximum behind it may not move before it."""

    def forward(self, p, x, ws):
        return np.abs(x, out=ws.output(x.shape))

    def backward(self, p, g, x, y, dy, ws):
        return dy * np.sign(x)


@dataclass(frozen=True)
class Mean(nn.Layer):
    """The mean of every 2 x 2 pixels, written from nothing."""

    def output_shape(self, shape):
        return (shape[0], shape[1] // 2, shape[2] // 2)

    def forward(self, p, x, ws):
        y = ws.output((x.shape[0] // 2, x.shape[1] // 2, *x.shape[2:]))
        np.copyto(y, (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4)
        return y

    def backward(self, p, g, x, y, dy, ws):
        return np.repeat(np.repeat(dy / 4, 2, axis=0), 2, axis=1)


@dataclass(frozen=True)
class MeanOfMaxPool(nn.MaxPool2D):
    """The same from a pooling: it takes no maximum."""

    output_shape = Mean.output_shape
    forward = Mean.forward
    backward = Mean.backward


@dataclass(frozen=True)
class DoubledConv(nn.Conv2D):
    """Twice a convolution, whose steps are not what it computes."""

    def forward(self, p, x, ws):
        return 2 * super().forward(p, x, ws)

    def backward(self, p, g, x, y, dy, ws):
        return super().backward(p, g, x, y, 2 * dy, ws)


@dataclass(frozen=True)
class Twice(nn.Layer):
    """y = 2 x"""

    def forward(self, p, x, ws):
        return np.multiply(x, 2, out=ws.output(x.shape))

    def backward(self, p, g, x, y, dy, ws):
        return 2 * dy


CONV = nn.Conv2D(3, 3)
PAIRS = {
    "of a ReLU, before a pooling": ([CONV, AbsoluteOfReLU()], [CONV, Absolute()]),
    "of a pooling, behind a ReLU": ([CONV, nn.ReLU(), MeanOfMaxPool(2, 2)], [CONV, nn.ReLU(), Mean()]),
    "of a pooling, behind a tanh": ([CONV, nn.Tanh(), MeanOfMaxPool(2, 2)], [CONV, nn.Tanh(), Mean()]),
    "of a convolution": ([DoubledConv(3, 3)], [CONV, Twice()]),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_a_subclass_computes_in_a_network_what_it_says(pair):
    """Whatever its base is, its forward and backward are called, where it stands."""
    derived, plain = (
        nn.Sequential([*layers, nn.MaxPool2D(2, 2), nn.ReLU(), nn.Flatten(), nn.Dense(3)], (2, 8, 8))
        for layers in PAIRS[pair]
    )
    rng = np.random.default_rng(0)
    weights = plain.init(rng).astype(np.float64)
    x, y = batch_for(plain, 5, rng)
    x = x.astype(np.float64) - 0.5
    gradients = [np.empty_like(weights) for _ in range(2)]
    losses = [n.loss_and_gradient(weights, x, y, out=g) for n, g in zip((derived, plain), gradients, strict=True)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)
    np.testing.assert_allclose(*gradients, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(derived.predict(weights, x), plain.predict(weights, x), rtol=1e-12)


def test_what_is_promised_anew_or_by_a_base_that_computes_nothing_is_kept():
    class Base(nn.Layer, described=False):
        needs_output = False

    class Mine(Base, described=False):
        def forward(self, p, x, ws):
            return x

    class Faster(nn.ReLU, described=False):
        increasing = True

        def forward(self, p, x, ws):
            return x

    class Renamed(nn.ReLU, described=False):
        """The same computation."""

    assert (Mine.needs_output, Mine.needs_input) == (False, True)
    assert (Faster.increasing, Faster.in_place, Faster.needs_input) == (True, False, True)
    assert (Renamed.increasing, Renamed.in_place, Renamed.needs_input) == (True, True, False)


def test_what_is_the_safer_one_is_inherited():
    class MyDropout(nn.Dropout, described=False):
        def forward(self, p, x, ws):
            return x

    assert (MyDropout.random, MyDropout.may_return_input, MyDropout.in_place) == (True, True, False)
