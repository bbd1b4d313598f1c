"""Embeddings: rows of a table, for whole numbers alone."""

import numpy as np
import pytest

from nnlite import data, nn
from nnlite.cases import Case
from nnlite.errors import StructureError
from tests.nn.helpers import gradient_of


def test_rows_stand_one_after_the_other():
    network = nn.Sequential([nn.Embedding(3, 2)], (2,), nn.HalfSquaredError())
    table = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    x = np.array([[2, 0], [1, 1]], np.float32)
    assert np.array_equal(network.predict(table.reshape(-1), x), [[5, 6, 1, 2], [3, 4, 3, 4]])


def test_a_row_learns_from_every_place_it_stands_in():
    network = nn.Sequential([nn.Embedding(3, 1)], (2,), nn.HalfSquaredError())
    x, targets = np.array([[2, 2], [1, 2]], np.float32), np.full((2, 2), -1.0)
    loss, gradient = gradient_of(network, np.zeros(3, np.float32), x, targets)
    assert loss == 1.0
    assert np.array_equal(gradient, [0, 0.5, 1.5])


def test_flatten_may_stand_before_it():
    network = nn.Sequential([nn.Flatten(), nn.Embedding(4, 2), nn.Dense(3)], (1, 2, 3))
    rng = np.random.default_rng(0)
    x = rng.integers(0, 4, (5, 1, 2, 3)).astype(np.float64)
    assert nn.check_network(network, x, rng.integers(0, 3, 5), rng).relative_error < 1e-6


@pytest.mark.parametrize("odd", [0.5, -1.0, 3.0, np.nan, np.inf, -1e30])
@pytest.mark.filterwarnings("ignore:invalid value")  # of the message's own minimum
def test_what_is_no_row_is_refused(odd):
    network = nn.Sequential([nn.Embedding(3, 2)], (2,), nn.HalfSquaredError())
    with pytest.raises(StructureError, match="wanted whole numbers from 0 to 2") as failure:
        network.predict(network.empty(), np.array([[0, odd]], np.float32))
    assert "\n" not in str(failure.value)


def test_words_are_learned():
    """Whether the first of two words is the larger: a table learns it, as rows of a data set of numbers."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 9, (600, 2)).astype(np.float32)
    split = data.Split(x, (x[:, 0] > x[:, 1]).astype(np.uint8))
    words = data.Dataset("words", split, split, 2, (), (0.0,), (1.0,))
    case = Case("words", "order", lambda: words, lambda shape, k: nn.Sequential(LAYERS(k), shape), nn.Adam(0.02))
    network = case.network(words.input_shape, words.num_classes)
    weights, slots = network.init(rng), case.optimizer.slots(network.layout.size)
    for step in range(150):
        part = rng.integers(0, 600, 50)
        _, gradient = gradient_of(network, weights, data.to_float(x[part], words.mean, words.std), split.y[part])
        case.optimizer.step_inplace(weights, gradient, slots, step, network.layout)
    assert network.evaluate(weights, x, split.y).accuracy > 0.97


def LAYERS(num_classes):  # noqa: N802
    return [nn.Embedding(9, 4), nn.Dense(16), nn.ReLU(), nn.Dense(num_classes)]
