"""Layout: names, shapes and offsets of one flat vector."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlite import nn
from nnlite.errors import StructureError
from nnlite.nn.parameters import aligned_empty, aligned_zeros
from tests.nn.helpers import laws, small_models

shapes = st.dictionaries(st.text("abc/", min_size=1, max_size=6), st.lists(st.integers(0, 5), max_size=4).map(tuple))


@laws
@given(shapes)
def test_tensors_lie_one_after_the_other(named):
    layout = nn.Layout(named)
    assert dict(layout) == named
    assert list(layout) == list(named)
    end = 0
    for name, part in layout.slices.items():
        assert part.start == end
        assert part.stop - part.start == int(np.prod(named[name]))
        end = part.stop
    assert layout.size == end


@laws
@given(shapes)
def test_views_share_the_vectors_memory(named):
    layout = nn.Layout(named)
    vector = np.arange(layout.size, dtype=np.float32)
    views = layout.views(vector)
    assert {name: view.shape for name, view in views.items()} == named
    joined = [views[name].ravel() for name in named]
    assert np.array_equal(np.concatenate([*joined, []]), vector)
    for name in named:
        views[name][...] += 1
    assert np.array_equal(vector, np.arange(layout.size) + 1)


@laws
@given(shapes)
def test_every_entry_has_a_name(named):
    layout = nn.Layout(named)
    vector = np.zeros(layout.size)
    views = layout.views(vector)
    for index in range(layout.size):
        name, _, inside = layout.name_at(index).partition("[")
        views[name][tuple(int(i) for i in inside.rstrip("]").split(",") if i)] = index
    assert np.array_equal(vector, np.arange(layout.size))
    with pytest.raises(IndexError, match=f"entry {layout.size} of"):
        layout.name_at(layout.size)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, bool])
@pytest.mark.parametrize("shape", [0, 1, 17, (3, 5), (2, 3, 4, 5), ()], ids=str)
def test_memory_starts_on_a_cache_line(shape, dtype):
    for make in (aligned_empty, aligned_zeros):
        for array in [make(shape, dtype) for _ in range(10)]:
            assert array.ctypes.data % 64 == 0 or array.size == 0
            assert array.flags.c_contiguous
            assert array.flags.writeable
            assert (array.dtype, array.shape) == (np.dtype(dtype), (shape,) if isinstance(shape, int) else shape)
    assert not aligned_zeros(shape, dtype).any()


@pytest.mark.parametrize("name", small_models())
def test_vectors_of_a_network(name):
    network = small_models()[name]
    for vector in (network.init(np.random.default_rng(0)), network.empty()):
        assert vector.shape == (network.layout.size,)
        assert vector.dtype == np.float32
        assert vector.ctypes.data % 64 == 0
    assert not network.empty().any()


LAYOUT = nn.Layout({"a": (2, 3), "b": (4,)})


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (np.zeros(9, np.float32), r"the parameter vector has shape \(9,\); this network wants \(10,\)"),
        (np.zeros((1, 10), np.float32), r"has shape \(1, 10\); this network wants \(10,\)"),
        (np.zeros(10, np.float16), "is float16"),
        (np.zeros(10, int), "is int64"),
        (np.zeros(20, np.float32)[::2], "contiguous: False"),
    ],
    ids=["size", "rank", "half", "integers", "strided"],
)
def test_other_vectors(vector, message):
    with pytest.raises(StructureError, match=message):
        LAYOUT.views(vector)
