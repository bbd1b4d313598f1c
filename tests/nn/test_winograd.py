"""The ways to convolve agree: Winograd and rowwise against im2col, which the loop reference holds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlite import nn
from nnlite.errors import StructureError
from nnlite.nn.convolution.cook_toom import cook_toom, cook_toom_halves
from nnlite.nn.convolution.grouped import Depthwise, Grouped
from nnlite.nn.convolution.im2col import Im2col
from nnlite.nn.convolution.pointwise import Pointwise
from nnlite.nn.convolution.rowwise import Rowwise
from nnlite.nn.convolution.winograd import Winograd
from nnlite.nn.layer import Workspace

laws = settings(deadline=None, derandomize=True, database=None, max_examples=60)


def run(layer, x, weight, bias, dy):
    """(y, dx, d_weight, d_bias) of a layer for x (H, W, n, C)."""
    ws = Workspace(x.dtype, {})
    p = {"weight": weight, "bias": bias}
    g = {name: np.full_like(tensor, np.nan) for name, tensor in p.items()}
    y = layer.forward(p, x, ws).copy()
    dx = layer.backward(p, g, x, y, dy.copy(), ws)
    return y, dx, g["weight"], g["bias"]


def difference(a, b):
    return np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-300)


def example(rng, height, width, n, channels, layer, dtype):
    x = rng.standard_normal((height, width, n, channels)).astype(dtype)
    weight = rng.standard_normal((layer.kernel, layer.kernel, channels, layer.filters)).astype(dtype)
    filters, rows, columns = layer.output_shape((channels, height, width))
    dy = rng.standard_normal((rows, columns, n, filters)).astype(dtype)
    return x, weight, rng.standard_normal(filters).astype(dtype), dy


sizes = st.integers(1, 19)


@laws
@given(
    height=sizes, width=sizes, n=st.integers(1, 7), channels=st.integers(1, 9), filters=st.integers(1, 9),
    kernel=st.sampled_from([3, 5]), padding=st.sampled_from(["same", "valid"]), seed=st.integers(0, 999),
)  # fmt: skip
def test_winograd_is_a_convolution(height, width, n, channels, filters, kernel, padding, seed):
    if padding == "valid":
        height, width = height + kernel - 1, width + kernel - 1
    layer = nn.Conv2D(filters, kernel, padding=padding, algorithm="winograd")
    plain = nn.Conv2D(filters, kernel, padding=padding, algorithm="im2col")
    arrays = example(np.random.default_rng(seed), height, width, n, channels, layer, np.float64)
    for found, expected in zip(run(layer, *arrays), run(plain, *arrays), strict=True):
        assert difference(found, expected) < 1e-12


@laws
@given(
    height=sizes, width=sizes, n=st.integers(1, 7), channels=st.integers(1, 9), filters=st.integers(1, 9),
    kernel=st.integers(1, 6), stride=st.integers(1, 4), padding=st.sampled_from(["same", "valid"]),
    seed=st.integers(0, 999),
)  # fmt: skip
def test_rowwise_is_a_convolution(height, width, n, channels, filters, kernel, stride, padding, seed):
    if padding == "valid":
        height, width = height + kernel - 1, width + kernel - 1
    layer = nn.Conv2D(filters, kernel, stride, padding, algorithm="rowwise")
    plain = nn.Conv2D(filters, kernel, stride, padding, algorithm="im2col")
    arrays = example(np.random.default_rng(seed), height, width, n, channels, layer, np.float64)
    for found, expected in zip(run(layer, *arrays), run(plain, *arrays), strict=True):
        assert difference(found, expected) < 1e-12


@pytest.mark.parametrize(("m", "r"), [(2, 3), (4, 3), (4, 5), (6, 3), (3, 2), (1, 4), (5, 1)])
def test_cook_toom_filters(m, r):
    outputs, filters, data = cook_toom(m, r)
    rng = np.random.default_rng(0)
    g, d = rng.standard_normal(r), rng.standard_normal(m + r - 1)
    y = outputs @ ((filters @ g) * (data @ d))
    np.testing.assert_allclose(y, np.correlate(d, g, "valid"), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("m", "r"), [(2, 3), (4, 3), (4, 5), (6, 3), (6, 5)])
def test_halves_of_the_data_transform(m, r):
    outputs, filters, halves = cook_toom_halves(m, r)
    rng = np.random.default_rng(0)
    g, d = rng.standard_normal(r), rng.standard_normal(m + r - 1)
    even, odd = halves[0] @ d[0::2], halves[1] @ d[1::2]
    transformed = np.stack([even + odd, even - odd])
    transformed[:, 0] = even[0], odd[0]  # zero and infinity stand alone
    y = np.einsum("kai,ai->k", outputs, (filters @ g) * transformed)
    np.testing.assert_allclose(y, np.correlate(d, g, "valid"), rtol=1e-9, atol=1e-9)


def test_cook_toom_without_enough_points():
    with pytest.raises(ValueError, match="needs 15 points"):
        cook_toom(8, 9)


@pytest.mark.parametrize(
    ("layer", "channels", "expected"),
    [
        (nn.Conv2D(64, 5), 64, Winograd),
        (nn.Conv2D(64, 3), 32, Winograd),
        (nn.Conv2D(64, 5), 3, Rowwise),
        (nn.Conv2D(16, 3), 16, Rowwise),
        (nn.Conv2D(16, 5), 16, Winograd),
        (nn.Conv2D(64, 5, stride=2), 64, Im2col),
        (nn.Conv2D(64, 7), 64, Im2col),
        (nn.Conv2D(2, 5), 64, Im2col),
        (nn.Conv2D(64, 5, algorithm="im2col"), 64, Im2col),
        (nn.Conv2D(2, 3, algorithm="winograd"), 1, Winograd),
        (nn.Conv2D(64, 5, algorithm="rowwise"), 64, Rowwise),
        (nn.Conv2D(64, 1), 64, Pointwise),
        (nn.Conv2D(64, 1, 2), 3, Pointwise),
        (nn.Conv2D(64, 3, dilation=2), 64, Im2col),
        (nn.Conv2D(64, 3, groups=64), 64, Depthwise),
        (nn.Conv2D(128, 3, groups=64), 64, Grouped),
        (nn.Conv2D(64, 3, groups=64, algorithm="im2col"), 64, Grouped),
    ],
)
def test_choice(layer, channels, expected):
    assert type(layer.convolution((channels, 16, 16))) is expected


@pytest.mark.parametrize(
    ("kernel", "side", "expected"), [(3, 1, Im2col), (3, 2, Im2col), (3, 3, Winograd), (5, 1, Im2col), (5, 2, Winograd)]
)
def test_images_smaller_than_a_tile(kernel, side, expected):
    """A tile takes 36 products for up to 16 outputs of 9 taps, or 64 for those of 25, however few of them there are."""
    assert type(nn.Conv2D(64, kernel).convolution((64, side, side))) is expected


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.Conv2D(4, 4, algorithm="winograd"), "kernel 4"),
        (nn.Conv2D(4, 3, 2, algorithm="winograd"), "stride 2"),
        (nn.Conv2D(4, 3, algorithm="fft"), "'fft'"),
        (nn.Conv2D(3, 3, algorithm="winograd", groups=3), "groups 3"),
        (nn.Conv2D(3, 3, algorithm="rowwise", dilation=2), "dilation 2"),
        (nn.Conv2D(3, 3, algorithm="pointwise"), "for kernels of 1, .* kernel 3"),
        (nn.Conv2D(4, 3, groups=3), "3 channels and 4 filters cannot be shared out to 3 groups"),
        (nn.Conv2D(4, 3, groups=2), "3 channels and 4 filters cannot be shared out to 2 groups"),
        (nn.Conv2D(4, 3, groups=0), "0 groups"),
        (nn.Conv2D(4, 3, dilation=0), "dilation 0; wanted at least 1"),
        (nn.Conv2D(4, 3, padding="valid", dilation=4), "kernel of 9 does not fit into 8"),
    ],
)
def test_what_cannot_be_forced(layer, words):
    with pytest.raises(StructureError, match=words):
        nn.Sequential([layer, nn.Flatten()], (3, 8, 8))


def test_a_description_holds_the_algorithm():
    layer = nn.Conv2D(4, 3, algorithm="im2col")
    assert nn.Layer.from_config(layer.config()) == layer
    with pytest.raises(StructureError, match="unknown class 'Winograd'"):
        nn.Layer.from_config({"is": "Winograd"})
