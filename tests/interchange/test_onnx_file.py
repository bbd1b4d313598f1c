"""ONNX files: another program computes from them what `predict` does."""

import sys
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnlite
from nnlite import cases, data, nn
from nnlite.__main__ import main
from nnlite.data.inputs import Amounts, Column, Numbers, Table
from nnlite.data.values import PIXELS, Values
from nnlite.errors import RunError, StructureError, UsageError
from nnlite.interchange import onnx_file
from nnlite.nn import models
from tests.nn.helpers import Gains, difference, laws, networks, seeds, small_models
from tests.test_cases import SHAPES

TOLERANCE = 1e-5
CASES = {name: case.network(*SHAPES[name][:2]) for name, case in cases.CASES.items()}


def outputs_of(data: bytes, x: np.ndarray) -> np.ndarray:
    """What onnxruntime makes of rows."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    (outputs,) = session.run(["outputs"], {"x": np.asarray(x, np.float32)})
    return outputs


def assert_same(network, x, rng):
    """Away from the beginning, where a block is its shortcut and biases are zero."""
    weights = (network.init(rng) + 0.05 * rng.standard_normal(network.layout.size)).astype(np.float32)
    found = outputs_of(onnx_file.encode(network, weights, onnx_file.OnnxInput(), {}), x)
    wanted = network.predict(weights, x)
    assert found.shape == wanted.shape
    assert difference(found, wanted) < TOLERANCE, network.summary()


@pytest.mark.parametrize("name", CASES)
def test_a_case_trained_and_saved(name, tmp_path):
    """Rows as the dataset has them, on their own scale."""
    network, rng = CASES[name], np.random.default_rng(0)
    weights, gradient = network.init(rng), network.empty()
    channels = network.input_shape[0] if len(network.input_shape) == 3 else 1
    mean, std = tuple(rng.uniform(0.3, 0.6, channels)), tuple(rng.uniform(0.2, 0.4, channels))
    x, y = rng.integers(0, 256, (8, *network.input_shape), np.uint8), rng.integers(0, network.output_shape[0], 8)
    values = PIXELS
    if name == "a":
        x, y, mean, std, values = (
            2.0 * (x > 127) - 1,
            np.where(x[:, 0] > 127, 1, -1),
            (0.0,),
            (1.0,),
            Values("int8", -1, 1),
        )
    model = nnlite.TrainedModel(network, weights, mean, std, {"case": name}, values)
    scaled = ((x / 255 - np.reshape(mean, (-1, 1, 1))) / np.reshape(std, (-1, 1, 1)) if name != "a" else x).astype(
        np.float32
    )
    for step in range(3):
        network.loss_and_gradient(weights, scaled, y, out=gradient, rng=np.random.default_rng(step))
        weights -= 0.01 * gradient
    model.save(tmp_path / "m.onnx")
    written = (tmp_path / "m.onnx").read_bytes()
    assert difference(outputs_of(written, x), model.predict(x)) < TOLERANCE
    assert difference(outputs_of(written, x[:1]), model.predict(x[:1])) < TOLERANCE
    model.save(tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == written
    assert {one.key: one.value for one in onnx.load_from_string(written).metadata_props} == {"case": name}


@pytest.mark.parametrize("name", small_models())
def test_models(name):
    network, rng = small_models()[name], np.random.default_rng(1)
    assert_same(network, rng.standard_normal((5, *network.input_shape)).astype(np.float32), rng)


@laws
@given(networks(own=False, dropout=True), st.integers(1, 4), seeds)
def test_any_network(network, num_samples, seed):
    rng = np.random.default_rng(seed)
    assert_same(network, rng.standard_normal((num_samples, *network.input_shape)).astype(np.float32), rng)


def test_numbers_of_ones_own_and_rows_of_a_table(tmp_path):
    """Numbers are standardized in the file, also far from zero; a table becomes rows before."""
    rng = np.random.default_rng(4)
    network = nn.Sequential([nn.Dense(5), nn.Tanh(), nn.Dense(2)], (3,))
    x = rng.normal([2000, 0.01, -5], [5, 0.001, 2], (50, 3)).astype(np.float32)
    model = nnlite.TrainedModel(network, network.init(rng), (0.0,), (1.0,), {}, inputs=Numbers.of(x))
    model.save(tmp_path / "m.onnx")
    assert difference(outputs_of((tmp_path / "m.onnx").read_bytes(), x), model.predict(x)) < 1e-4
    columns = Column("height", "number", 10.0, 2.0, 4.0, 16.0), Column("soil", "category", texts=("dry", "wet"))
    model = replace(model, inputs=Table(columns))
    model.save(tmp_path / "m.onnx")
    rows = [[12.5, "wet"], [8, "dry"]]
    assert difference(outputs_of((tmp_path / "m.onnx").read_bytes(), model.rows(rows)), model.predict(rows)) < TOLERANCE


def test_amounts_are_in_the_unit_of_the_data(tmp_path):
    rng = np.random.default_rng(7)
    network = nn.Sequential([nn.Dense(5), nn.Tanh(), nn.Dense(1)], (3,), nn.MeanSquaredError())
    amounts = Amounts(100.0, 10.0, 0.0, 200.0)
    model = nnlite.TrainedModel(network, network.init(rng), (0.0,), (1.0,), {}, amounts=amounts)
    x = rng.standard_normal((20, 3)).astype(np.float32)
    model.save(tmp_path / "m.onnx")
    assert difference(outputs_of((tmp_path / "m.onnx").read_bytes(), x), model.predict(x)) < TOLERANCE
    assert abs(model.predict(x).mean() - 100) < 50


@pytest.mark.parametrize("values", [None, PIXELS])
def test_an_older_file_does_not_say_that_its_rows_are_pixels(values, tmp_path):
    model = replace(model_of([nn.Flatten(), nn.Dense(2)], (1, 3, 3)), values=values)
    model.weights[:] = np.random.default_rng(5).standard_normal(model.weights.shape)
    x = np.random.default_rng(6).integers(0, 256, (4, 1, 3, 3), np.uint8)
    model.save(tmp_path / "m.onnx")
    assert difference(outputs_of((tmp_path / "m.onnx").read_bytes(), x), model.predict(x)) < TOLERANCE


def test_embedding():
    rng = np.random.default_rng(2)
    network = nn.Sequential([nn.Embedding(9, 3), nn.Dense(4), nn.ReLU(), nn.Dense(3)], (5,))
    assert_same(network, rng.integers(0, 9, (6, 5)).astype(np.float32), rng)


def test_the_real_resnet_with_residuals_inside_residuals():
    rng = np.random.default_rng(3)
    network = models.resnet(depth=8, width=8)
    assert_same(network, rng.standard_normal((2, 3, 32, 32)).astype(np.float32), rng)
    nested = nn.Residual([nn.Conv2D(3, 3), nn.Residual(nn.Tanh(), nn.Conv2D(3, 1))])
    assert_same(nn.Sequential([nested, nn.Flatten()], (3, 5, 4)), rng.random((2, 3, 5, 4), np.float32), rng)


def test_every_layer_has_an_operator():
    known = {one for one in vars(nn).values() if isinstance(one, type) and issubclass(one, nn.Layer)}
    from nnlite.interchange.onnx_operators import OPERATORS

    assert known - set(OPERATORS) == {nn.Layer, nn.Composite, nn.BatchNorm}


def model_of(layers, shape):
    network = nn.Sequential(layers, shape)
    return nnlite.TrainedModel(network, network.empty(), (0.5,), (0.25,), {}, PIXELS)


def test_a_layer_of_ones_own_is_refused_by_name(tmp_path):
    model = model_of([nn.Residual([Gains()]), nn.Flatten(), nn.Dense(2)], (1, 3, 3))
    with pytest.raises(StructureError, match="layer residual1/gains1: Gains is no layer of nnlite") as failure:
        model.save(tmp_path / "m.onnx")
    assert "\n" not in str(failure.value)
    assert not list(tmp_path.iterdir())


def test_without_the_package_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(RunError) as failure:
        model_of([nn.Flatten(), nn.Dense(2)], (1, 3, 3)).save(tmp_path / "m.onnx")
    assert str(failure.value) == (
        "ONNX files are written by the package onnx (import of onnx halted; None in sys.modules): pip install "
        "'nnlite-serverless[onnx]'"
    )
    assert not list(tmp_path.iterdir())


def test_onnx_files_are_not_read(tmp_path):
    model_of([nn.Flatten(), nn.Dense(2)], (1, 3, 3)).save(tmp_path / "m.ONNX")
    onnx.load(tmp_path / "m.ONNX")
    with pytest.raises(UsageError, match=r"m\.ONNX: ONNX files are written and not read: name the \.safetensors file"):
        nnlite.load(tmp_path / "m.ONNX")


def test_other_endings_are_nnlites_own_format(tmp_path):
    model = model_of([nn.Flatten(), nn.Dense(2)], (1, 3, 3))
    model.save(tmp_path / "m.safetensors")
    assert nnlite.load(tmp_path / "m.safetensors").network.config() == model.network.config()


def test_a_run_asks_for_the_package_before_it_begins(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["train", "--case", "c", "--dataset", "fashion-sample", "--rounds", "1", "--steps-per-round", "2"]
    command += ["--processes", "0", "--out", "m.onnx"]
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "onnx", None)
        assert main(command) == 1
    assert "the package onnx (import of onnx halted" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert main(command) == 0
    assert 'onnxruntime.InferenceSession("m.onnx")' in capsys.readouterr().out
    test = data.load("fashion-sample").test
    assert (outputs_of((tmp_path / "m.onnx").read_bytes(), test.x).argmax(axis=1) == test.y).mean() > 0.2
