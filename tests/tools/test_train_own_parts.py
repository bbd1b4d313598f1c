"""A case file's own augmentation and classes: they do on workers what they say, or are refused before the run."""

import os
import subprocess
import sys

import numpy as np
import pytest

import nnlite
from tests.tools.conftest import REPOSITORY

OWN_AUGMENTATION = """
@dataclass(frozen=True)
class Inverted(data.Augment):
    by: int = 255
    def __call__(self, x, rng):
        print("augments", file=__import__("sys").stderr)
        return RETURNED

def linear(shape, num_classes):
    return nn.Sequential([nn.Flatten(), nn.Dense(num_classes)], shape)

mine = Inverted(by=255)
case = cases.Case("inverted", "inverted", "fashion-sample", linear, nn.SGD(0.01), batch_size=100, augment=mine)
"""


def test_an_augmentation_of_the_user_s_own_is_called_on_workers(train, case_file):
    """Two workers in processes of their own; what it changes is learned from."""
    weights = {}
    for name, returned in (("plain", "x"), ("inverted", "255 - x")):
        path = case_file(more=OWN_AUGMENTATION.replace("RETURNED", returned))
        argv = ("--workers", 2, "--processes", 2, "--rounds", 1, "--steps-per-round", 3, "--out", f"{name}.st")
        done = train("--case", path, *argv)
        assert done.code == 0, done.err
        weights[name] = nnlite.load(f"{name}.st").weights
    assert np.abs(weights["plain"] - weights["inverted"]).max() > 1e-3
    argv = ("--workers", 2, "--processes", 0, "--rounds", 1, "--steps-per-round", 3, "--out", "here.st")
    assert train("--case", path, *argv).code == 0
    np.testing.assert_allclose(nnlite.load("here.st").weights, weights["inverted"], atol=1e-5)


@pytest.mark.parametrize("returned", ["x[:, :, :-1]", "x / np.float32(255)"])
def test_an_augmentation_that_makes_other_rows_is_named(returned, train, case_file):
    path = case_file(more=OWN_AUGMENTATION.replace("RETURNED", returned))
    done = train("--case", path, "--rounds", 1, "--steps-per-round", 3, "--processes", 0)
    assert (done.code, "Inverted made (100, 1, " in done.err, "keeps shape and dtype" in done.err) == (2, True, True)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            "case = dataclasses.replace(case, augment=lambda x, rng: x)",
            "its augment is of type function, wanted Augment",
        ),
        ("case = dataclasses.replace(case, optimizer=0.1)", "its optimizer is of type float, wanted Optimizer"),
    ],
)
def test_parts_of_another_kind_are_refused_before_the_run(more, words, train, case_file):
    done = train("--case", case_file(more=f"import dataclasses\ncase = dataclasses.replace(case, {more})"))
    assert (done.code, words in done.err, done.err.count("\n")) == (2, True, 1), done.err


def test_a_subclass_of_sequential_is_refused_before_the_run(train, case_file):
    more = "class Mine(nn.Sequential): pass\nimport dataclasses\n"
    more += "case = dataclasses.replace(case, network=lambda s, k: Mine([nn.Dense(k)], s))"
    done = train("--case", case_file(more=more))
    assert (done.code, "Mine, a subclass of Sequential, cannot be described" in done.err) == (1, True), done.err


LOAD = """
import sys, nnlite
from nnlite.errors import StructureError
try:
    nnlite.load("w.st")
except StructureError as error:
    print(error)
model = nnlite.load("w.st", case=sys.argv[1])
print(model.network.names, model.predict([[1, 2, 3, 4, 5, 6]]).shape, model.about["case_file"])
"""


def test_a_file_with_layers_of_one_s_own_says_how_to_load_it(train, case_file):
    """In a process that knows nothing of them."""
    path = case_file()
    assert train("--case", path, "--processes", 0, "--out", "w.st").code == 0
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(path)], env=environ, capture_output=True, text=True, check=True
    )
    said, loaded = done.stdout.strip().splitlines()[:1], done.stdout.strip().splitlines()[-1]
    assert "a class 'Scale', which is not nnlite's: name the case file" in said[0]
    assert f"nnlite.load(path, case={path.name!r})" in said[0]
    assert loaded == f"['dense1', 'scale1', 'tanh1', 'dense2'] (1, 2) {path.name}"
