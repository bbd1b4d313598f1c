"""What does not fit together is refused at the door, with what was wanted and what was found."""

from dataclasses import dataclass

import numpy as np
import pytest

from nnlite import nn
from nnlite.errors import NnliteError, StructureError
from nnlite.nn import models
from tests.nn.helpers import Gains

IMAGE = (3, 6, 5)


@dataclass(frozen=True)
class GlobalMean(Gains):
    """A user's layer that turns images into vectors on its own, which only Flatten may."""

    def output_shape(self, shape):
        return (shape[0],)


NETWORKS = [
    ([nn.Dense(3)], IMAGE, ["layer dense1", "Dense wants a vector", "(3, 6, 5)", "Flatten()"]),
    ([nn.ReLU(), nn.ReLU(), nn.Dense(3)], IMAGE, ["layer dense1", "(3, 6, 5)"]),
    ([nn.Conv2D(3, 3)], (5,), ["layer conv1", "Conv2D wants images (C, H, W)", "(5,)"]),
    ([nn.Flatten(), nn.Conv2D(3, 3)], IMAGE, ["layer conv1", "images", "(90,)"]),
    ([nn.MaxPool2D(3, 3)], (5,), ["layer pool1", "MaxPool2D wants images", "(5,)"]),
    ([nn.LocalResponseNorm()], (5,), ["layer lrn1", "LocalResponseNorm wants images", "(5,)"]),
    ([nn.AveragePool2D(3, 3)], (5,), ["AveragePool2D wants images", "(5,)"]),
    ([nn.AveragePool2D(7, 1, "valid")], IMAGE, ["AveragePool2D", "kernel of 7", "into 6"]),
    ([nn.GlobalAveragePool2D()], (5,), ["GlobalAveragePool2D wants images", "(5,)"]),
    ([nn.GroupNorm(1)], (5,), ["GroupNorm wants images", "(5,)", "LayerNorm()"]),
    ([nn.GroupNorm(2)], IMAGE, ["GroupNorm", "3 channels", "2 groups"]),
    ([nn.LayerNorm()], IMAGE, ["LayerNorm wants vectors", "(3, 6, 5)", "GroupNorm(1)"]),
    ([nn.Conv2D(3, 6, padding="valid")], IMAGE, ["Conv2D", "kernel of 6", "into 5"]),
    ([nn.MaxPool2D(7, 1, "valid")], IMAGE, ["MaxPool2D", "kernel of 7", "into 6"]),
    ([nn.Conv2D(3, 0)], IMAGE, ["Conv2D", "kernel 0", "at least 1"]),
    ([nn.Conv2D(3, 3, 0)], IMAGE, ["Conv2D", "stride 0", "at least 1"]),
    ([nn.Conv2D(3, -2)], IMAGE, ["Conv2D", "kernel -2", "at least 1"]),
    ([nn.MaxPool2D(2, -1)], IMAGE, ["MaxPool2D", "stride -1", "at least 1"]),
    ([nn.MaxPool2D(2, 2, "full")], IMAGE, ["MaxPool2D", "'full'", "same or valid"]),
    ([nn.Conv2D(0, 3)], IMAGE, ["Conv2D", "at least 1 filter", "got 0"]),
    ([nn.Conv2D(-4, 3)], IMAGE, ["Conv2D", "at least 1 filter", "got -4"]),
    ([nn.Conv2D(3, 3)], IMAGE, ["SoftmaxCrossEntropy", "(3, 6, 5)", "Flatten()"]),
    ([nn.Dense(3)], (-4,), ["input", "(-4,)", "positive"]),
    ([nn.Flatten(), nn.Dense(3)], (3, 0, 5), ["input", "(3, 0, 5)", "positive"]),
    ([nn.Dense(3)], (), ["input", "()"]),
    ([nn.Conv2D(3, 1, groups=3, standardized=True)], IMAGE, ["Conv2D: standardized", "a single weight"]),
    ([nn.Dense(3, standardized=True)], (1,), ["Dense: standardized", "a single weight"]),
    ([nn.Embedding(3, 2)], IMAGE, ["Embedding wants vectors", "(3, 6, 5)", "Flatten()"]),
    ([nn.Dense(3), nn.Embedding(3, 2)], (5,), ["layer embedding1", "have no gradient", "put it first"]),
    ([nn.ReLU(), nn.Residual(nn.Embedding(3, 1))], (5,), ["layer residual1", "have no gradient", "put it first"]),
    ([GlobalMean(), nn.Dense(3)], IMAGE, ["layer globalmean1", "(3, 6, 5)", "(3,)", "Flatten()"]),
]


@pytest.mark.parametrize(("layers", "shape", "words"), NETWORKS, ids=str)
def test_layers_that_do_not_fit(layers, shape, words):
    with pytest.raises(StructureError) as failure:
        nn.Sequential(layers, shape)
    for word in words:
        assert word in str(failure.value)
    assert "\n" not in str(failure.value)
    assert isinstance(failure.value, NnliteError)
    assert isinstance(failure.value, ValueError)


@pytest.mark.parametrize("units", [0, -3])
def test_dense_needs_units(units):
    with pytest.raises(StructureError, match=f"at least 1 unit, got {units}"):
        nn.Dense(units)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Embedding(0, 3), "Embedding: 0 rows of 3 features; wanted 1 to 16777216 rows of at least 1"),
        (lambda: nn.Embedding(2**24 + 1, 3), "Embedding: 16777217 rows"),
        (lambda: nn.Embedding(3, 0), "Embedding: 3 rows of 0 features"),
        (lambda: nn.GroupNorm(0), "GroupNorm: 0 groups; wanted at least 1"),
        (lambda: nn.GroupNorm(2, 0.0), r"GroupNorm: epsilon 0\.0; wanted a positive number"),
        (lambda: nn.LayerNorm(-1.0), r"LayerNorm: epsilon -1\.0"),
        (lambda: nn.LeakyReLU(1.0), r"LeakyReLU: slope 1\.0; wanted a number in \[0, 1\)"),
        (lambda: nn.ELU(0), "ELU: alpha 0; wanted a positive number"),
        (nn.BatchNorm, "BatchNorm is not offered: .* block of samples .* Take GroupNorm"),
        (lambda: nn.Layer.from_config({"is": "BatchNorm"}), "BatchNorm is not offered"),
    ],
)
def test_layers_that_cannot_be(make, words):
    with pytest.raises(StructureError, match=words) as failure:
        make()
    assert "\n" not in str(failure.value)


def test_an_mlp_needs_a_hidden_layer():
    with pytest.raises(StructureError, match="at least one hidden layer"):
        models.mlp(hidden=())


def arguments(**changed):
    """Sound arguments for a network of 3 classes on images (1, 2, 2), but for those given."""
    network = nn.Sequential([nn.Flatten(), nn.Dense(3)], (1, 2, 2))
    sound = {
        "vector": network.empty(),
        "x": np.zeros((5, 1, 2, 2), np.float32),
        "y": np.zeros(5, int),
        "out": network.empty(),
    }
    return network, sound | changed


ARGUMENTS = [
    ({"x": np.zeros((5, 1, 2, 3), np.float32)}, ["(5, 1, 2, 3)", "(N, 1, 2, 2)"]),
    ({"x": np.zeros((5, 4), np.float32)}, ["(5, 4)", "(N, 1, 2, 2)"]),
    ({"x": np.zeros((1, 2, 2), np.float32)}, ["(1, 2, 2)", "(N, 1, 2, 2)"]),
    ({"x": np.zeros((0, 1, 2, 2), np.float32), "y": np.zeros(0, int)}, ["(0, 1, 2, 2)", "N > 0"]),
    ({"x": np.zeros((5, 1, 2, 2))}, ["float64", "float32", "convert"]),
    ({"x": np.zeros((5, 1, 2, 2), np.uint8)}, ["uint8", "float32", "convert"]),
    ({"vector": np.zeros(14, np.float32)}, ["parameter vector", "(14,)", "(15,)"]),
    ({"vector": np.zeros(15, np.float16)}, ["parameter vector", "float16", "float32"]),
    ({"out": np.zeros(16, np.float32)}, ["the gradient", "(16,)", "(15,)"]),
    ({"out": np.zeros(30, np.float32)[::2]}, ["the gradient", "contiguous"]),
    ({"y": np.zeros(4, int)}, ["5 samples", "4 targets"]),
    ({"y": np.zeros(6, int)}, ["5 samples", "6 targets"]),
]


def assert_words(words, call, *values, **named):
    with pytest.raises(StructureError) as failure:
        call(*values, **named)
    for word in words:
        assert word in str(failure.value)


@pytest.mark.parametrize(("changed", "words"), ARGUMENTS, ids=str)
def test_arguments_that_do_not_fit(changed, words):
    network, values = arguments(**changed)
    assert_words(words, network.loss_and_gradient, **values)
    if "out" not in changed and len(values["x"]):
        y = values["y"] if "y" in changed else np.zeros(len(values["x"]), int)
        assert_words(words, network.evaluate, values["vector"], values["x"], y)
        if "y" not in changed:
            assert_words(words, network.predict, values["vector"], values["x"])


def test_a_sound_call_is_sound():
    network, values = arguments()
    assert network.loss_and_gradient(**values) == pytest.approx(np.log(3))


def test_targets_for_another_number_of_outputs():
    network = nn.Sequential([nn.Dense(2)], (3,), nn.HalfSquaredError())
    x = np.zeros((5, 3), np.float32)
    assert_words(
        ["2 outputs", "5 samples", "(5,)"],
        *(network.loss_and_gradient, network.empty(), x, np.zeros(5), network.empty()),
    )
