"""Law: what is made of NumPy's numbers is what is made of Python's, and is described by the same JSON."""

import json

import numpy as np
import pytest

from nnlite import data, nn
from nnlite.errors import StructureError, UsageError
from nnlite.runs.job import Job
from nnlite.space import Choice, Float, Int, Several

MADE = {
    "dense": lambda i, f, b: nn.Dense(i(32)),
    "conv": lambda i, f, b: nn.Conv2D(i(8), i(3)),
    "dropout": lambda i, f, b: nn.Dropout(f(0.5)),
    "network": lambda i, f, b: nn.Sequential([nn.Dense(i(3))], input_shape=(i(4),)),
    "momentum": lambda i, f, b: nn.Momentum(f(0.0625)),
    "adam": lambda i, f, b: nn.Adam(f(0.25), f(0.5)),
    "loss": lambda i, f, b: nn.SoftmaxCrossEntropy(f(0.125)),
    "augment": lambda i, f, b: data.Augment(b(True), i(4)),
}
TYPES = [(np.int64, np.float32), (np.int32, np.float64), (np.uint8, np.float16), (np.int16, np.longdouble)]


@pytest.mark.parametrize("types", TYPES, ids=str)
@pytest.mark.parametrize("name", MADE)
def test_a_description_is_the_one_made_of_python_s_numbers(name, types):
    found = json.dumps(MADE[name](*types, np.bool_).config())
    assert found == json.dumps(MADE[name](int, float, bool).config())


@pytest.mark.parametrize("value", [np.complex64(1j), np.datetime64("2020-01-01"), np.timedelta64(1), np.bytes_(b"3")])
def test_what_is_no_number_is_refused_in_a_line(value):
    for make, error in ((nn.Dense, StructureError), (lambda v: Job("a", rounds=v), UsageError)):
        with pytest.raises(error) as refused:
            make(value)
        assert "is no number" in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_float_is_the_one_it_is_exactly():
    assert nn.Momentum(np.float32(0.05)).config()["learning_rate"] == float(np.float32(0.05))


def test_a_job_and_a_space_are_made_of_python_s_numbers():
    job = Job(
        "a", rounds=np.int64(3), learning_rate=np.float32(0.5), tree=(np.int64(1), np.int32(4)), trace=np.bool_(True)
    )
    same = Job("a", rounds=3, learning_rate=0.5, tree=(1, 4), trace=True)
    assert repr(job) == repr(same)
    assert repr(Int(np.int64(1), np.int32(9))) == repr(Int(1, 9))
    assert repr(Float(np.float32(0.5), np.float64(1))) == repr(Float(0.5, 1.0))
    assert repr(Several(Int(1, 2), np.int64(1), np.int64(2))) == repr(Several(Int(1, 2), 1, 2))
    assert Choice(np.int64(1), [np.float32(0.5)]).values == [1, [0.5]]
