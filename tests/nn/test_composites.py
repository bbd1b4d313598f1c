"""Layers made of layers: what is inside a residual block is planned, remembered, named and described as outside."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from nnlite import nn, weights
from nnlite.errors import StructureError
from nnlite.nn.composite import Composite
from tests.nn.helpers import Passage, batch_for, difference, gradient_of, through, through_json
from tests.nn.warm import SMALL_BYTES, training_step, warm_peak_bytes

CONV = nn.Conv2D(4, 3)
BLOCKS = {
    "identity": (nn.Residual([CONV, nn.ReLU(), CONV]), (4, 5, 6)),
    "one layer": (nn.Residual(CONV), (4, 5, 6)),
    "stride": (nn.Residual([nn.Conv2D(3, 3, 2), nn.ReLU(), nn.Conv2D(3, 3)], nn.Conv2D(3, 1, 2)), (4, 5, 6)),
    "pooling": (nn.Residual([CONV, nn.ReLU(), nn.MaxPool2D(3, 2)], [nn.MaxPool2D(1, 2)]), (4, 7, 6)),
    "activation first": (nn.Residual([nn.ReLU(), CONV, nn.Tanh()]), (4, 5, 6)),
    "dropout alone": (nn.Residual(nn.Dropout(0.5)), (4, 3, 2)),
    "Winograd": (nn.Residual([nn.Conv2D(4, 3, algorithm="winograd")]), (4, 6, 5)),
    "nested": (nn.Residual([nn.Residual(CONV), nn.ReLU(), nn.Residual([CONV], CONV)], nn.Conv2D(4, 1)), (4, 5, 4)),
    "vectors": (nn.Residual([nn.Dense(5), nn.Tanh(), nn.Dropout(0.2), nn.Dense(7)], nn.Dense(7)), (6,)),
    "nested vectors": (nn.Residual([nn.Residual([nn.Dense(6)]), nn.ReLU()]), (6,)),
}
blocks = pytest.mark.parametrize("name", BLOCKS)
on_images = pytest.mark.parametrize("name", [name for name, (_, shape) in BLOCKS.items() if len(shape) == 3])


def network_with(name, *, threads=1):
    """The block among others, so that memory has neighbours to be shared with."""
    layer, shape = BLOCKS[name]
    if len(shape) == 1:
        layers = [nn.Dense(shape[0]), nn.Tanh(), layer, nn.ReLU(), nn.Dense(3)]
    else:
        layers = [nn.Conv2D(shape[0], 3), nn.ReLU(), layer, nn.ReLU(), layer, nn.Flatten(), nn.Dense(3)]
        if layer.output_shape(shape) != shape:
            del layers[4]
    return nn.Sequential(layers, shape, threads=threads)


@blocks
@pytest.mark.parametrize("num_samples", [1, 3])
def test_gradients(name, num_samples):
    layer, shape = BLOCKS[name]
    check = nn.check_layer(layer, shape, np.random.default_rng(0), num_samples)
    assert check.relative_error < 1e-6, check


@blocks
def test_gradients_in_a_network(name):
    network, rng = network_with(name), np.random.default_rng(1)
    check = nn.check_network(network, *batch_for(network, 5, rng), rng, num_entries=40)
    assert check.relative_error < 1e-6, check


@pytest.mark.parametrize("name", ["identity", "stride", "pooling", "activation first", "Winograd"])
def test_it_is_the_sum_of_its_rows(name):
    """Each row passed by itself: y = body + shortcut, dx = dx of the body + dx of the shortcut."""
    layer, shape = BLOCKS[name]
    rng = np.random.default_rng(2)
    p = {key: rng.standard_normal(one.shape) for key, one in layer.parameters(shape).items()}
    x, dy = rng.standard_normal((3, *shape)), rng.standard_normal((3, *layer.output_shape(shape)))
    block = through(layer, x, dy, **p)
    y, dx = np.zeros(dy.shape), np.zeros(x.shape)
    for row, inside in layer.architectures(shape).items():
        prefix = f"{row}/" if row else ""
        alone = _alone(inside, x, dy, p, prefix)
        y, dx = y + alone.y, dx + alone.dx
        for key, gradient in alone.gradients.items():
            assert difference(block.gradients[prefix + key], gradient) < 1e-12, key
    assert difference(block.y, y) < 1e-12
    assert difference(block.dx, dx) < 1e-12


def _alone(architecture, x, dy, p, prefix):
    """A row, layer by layer, each through a network of its own, there and back."""
    xs, own = [x], []
    for name, layer, parameters in zip(architecture.names, architecture.layers, architecture.parameters, strict=True):
        own.append({key: p[f"{prefix}{name}/{key}"] for key in parameters})
        xs.append(through(layer, xs[-1], **own[-1]).y)
    gradients = {}
    for index in reversed(range(len(architecture.layers))):
        passed = through(architecture.layers[index], xs[index], dy, **own[index])
        gradients |= {f"{architecture.names[index]}/{key}": g for key, g in passed.gradients.items()}
        dy = passed.dx
    return Passage(xs[-1], dy, gradients)


@blocks
def test_names_survive_json_and_files(name, tmp_path):
    network = network_with(name)
    rebuilt = nn.Sequential.from_config(through_json(network.config()))
    assert rebuilt.layers == network.layers
    assert list(rebuilt.layout.items()) == list(network.layout.items())
    vector = network.init(np.random.default_rng(0))
    weights.save(tmp_path / "w.safetensors", vector, network.layout)
    found = weights.load(tmp_path / "w.safetensors")
    assert np.array_equal(found.vector_in(network.layout, "the file", ""), vector)


def test_parameters_are_named_by_their_way():
    network = network_with("nested")
    assert [name for name in network.layout if name.startswith("residual1/") and name.endswith("weight")] == [
        "residual1/residual1/conv1/weight",
        "residual1/residual2/conv1/weight",
        "residual1/residual2/shortcut/conv1/weight",
        "residual1/shortcut/conv1/weight",
    ]
    assert "    shortcut/conv1" in network.summary()


def test_inside_steps_are_planned_as_outside():
    """A pooling goes before bias and ReLU, and a convolution with few channels sorts its columns for it."""
    layer = nn.Residual([nn.Conv2D(4, 3), nn.ReLU(), nn.MaxPool2D(3, 2)], nn.Conv2D(4, 1, 2))
    (step,) = layer.steps((3, 9, 8))
    assert step == layer
    assert [type(one.layer).__name__ for one in step._rows[""].steps] == [
        *("Rowwise", "MaxPoolOfSortedColumns", "ChannelBias", "ReLU"),
    ]


@on_images
def test_threads_and_blocks(name):
    """Two images a block, on two threads, give the gradient of one block."""
    rng = np.random.default_rng(3)
    whole, parts = network_with(name), network_with(name, threads=2)
    vector = whole.init(rng).astype(np.float64)
    x, y = batch_for(whole, 7, rng)
    if whole.is_random:  # masks are drawn block by block
        x[:] = 0
    wanted = gradient_of(whole, vector, x, y, np.random.default_rng(0))
    execution = parts._execution(np.dtype(np.float64))
    execution.images.block_size = 2
    found = gradient_of(parts, vector, x, y, np.random.default_rng(0))
    assert found[0] == pytest.approx(wanted[0], rel=1e-12)
    np.testing.assert_allclose(found[1], wanted[1], rtol=1e-9, atol=1e-13)


@on_images
def test_a_warm_step_makes_no_tensor(name):
    """The smallest activation has 24,000 bytes."""
    assert warm_peak_bytes(training_step(network_with(name), 250)) < SMALL_BYTES


def test_a_warm_step_on_vectors_makes_no_tensor():
    block = nn.Residual([nn.Dense(70), nn.Tanh(), nn.Dropout(0.2), nn.Dense(60)], nn.Residual(nn.Dense(60)))
    network = nn.Sequential([block, nn.ReLU(), nn.Residual([nn.ReLU(), nn.Dense(60)]), nn.Dense(30)], (60,))
    assert warm_peak_bytes(training_step(network, 200)) < SMALL_BYTES


# ---- a composite of one's own


@dataclass(frozen=True)
class Gated(Composite):
    """y = scale * first(x) * second(x), with a number of its own."""

    first: tuple[nn.Layer, ...]
    second: tuple[nn.Layer, ...]
    needs_output: ClassVar[bool] = False

    def inside(self):
        return {"first": self.first, "second": self.second}

    def output_shape(self, shape):
        return self.architectures(shape)["first"].output_shape

    def parameters(self, shape):
        return {"scale": nn.Parameter((1,), nn.Constant(1.5)), **super().parameters(shape)}

    def combine(self, p, x, ws):
        a = ws.inner("first").forward(x)
        b = ws.inner("second").forward(x)
        kept = ws.keep("product", a.shape), ws.keep("first", a.shape), ws.keep("second", a.shape)
        np.copyto(kept[1], a)
        np.copyto(kept[2], b)
        np.multiply(a, b, out=kept[0])
        return np.multiply(kept[0], p["scale"], out=ws.output(a.shape))

    def combine_backward(self, p, g, x, y, dy, ws):
        product, a, b = (ws.keep(name, dy.shape) for name in ("product", "first", "second"))
        g["scale"][0] = np.vdot(dy, product)
        dx = ws.inner("first").backward(dy * b * p["scale"])
        more = ws.inner("second").backward(dy * a * p["scale"])
        return dx + more if ws.input_gradient else None


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Gated((nn.Conv2D(4, 3), nn.Tanh()), (nn.Conv2D(4, 5), nn.ReLU())), (3, 5, 6)),
        (Gated((nn.Dense(4), nn.Tanh()), (nn.Residual(nn.Dense(6)), nn.Dense(4))), (6,)),
        (Gated((nn.Residual(nn.Conv2D(3, 3)),), (nn.Residual([nn.Conv2D(3, 3), nn.Tanh()]),)), (3, 5, 6)),
    ],
    ids=["images", "vectors", "nested"],
)
def test_a_composite_of_one_s_own(layer, shape):
    assert nn.check_layer(layer, shape, np.random.default_rng(0)).relative_error < 1e-6
    tail = [nn.Flatten(), nn.Dense(3)]
    network = nn.Sequential([nn.Residual([layer], [layer]), nn.ReLU(), *tail], shape)
    rng = np.random.default_rng(0)
    check = nn.check_network(network, *batch_for(network, 4, rng), rng)
    assert check.relative_error < 1e-6, check
    assert "residual1/gated1/scale" in network.layout


def test_a_subclass_with_another_combination_is_planned_by_its_own():
    class Difference(nn.Residual, described=False):
        def combine(self, p, x, ws):
            return np.subtract(ws.inner("").forward(x), ws.inner("shortcut").forward(x), out=ws.output(x.shape))

        def combine_backward(self, p, g, x, y, dy, ws):
            return ws.inner("").backward(dy.copy()) - ws.inner("shortcut").backward(dy)

    assert (Difference.needs_output, Difference.steps) == (True, Composite.steps)
    assert nn.check_layer(Difference(CONV), (4, 5, 5), np.random.default_rng(0)).relative_error < 1e-6


# ---- what cannot be


@dataclass(frozen=True)
class Mixing(nn.Layer):
    """Says that it needs the whole batch."""

    whole_batch: ClassVar[bool] = True

    def forward(self, p, x, ws):
        return x

    def backward(self, p, g, x, y, dy, ws):
        return dy


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Residual([]), "Residual: an empty body"),
        (lambda: nn.Residual(["conv"]), "Residual: 'conv' in its body; wanted layers"),
        (lambda: nn.Residual([CONV], [3]), "Residual: 3 in its shortcut; wanted layers"),
        (
            lambda: nn.Sequential([nn.Residual([nn.Conv2D(8, 3)])], (4, 5, 5)),
            r"layer residual1: Residual: the body makes \(8, 5, 5\) of .* the shortcut \(4, 5, 5\): give a shortcut=",
        ),
        (
            lambda: nn.Sequential([nn.Residual([nn.Residual([nn.Dense(3)])])], (4, 5, 5)),
            r"layer residual1: layer residual1: layer dense1: Dense wants a vector",
        ),
        (lambda: nn.Sequential([nn.Residual([nn.Flatten()])], (4, 5, 5)), "layer residual1: Flatten.. inside"),
        (lambda: nn.Sequential([nn.Residual([Mixing()])], (4, 5, 5)), "layer residual1: layer mixing1: .*whole batch"),
    ],
)
def test_what_does_not_fit_is_one_line(make, words):
    with pytest.raises(StructureError, match=words) as error:
        make()
    assert "\n" not in str(error.value)


def test_dropout_inside_wants_a_generator():
    network = network_with("dropout alone")
    x, y = batch_for(network, 2, np.random.default_rng(0), np.float32)
    assert network.is_random
    with pytest.raises(StructureError, match="rng="):
        network.loss_and_gradient(network.empty(), x, y, out=network.empty())
