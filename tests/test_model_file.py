"""A trained network in one file: what `nnlite.save` writes, `nnlite.load` reads; all else is refused clearly."""

import json

import numpy as np
import pytest

import nnlite
from nnlite import nn, weights
from nnlite.errors import DataNotFound, StoreError, StructureError, WeightsError
from tests.nn.helpers import small_models

NETWORK = nn.Sequential([nn.Conv2D(2, 3), nn.ReLU(), nn.Flatten(), nn.Dense(3)], (1, 4, 4))


@pytest.fixture
def model():
    vector = NETWORK.init(np.random.default_rng(0))
    return nnlite.TrainedModel(NETWORK, vector, (0.25,), (0.5,), {"case": "c", "test_accuracy": "0.5"})


def test_there_and_back(model, tmp_path):
    path = tmp_path / "w.st"
    nnlite.save(path, model)
    found = nnlite.load(path)
    assert np.array_equal(found.weights, model.weights)
    assert (found.mean, found.std, found.about) == (model.mean, model.std, model.about)
    assert found.network.config() == NETWORK.config()
    x = np.random.default_rng(1).integers(0, 256, (7, 1, 4, 4), np.uint8)
    assert np.array_equal(found.predict(x), model.predict(x))
    scaled = (x.astype(np.float32) / 255 - 0.25) / 0.5
    np.testing.assert_allclose(found.predict(x), NETWORK.predict(model.weights, scaled), rtol=1e-4, atol=1e-5)


MODERN = nn.Sequential(
    [
        *(nn.Conv2D(4, 3, standardized=True), nn.GroupNorm(2), nn.Residual([nn.Conv2D(4, 3), nn.SiLU()])),
        *(nn.GlobalAveragePool2D(), nn.Flatten(), nn.Dense(3, standardized=True)),
    ],
    (1, 4, 4),
    nn.Huber(0.5, [1.0, 2.0, 0.5]),
)
WORDS = nn.Sequential([nn.Embedding(9, 2), nn.Dense(3)], (4,), nn.Hinge(class_weights=[1.0, 2.0, 0.5]))


@pytest.mark.parametrize("network", [*small_models().values(), MODERN, WORDS], ids=[*small_models(), "modern", "words"])
def test_every_network_there_and_back(network, tmp_path):
    rng = np.random.default_rng(2)
    nnlite.save(tmp_path / "w.st", nnlite.TrainedModel(network, network.init(rng), (0.0,), (1.0,), {}))
    found = nnlite.load(tmp_path / "w.st")
    assert found.network.config() == network.config()
    x = rng.integers(0, 9, (5, *network.input_shape)).astype(np.float32)
    assert np.array_equal(found.network.predict(found.weights, x), network.predict(found.weights, x))


def test_files_of_before_there_were_standardized_weights_load_as_ever(model, tmp_path):
    nnlite.save(tmp_path / "w.st", model)
    rewrite(tmp_path / "w.st", lambda m: m.update(network=m["network"].replace(', "standardized": false', "")))
    assert nnlite.load(tmp_path / "w.st").network.config() == NETWORK.config()


def test_the_weights_can_be_trained_on(model, tmp_path):
    nnlite.save(tmp_path / "w.st", model)
    found = nnlite.load(tmp_path / "w.st")
    x, y = np.ones((5, 1, 4, 4), np.float32), np.zeros(5, int)
    before = found.network.evaluate(found.weights, x, y).loss
    gradient, optimizer = found.network.empty(), nn.SGD(0.1)
    for step in range(5):
        found.network.loss_and_gradient(found.weights, x, y, out=gradient)
        optimizer.update_inplace(found.weights, gradient, optimizer.slots(len(gradient)), step)
    assert found.network.evaluate(found.weights, x, y).loss < before


def test_the_same_model_is_the_same_bytes(model, tmp_path):
    for name in ("one", "two"):
        nnlite.save(tmp_path / name, model)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def rewrite(path, change) -> None:
    """Write the file again, with other metadata and a sound hash."""
    found = weights.load(path)
    metadata = {k: v for k, v in found.metadata.items() if k != "sha256"}
    change(metadata)
    weights.save(path, found.vector, found.shapes, metadata)


def other_network(metadata: dict[str, str]) -> None:
    metadata["network"] = json.dumps(nn.Sequential([nn.Flatten(), nn.Dense(3)], (1, 4, 4)).config())


SCALE = '{"mean": [0], "std": [1], "dtype": "DTYPE", "low": 0, "high": 9}'


def unknown_layer(metadata: dict[str, str]) -> None:
    metadata["network"] = metadata["network"].replace("ReLU", "MyLayer")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda m: m.pop("network"), WeightsError, "holds weights but not their network .no 'network'.*weights.load"),
        (lambda m: m.pop("scale"), WeightsError, "no 'scale' in its metadata"),
        (lambda m: m.update(network="{"), WeightsError, "holds weights but not their network"),
        (lambda m: m.update(network="[]"), StructureError, "not the description of a network"),
        (lambda m: m.update(scale="{}"), WeightsError, "field 'mean' is missing"),
        (lambda m: m.update(scale="[" * 100_000), WeightsError, "holds weights but not their network"),
        (lambda m: m.update(network="[" * 100_000), WeightsError, "holds weights but not their network"),
        (
            lambda m: m.update(scale='{"mean": [0], "std": [0]}'),
            WeightsError,
            "std.0.: expected a number, 1e-30 or more",
        ),
        (lambda m: m.update(scale='{"mean": [NaN], "std": [1]}'), WeightsError, "expected a finite number"),
        (lambda m: m.update(scale=SCALE.replace("DTYPE", "int64")), WeightsError, "dtype: .* found 'int64'"),
        (lambda m: m.update(scale=SCALE.replace("9", "-Infinity")), WeightsError, "expected a finite number"),
        (
            lambda m: m.update(scale=SCALE.replace("9", "-9").replace("DTYPE", "int8")),
            WeightsError,
            "a range that is one",
        ),
        (other_network, StructureError, "The file contradicts its own description"),
        (unknown_layer, StructureError, r"a class 'MyLayer', .* nnlite\.load\(path, case='my_case\.py'\), or import"),
    ],
)
def test_files_that_are_no_models(change, error, words, model, tmp_path):
    nnlite.save(tmp_path / "w.st", model)
    rewrite(tmp_path / "w.st", change)
    with pytest.raises(error, match=words):
        nnlite.load(tmp_path / "w.st")


def test_files_that_are_damaged_or_not_there(model, tmp_path):
    path = tmp_path / "w.st"
    with pytest.raises(DataNotFound, match=r"no weights file at .*w.st"):
        nnlite.load(path)
    nnlite.save(path, model)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="content hash"):
        nnlite.load(path)


def test_a_file_that_cannot_be_written_leaves_the_old_one(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/w\.st"):
        nnlite.save(tmp_path / "file/w.st", model)


def test_what_is_not_there():
    with pytest.raises(AttributeError, match="module 'nnlite' has no attribute 'lode'"):
        _ = nnlite.lode
