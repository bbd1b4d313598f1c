"""Models that know what they were trained on: names of classes, columns of a table; probabilities and scores."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnlite
from nnlite import data, nn, weights
from nnlite.data import inputs
from nnlite.data.inputs import Amounts, Column, Numbers, Table
from nnlite.errors import StructureError, UsageError, WeightsError
from nnlite.runs.model_file import TrainedModel
from nnlite.runs.plan import data_spec
from nnlite.runs.scores import Errors, Scores

RNG = np.random.default_rng(0)
TABLE = Table(
    (
        Column("height", "number", 10.0, 2.0, 4.0, 16.0),
        Column("young", "flag", 0.5, 0.5, 0.0, 1.0),
        Column("soil", "category", high=1.0, texts=("dry", "wet")),
    ),
    "kind",
)
CLASSES = ("ash", "elm", "oak")
ROWS = [[12.5, True, "wet"], [8, "no", "dry"], ["10", "false", "dry"]]
ENCODED = np.array([[1.25, 1, 0, 1], [-1, -1, 1, 0], [0, -1, 1, 0]], np.float32)


def model_of(network, classes=CLASSES, read=None, values=None):
    return TrainedModel(network, network.init(RNG), (0.0,), (1.0,), {"run": "r"}, values, classes, read)


@pytest.fixture
def model():
    return model_of(nn.Sequential([nn.Dense(3)], (4,)), read=TABLE)


@pytest.fixture
def digits():
    x = RNG.integers(0, 256, (40, 4, 4), np.uint8)
    network = nn.Sequential([nn.Flatten(), nn.Dense(3)], (1, 4, 4))
    return x, model_of(network, values=data.values.PIXELS)


FORMS = {
    "lists": ROWS,
    "an array": np.array(ROWS, object),
    "dicts": [dict(zip(("soil", "height", "young", "id"), (c, a, b, 7), strict=True)) for a, b, c in ROWS],
    "NumPy's numbers": [[np.float64(12.5), np.bool_(True), np.str_("wet")], *ROWS[1:]],
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_of_a_table_are_given_as_they_are(form, model):
    expected = model.network.predict(model.weights, ENCODED)
    np.testing.assert_array_equal(model.predict(FORMS[form]), expected)
    np.testing.assert_allclose(model.predict(FORMS[form][0]), expected[:1], rtol=1e-5)  # sums in another order


def test_a_file_knows_classes_and_columns(model, tmp_path):
    nnlite.save(tmp_path / "w.st", model)
    found = nnlite.load(tmp_path / "w.st")
    assert (found.classes, found.inputs, found.about) == (CLASSES, TABLE, {"run": "r"})
    np.testing.assert_array_equal(found.predict(ROWS), model.predict(ROWS))
    assert "rows of a table: height, young, soil" in found.summary()
    assert "ash, elm, oak" in found.summary()


def test_an_older_file_has_neither(model, tmp_path):
    nnlite.save(tmp_path / "w.st", replace(model, classes=(), inputs=None))
    found = nnlite.load(tmp_path / "w.st")
    assert (found.classes, found.inputs) == ((), None)
    assert found.predict_labels(ENCODED).dtype.kind == "i"


def column(**changes):
    fields = {"name": "a", "kind": "number", "mean": 0.0, "std": 1.0, "low": 0.0, "high": 1.0, "texts": []}
    return {**fields, **changes}


def table(*columns, **changes):
    return {"inputs": json.dumps({"kind": "table", "columns": columns, "target": "y", "missing": "error", **changes})}


DAMAGED = {
    "fewer classes": ({"classes": '{"classes": ["a", "b"]}'}, "classes: 2 classes, and a network of 3 outputs"),
    "a class twice": ({"classes": '{"classes": ["a", "b", "a"]}'}, "a name of their own each"),
    "classes that are numbers": ({"classes": '{"classes": [1, 2, 3]}'}, "expected a text, found 1"),
    "no list of classes": ({"classes": "[]"}, "expected an object"),
    "no JSON": ({"inputs": "{"}, "expected JSON"),
    "another kind": ({"inputs": '{"kind": "sound"}'}, "kind: expected a text like table or numbers, found 'sound'"),
    "no kind": ({"inputs": "{}"}, "kind: expected a text like table or numbers"),
    "fewer columns": (table(column()), r"inputs: they make no rows of \(4,\)"),
    "no columns": (table(), "expected columns, each with a name of its own"),
    "a column twice": (table(column(), column()), "expected columns, each with a name of its own"),
    "another kind of column": (table(column(kind="date")), "expected a text like number or flag or category, found"),
    "no deviation": (table(column(std=0)), r"std: expected a number, 1e-300 or more, found 0"),
    "a mean of text": (table(column(mean="0")), "mean: expected a number, found '0'"),
    "a category without texts": (table(column(kind="category")), "the column 'a' contradicts itself"),
    "a number with texts": (table(column(texts=["x"])), "the column 'a' contradicts itself"),
    "a range that is none": (table(column(low=2)), "the column 'a' contradicts itself"),
    "another field": (table(column(), run="rm -rf"), "there is no field 'run'"),
    "missing otherwise": (table(column(), missing="guess"), "expected a text like error or mean"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_file_that_contradicts_itself_is_one_line(what, model, tmp_path):
    changes, words = DAMAGED[what]
    path = tmp_path / "w.st"
    nnlite.save(path, model)
    found = weights.load(path)
    metadata = {name: text for name, text in found.metadata.items() if name != "sha256"} | changes
    weights.save(path, found.vector, found.shapes, metadata)
    with pytest.raises(WeightsError, match=words) as error:
        nnlite.load(path)
    assert "\n" not in str(error.value)


def test_probabilities_are_the_softmax_and_labels_the_names(model):
    outputs = model.predict(ROWS)
    expected = np.exp(outputs.astype(np.float64))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(ROWS), expected, rtol=1e-5)
    assert model.predict_labels(ROWS).tolist() == [CLASSES[best] for best in outputs.argmax(axis=1)]


@pytest.mark.parametrize(
    ("classes", "labels"), [(("3", "-5", "10"), [3, -5, 10]), (("1", "02", "3"), ["1", "02", "3"]), (CLASSES, CLASSES)]
)
def test_labels_that_were_numbers_are_numbers_again(model, classes, labels):
    found = replace(model, classes=classes).labels(np.eye(3, dtype=np.float32))
    assert found.tolist() == list(labels)


def test_large_outputs_are_probabilities_too(model):
    found = model.probabilities(np.array([[1e30, 0, -1e30], [-1e4, -1e4, -1e4]], np.float32))
    np.testing.assert_allclose(found, [[1, 0, 0], [1 / 3] * 3], rtol=1e-6)


def test_several_labels_have_a_probability_each_and_a_margin_none():
    yes_or_no = model_of(nn.Sequential([nn.Dense(3)], (4,), nn.BinaryCrossEntropy()))
    outputs = yes_or_no.predict(ENCODED)
    np.testing.assert_allclose(yes_or_no.predict_proba(ENCODED), 1 / (1 + np.exp(-outputs)), rtol=1e-5)
    margin = model_of(nn.Sequential([nn.Dense(3)], (4,), nn.Hinge()))
    with pytest.raises(UsageError, match="trained with Hinge gives no probabilities: use predict"):
        margin.predict_proba(ENCODED)
    signs = model_of(nn.Sequential([nn.Dense(1)], (4,), nn.HalfSquaredError()), ())
    assert set(signs.predict_labels(ENCODED).tolist()) <= {-1, 1}
    with pytest.raises(UsageError, match="single output"):
        signs.evaluate(ENCODED, [1, -1, 1])


@given(st.integers(2, 6), st.integers(1, 60), st.integers(0, 99))
def test_scores_are_those_of_counting(num_classes, num_rows, seed):
    rng = np.random.default_rng(seed)
    wanted, found = rng.integers(0, num_classes, (2, num_rows))
    names = tuple(f"class {n}" for n in range(num_classes))
    made = Scores.of(names, wanted, found, None)
    assert made.count == num_rows
    assert made.accuracy == pytest.approx(np.mean(wanted == found))
    for label in range(num_classes):
        for of, share in ((found, made.precision[label]), (wanted, made.recall[label])):
            rows = of == label
            if rows.any():
                assert share == pytest.approx(np.mean(wanted[rows] == found[rows]))
            else:
                assert np.isnan(share)
    assert json.loads(json.dumps(made.values(), allow_nan=False))["count"] == num_rows
    assert str(num_rows) in str(made)


def test_evaluation_takes_names_or_numbers_of_classes(digits):
    x, model = digits
    best = model.predict(x).argmax(axis=1)
    names = np.array(CLASSES)[best]
    by_name, by_number = model.evaluate(x, names), model.evaluate(x, best)
    assert by_name.accuracy == by_number.accuracy == 1
    given_ = model.predict_proba(x)[np.arange(len(x)), best].astype(float)
    assert by_name.log_loss == pytest.approx(-np.log(given_).mean(), rel=1e-5)
    for y, words in (
        (["ash"] * 39, "y: 39 labels for 40 rows"),
        (["pine"] * 40, "y: 'pine' is no class of this model; there are ash, elm, oak"),
        ([7] * 40, "y: '7' is no class of this model"),
        ([-1] * 40, "y: '-1' is no class"),
        ([[0]] * 40, "y: wanted a label for each row, found"),
    ):
        with pytest.raises(UsageError, match=words):
            model.evaluate(x, y)


def test_names_that_are_numbers_are_names_first():
    model = model_of(nn.Sequential([nn.Dense(3)], (4,)), ("1", "2", "3"))
    best = model.predict(ENCODED).argmax(axis=1)
    assert model.evaluate(ENCODED, best + 1).accuracy == 1


@pytest.mark.parametrize("shape", [(30, 5), (30, 2, 3, 4)])
def test_numbers_of_any_form_are_scaled_by_the_model(shape):
    x = 100 + 7 * RNG.normal(size=shape)
    read = Numbers.of(x)
    model = model_of(nn.Sequential([nn.Flatten(), nn.Dense(3)], shape[1:]), read=read)
    expected = model.network.predict(model.weights, read.standardized(x))
    for given_ in (x, np.asfortranarray(x), x.astype(">f8"), np.repeat(x, 2, axis=0)[::2], x.tolist()):
        np.testing.assert_array_equal(model.predict(given_), expected)
    np.testing.assert_allclose(model.predict(x.astype(np.float32)), expected, rtol=1e-3, atol=1e-3)
    for wrong, words in ((x * 1000, "must be on the same scale"), (x * np.nan, "no number")):
        with pytest.raises(UsageError, match=words):
            model.predict(wrong)
    with pytest.raises(UsageError, match="is for models of pixels"):
        model.predict(x, scale="0..1")
    with pytest.raises(StructureError, match="this network wants"):
        model.predict(x[:, 1:])


def test_a_specification_carries_what_its_model_will_know(tmp_path):
    x, y = RNG.normal(size=(30, 2)), np.array(["p", "q"] * 15)
    found = data.from_arrays(x, y)
    spec = data_spec(found)
    assert spec.class_names == ("p", "q")
    assert inputs.read(spec.inputs) == found.inputs


# ---- amounts


@pytest.fixture
def line():
    """y = 100 + 20 x, by a network that answers with mean 0 and deviation 1."""
    network = nn.Sequential([nn.Dense(1)], (1,), nn.MeanSquaredError())
    model = TrainedModel(network, network.empty(), (0.0,), (1.0,), {}, amounts=Amounts(100.0, 10.0, 0.0, 200.0))
    network.layout.views(model.weights)["dense1/weight"][:] = 2
    return model


def test_amounts_are_in_the_unit_of_the_data(line, tmp_path):
    nnlite.save(tmp_path / "w.st", line)
    for model in (line, nnlite.load(tmp_path / "w.st")):
        np.testing.assert_allclose(model.predict([[0.0], [1.0]]), [[100], [120]])
        np.testing.assert_allclose(model.predict_labels([[3.0]]), [160])
        with pytest.raises(UsageError, match="gives no probabilities"):
            model.predict_proba([[0.0]])


@given(st.integers(2, 50), st.integers(0, 99))
def test_errors_are_those_of_counting(num_rows, seed):
    wanted, found = np.random.default_rng(seed).normal(size=(2, num_rows))
    made = Errors.of(wanted, found)
    assert made.rmse == pytest.approx(np.sqrt(np.mean((wanted - found) ** 2)))
    assert made.mae == pytest.approx(np.mean(np.abs(wanted - found)))
    assert made.r2 == pytest.approx(1 - np.mean((wanted - found) ** 2) / np.var(wanted))
    assert Errors.of(wanted, wanted).r2 == 1


def test_targets_that_are_no_amounts_are_refused(line):
    assert line.evaluate([[0.0], [1.0]], ["100", "120"]).rmse == pytest.approx(0, abs=1e-4)
    for y in (["a", "b"], [1.0], [[1.0], [2.0]], [1.0, np.nan]):
        with pytest.raises(UsageError, match="y: wanted an amount for each of 2 rows"):
            line.evaluate([[0.0], [1.0]], y)


@pytest.mark.parametrize(
    "text", ["{}", "[]", '{"mean": 0, "std": 0, "low": 0, "high": 1}', '{"mean": 0, "std": 1, "low": 2, "high": 1}']
)
def test_damaged_amounts_are_one_line(text, line, tmp_path):
    nnlite.save(tmp_path / "w.st", line)
    found = weights.load(tmp_path / "w.st")
    metadata = {name: value for name, value in found.metadata.items() if name != "sha256"} | {"amounts": text}
    weights.save(tmp_path / "w.st", found.vector, found.shapes, metadata)
    with pytest.raises(WeightsError, match=r"holds weights but not their network \("):
        nnlite.load(tmp_path / "w.st")
