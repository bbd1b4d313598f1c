"""Embeddings: rows of a table, for whole numbers alone."""

import numpy as np
import pytest

import nnlite
from nnlite import nn
from nnlite.__main__ import main
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


CASE = """
import numpy as np
from nnlite import data, nn
from nnlite.cases import Case

rng = np.random.default_rng(0)
x = rng.integers(0, 9, (2000, 2)).astype(np.float32)

def part(x):
    return data.Split(x, (x[:, 0] > x[:, 1]).astype(np.uint8))

def words():
    return data.Dataset("words", part(x[:1500]), part(x[1500:]), 2, (), (0.0,), (1.0,))

def network(shape, num_classes):
    return nn.Sequential([nn.Embedding(9, 4), nn.Dense(16), nn.ReLU(), nn.Dense(num_classes)], shape)

case = Case("words", "which of two is larger", words, network, nn.Adam(0.02), batch_size=50, num_rounds=8)
"""


def test_a_run_learns_words(tmp_path, monkeypatch):
    """From the command to the model file, whose rows may be integers."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.py").write_text(CASE)
    assert main(["train", "--case", "words.py", "--workers", "2", "--processes", "0", "--out", "w.safetensors"]) == 0
    model = nnlite.load("w.safetensors")
    rows = np.array([[3, 1], [1, 3], [8, 0], [0, 8]])
    assert np.array_equal(model.predict(rows).argmax(axis=1), [1, 0, 1, 0])


@pytest.mark.parametrize("shape", [(4,), (1, 2, 2)], ids=str)
@pytest.mark.parametrize("layer", [nn.Embedding(3, 2), nn.Residual([nn.Embedding(3, 1), nn.Tanh()])], ids=str)
def test_a_network_makes_noise_that_it_takes(layer, shape):
    network = nn.Sequential([nn.Flatten(), layer, nn.Dense(3)], shape)
    assert network.wants_whole_numbers
    x = network.noise(50, np.random.default_rng(0))
    assert np.array_equal(np.unique(x), [0, 1, 2])
    network.predict(network.empty(), x)
