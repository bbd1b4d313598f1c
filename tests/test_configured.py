"""A case under a configuration, and a case as JSON."""

import json
from dataclasses import replace

import pytest

from nnlite import cases, configured, data, nn
from nnlite.cases import CASES, Case
from nnlite.errors import UsageError
from nnlite.space import Choice, Float, Int, Several, Space
from tests.runtime import small


def network(shape, num_classes, units=8, *, rate=0.1):
    layers = [nn.Flatten(), nn.Dense(units), nn.Tanh(), nn.Dropout(rate), nn.Dense(num_classes)]
    return nn.Sequential(layers, shape)


ROWS = small.dataset()
MINE = Case("mine", "a case of mine", lambda: ROWS, network, nn.Momentum(0.1, 0.5), batch_size=7)


def test_names_go_where_they_belong():
    chosen = {"learning_rate": 0.25, "momentum": 0.75, "units": 5, "rate": 0.5, "batch_size": 12}
    made = configured.configure(MINE, chosen, ROWS)
    assert made.optimizer == nn.Momentum(0.25, 0.75)
    assert made.network.config() == network(ROWS.input_shape, 4, units=5, rate=0.5).config()
    assert made.batch_size == 12


def test_what_is_not_searched_is_the_case_s():
    made = configured.configure(MINE, {"units": 3}, ROWS)
    assert (made.optimizer, made.batch_size) == (MINE.optimizer, 7)


@pytest.mark.parametrize(("batches", "size"), [(1, 96), (10, 10), (96, 1), (1000, 1)])
def test_batches_an_epoch_are_a_batch_size(batches, size):
    assert configured.configure(MINE, {"batches_per_epoch": batches}, ROWS).batch_size == size


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_case_has_a_space_that_fits_it(name):
    case = CASES[name]
    shape, classes = {"a": ((20,), 1), "b": ((3, 32, 32), 10)}.get(name, ((1, 28, 28), 10))
    rows = fake(shape, classes)
    for configuration in configured.space(case).draw(5, 0):
        made = configured.configure(case, configuration, rows)
        assert made.network.output_shape == (classes,)
        assert made.optimizer.learning_rate == configuration["learning_rate"]


def fake(shape, num_classes):
    import numpy as np

    x = np.zeros((20, *shape), np.float32 if len(shape) == 1 else np.uint8)
    y = np.ones(20, np.int8) if num_classes == 1 else np.arange(20, dtype=np.uint8) % num_classes
    mean = (0.0,) * (shape[0] if len(shape) == 3 else 1)
    return data.Dataset("fake", data.Split(x, y), data.Split(x, y), num_classes, (), mean, tuple(m + 1 for m in mean))


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (
            Space(unit=Int(1, 2)),
            "names 'unit', which is neither of learning_rate, weight_decay, clip_norm, momentum",
        ),
        (Space(unit=Int(1, 2)), r"argument of its network function \(units, rate\)"),
        (Space(batch_size=Int(1, 2), batches_per_epoch=Int(1, 2)), "has both batch_size and batches_per_epoch"),
    ],
)
def test_a_space_that_does_not_fit_the_case(space, words):
    with pytest.raises(UsageError, match=words):
        configured.space(replace(MINE, space=space))


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ({"units": 0}, '{"units": 0}'),
        ({"units": "many"}, '{"units": "many"}: case .mine.: its network'),
        ({"momentum": 1.5}, "momentum"),
        ({"batch_size": 0}, "batch_size wants a whole number above 0"),
        ({"batch_size": 2.5}, "batch_size wants a whole number above 0"),
    ],
)
def test_a_configuration_that_cannot_be_built_says_which(configuration, words):
    with pytest.raises(UsageError, match=words):
        configured.configure(MINE, configuration, ROWS)


def test_a_case_as_json_comes_back(tmp_path):
    made = configured.configure(CASES["c"], {"hidden": [12, 9], "learning_rate": 0.02}, fake((1, 28, 28), 10))
    path = tmp_path / "best.json"
    about = configured.about(replace(CASES["c"], augment=data.Augment(False, 2)), "fashion-sample")
    path.write_bytes(configured.describe(about, made.network.config(), made.optimizer.config(), 33, 4))
    case, file = configured.find(str(path))
    assert file is None
    assert (case.name, case.dataset, case.batch_size, case.num_rounds) == ("c", "fashion-sample", 33, 4)
    assert (case.optimizer, case.augment) == (made.optimizer, data.Augment(False, 2))
    assert case.network((1, 28, 28), 10).config() == made.network.config()
    with pytest.raises(UsageError, match=r"is for rows of \(1, 28, 28\), the dataset has \(1, 5, 5\)"):
        cases.network(case, ROWS)


def test_other_files_are_no_case(tmp_path):
    path = tmp_path / "best.json"
    with pytest.raises(UsageError, match="cannot read"):
        configured.find(str(path))
    for text in ("", "[]", "{}", json.dumps({"case_file": "", "dataset": "mnist", "network": {}, "case": "c"})):
        path.write_text(text)
        with pytest.raises(UsageError, match=r"is not a case as tools\.tune writes it"):
            configured.find(str(path))


def test_spaces_of_lists_reach_the_network():
    case = replace(CASES["c"], space=Space(hidden=Several(Choice(4, 5), 2, 2), learning_rate=Float(0.1, 0.2)))
    (drawn,) = configured.space(case).draw(1, 0)
    made = configured.configure(case, drawn, fake((1, 28, 28), 10))
    assert [layer.units for layer in made.network.layers if isinstance(layer, nn.Dense)] == [*drawn["hidden"], 10]
