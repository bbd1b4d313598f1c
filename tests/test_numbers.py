"""Law: what is made of NumPy's numbers is what is made of Python's, and is described by the same JSON."""

import dataclasses
import inspect
import json
import types
from collections.abc import Sequence
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlite import data, nn
from nnlite.described import _registry
from nnlite.errors import NnliteError, StructureError, UsageError
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


# ---- of every class that can be described

KINDS = {
    name: kind
    for name, kind in sorted(_registry.items())
    if kind.builtin and dataclasses.is_dataclass(kind) and not inspect.isabstract(kind)
}
INSIDE = {  # a field's annotation, where it is a description -> one
    nn.Layer: nn.Dense(2), nn.Initializer: nn.He(), nn.Schedule: nn.Cosine(0.5, 8), nn.Optimizer: nn.SGD(0.5),
}  # fmt: skip
WHOLE = st.integers(0, 8)
FRACTION = st.integers(0, 16).map(lambda n: n / 16) | st.floats(0, 1, width=16)


def values_of(hint: Any, number: type, fraction: type) -> st.SearchStrategy[tuple[Any, Any]]:
    """A value of that type, and the same of NumPy's numbers."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return st.one_of(*(values_of(one, number, fraction) for one in inner))
    if origin in (tuple, list, Sequence):
        one, several = values_of(inner[0], number, fraction), inner[1:] in ((), (Ellipsis,))
        made = st.lists(one, min_size=1, max_size=3) if several else st.tuples(*(
            values_of(each, number, fraction) for each in inner))  # fmt: skip
        return made.map(lambda pairs: (tuple(p for p, _ in pairs), tuple(n for _, n in pairs)))
    if hint in (int, float, bool):
        drawn = {int: WHOLE, float: FRACTION, bool: st.booleans()}[hint]
        kind = {int: number, float: fraction, bool: np.bool_}[hint]
        return drawn.map(lambda value: (value, kind(value)))
    return st.just((None, None) if hint is type(None) else (INSIDE.get(hint, "auto"),) * 2)


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(drawn=st.data())
def test_whatever_is_described_is_the_same_of_numpy_s_numbers(name, drawn):
    number, fraction = drawn.draw(st.sampled_from(TYPES))
    hints = get_type_hints(KINDS[name])
    pairs = {}
    for field in dataclasses.fields(KINDS[name]):
        is_needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if is_needed or drawn.draw(st.booleans()):
            pairs[field.name] = drawn.draw(values_of(hints[field.name], number, fraction))

    def made(which):
        try:
            return KINDS[name](**{field: pair[which] for field, pair in pairs.items()})
        except NnliteError as error:
            return f"{type(error).__name__}: {error}"

    of_python, of_numpy = made(0), made(1)
    assert of_numpy == of_python
    if not isinstance(of_python, str):
        assert json.dumps(of_numpy.config()) == json.dumps(of_python.config())
