"""Cases: the four of nnlite, and a user's own file."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from nnlite import cases, data, nn
from nnlite.data import catalog
from nnlite.errors import UsageError

SHAPES = {"a": ((20,), 1, 42_601), "b": ((3, 32, 32), 10, 1_756_426), "c": ((1, 28, 28), 10, 55_050)}
SHAPES["emnist"] = ((1, 28, 28), 47, 83_247)
SHAPES["r"] = ((3, 32, 32), 10, 499_098)


@pytest.mark.parametrize("name", cases.CASES)
def test_a_case_fits_its_dataset(name):
    """Network, dataset and optimizer are known ones, and go together; the file of weights can describe them."""
    case = cases.CASES[name]
    shape, num_classes, size = SHAPES[name]
    network = case.network(shape, num_classes)
    assert case.name == name
    assert network.layout.size == size
    assert network.output_shape == (catalog.entry(case.dataset).num_classes,)
    assert nn.Sequential.from_config(network.config()).layout == network.layout
    assert nn.Optimizer.from_config(case.optimizer.config()) == case.optimizer
    assert not cases.has_own_classes((*network.layers, network.loss, case.optimizer))
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, *shape)).astype(np.float32)
    y = np.array([1, -1, 1, -1]) if num_classes == 1 else rng.integers(0, num_classes, 4)
    gradient = network.empty()
    loss = network.loss_and_gradient(network.init(rng), x, y, out=gradient, rng=rng)
    assert np.isfinite(loss)
    assert all(np.any(view) for view in network.layout.views(gradient).values())


def test_find():
    assert cases.find("b") == (cases.CASES["b"], None)
    with pytest.raises(UsageError, match=r"no case 'B'; there are a, b, c, emnist, r, or give a file"):
        cases.find("B")


FILE = """
from nnlite import cases, nn
from dataclasses import dataclass

@dataclass(frozen=True)
class Shift(nn.Layer):
    by: float = 1.0
    def forward(self, p, x, ws):
        return x + x.dtype.type(self.by)
    def backward(self, p, g, x, y, dy, ws):
        return dy

case = cases.Case("own", "my own", "bits", lambda s, k: nn.Sequential([nn.Dense(k), Shift()], s), nn.SGD(0.1))
"""


def test_a_file_of_one_s_own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(FILE)
    case, found = cases.find(str(path))
    assert found is not None
    assert (case.name, found.path) == ("own", path.resolve())
    network = case.network((6,), 1)
    assert cases.has_own_classes(network.layers)
    assert not cases.has_own_classes(network.layers[:1])
    assert nn.Sequential.from_config(network.config()).layers == network.layers
    assert cases.load_file(path).name == "own"  # again: classes of the same names take the place of the old
    assert sys.modules["case_file_own"]


def test_a_dataset_by_name_by_function_or_instead():
    tiny = data.Dataset("tiny", *[data.Split(np.zeros((2, 3), np.float32), np.array([0, 1]))] * 2, 2, (), (0,), (1,))
    case = cases.Case("own", "", lambda: tiny, lambda s, k: nn.Sequential([nn.Dense(k)], s), nn.SGD(0.1))
    assert cases.dataset(case) is tiny
    assert cases.dataset(case, "bits").name == "bits"
    assert cases.network(case, tiny).output_shape == (2,)


@pytest.mark.parametrize(
    ("name", "rate", "expected"),
    [
        (None, None, nn.Momentum(0.05)),
        (None, 0.3, nn.Momentum(0.3)),
        ("momentum", None, nn.Momentum(0.05)),  # the case's own rate
        ("sgd", None, nn.SGD(0.1)),
        ("adam", 0.002, nn.Adam(0.002)),
    ],
)
def test_optimizer(name, rate, expected):
    assert cases.optimizer(cases.CASES["c"], name, rate) == expected


def test_an_optimizer_with_other_bounds():
    c = cases.CASES["c"]
    assert cases.optimizer(c, "adam", 0.01, 0.1, 2.0) == nn.Adam(0.01, weight_decay=0.1, clip_norm=2.0)
    bounded = replace(c, optimizer=nn.SGD(0.1, weight_decay=0.1, clip_norm=2.0))
    assert cases.optimizer(bounded, None, None, weight_decay=0.0) == nn.SGD(0.1, clip_norm=2.0)
    for bad in ({"weight_decay": -1.0}, {"clip_norm": 0.0}):
        with pytest.raises(UsageError, match=r"Momentum: (weight_decay|clip_norm) .* wanted a (number of 0|positive)"):
            cases.optimizer(c, None, None, **bad)


def test_optimizers_that_cannot_be_meant():
    with pytest.raises(UsageError, match="no optimizer 'x'; there are sgd, momentum, nesterov, rmsprop, adam"):
        cases.optimizer(cases.CASES["c"], "x", None)
    with pytest.raises(UsageError, match="learning_rate -1"):
        cases.optimizer(cases.CASES["c"], None, -1)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("name", 5, "Case.name: expected a text, found 5"),
        ("dataset", 7, "Case.dataset: expected a text or a function, found 7"),
        ("network", "mlp", "Case.network: expected a function, found 'mlp'"),
        ("batch_size", "x", "Case.batch_size: expected a whole number, found 'x'"),
        ("num_rounds", 1.5, "Case.num_rounds: expected a whole number, found 1.5"),
        ("optimizer", 3, "case 'c': its optimizer is of type int, wanted Optimizer or a subclass of it"),
    ],
)
def test_a_field_of_a_wrong_type_is_named_with_what_was_found_and_wanted(name, value, words):
    with pytest.raises(UsageError) as refused:
        replace(cases.CASES["c"], **{name: value})
    assert str(refused.value) == words


def test_a_case_of_numpy_s_numbers_is_one_of_python_s():
    case = replace(cases.CASES["c"], batch_size=np.int64(50))
    assert type(case.batch_size) is int


@pytest.mark.parametrize("name", ["a" * 9_999, "\x1b[2J", "a" * 9_999 + ".py", "\0.py"])
def test_a_name_of_any_length_is_refused_in_a_line_of_bounded_length_with_its_advice(name):
    with pytest.raises(UsageError) as refused:
        cases.find(name)
    assert len(str(refused.value)) < 1_500
    assert str(refused.value).isprintable()
    assert name.endswith(".py") or str(refused.value).endswith("or give a file of your own: case='my_case.py'")
