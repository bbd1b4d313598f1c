"""The layers compute what plain loops compute (tests/nn/reference.py), forward and backward."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nnlite import nn
from tests.nn import reference
from tests.nn.helpers import ACTIVATIONS, difference, laws, paddings, seeds, through

EXACT = 1e-12
sizes, channels, batches = st.integers(1, 8), st.integers(1, 3), st.integers(1, 3)
kernels, strides = st.integers(1, 5), st.integers(1, 3)


def images(seed, n, c, h, w, integers=False):
    rng = np.random.default_rng(seed)
    shape = (n, c, h, w)
    return rng, rng.integers(-1, 2, shape).astype(float) if integers else rng.standard_normal(shape)


def fits(padding, kernel, *along):
    return padding == "same" or kernel <= min(along)


@laws
@given(batches, channels, sizes, sizes, channels, kernels, strides, paddings, seeds)
def test_convolution(n, c, h, w, filters, kernel, stride, padding, seed):
    assume(fits(padding, kernel, h, w))
    rng, x = images(seed, n, c, h, w)
    weight, bias = rng.standard_normal((kernel, kernel, c, filters)), rng.standard_normal(filters)
    wanted = reference.conv(x, weight, bias, stride, padding)
    dy = rng.standard_normal(wanted.shape)
    layer = nn.Conv2D(filters, kernel, stride, padding)
    passed = through(layer, x, dy, weight=weight, bias=bias)
    assert passed.y.shape == wanted.shape
    assert difference(passed.y, wanted) < EXACT
    dx, d_weight, d_bias = reference.conv_backward(x, weight, dy, stride, padding)
    assert difference(passed.dx, dx) < EXACT
    assert difference(passed.gradients["weight"], d_weight) < EXACT
    assert difference(passed.gradients["bias"], d_bias) < EXACT


@laws
@given(
    st.sampled_from([(4, 4, 4), (2, 2, 2), (4, 2, 2), (2, 6, 2), (6, 3, 3), (3, 6, 3), (2, 3, 1)]),
    *(batches, sizes, sizes, st.integers(1, 4), strides, paddings, st.integers(1, 3), seeds),
)
def test_groups_and_dilation(channels_filters_groups, n, h, w, kernel, stride, padding, dilation, seed):
    c, filters, groups = channels_filters_groups
    assume(fits(padding, (kernel - 1) * dilation + 1, h, w))
    rng, x = images(seed, n, c, h, w)
    weight, bias = rng.standard_normal((kernel, kernel, c // groups, filters)), rng.standard_normal(filters)
    wanted = reference.conv(x, weight, bias, stride, padding, groups, dilation)
    dy = rng.standard_normal(wanted.shape)
    backward = reference.conv_backward(x, weight, dy, stride, padding, groups, dilation)
    for algorithm in ("auto", "im2col"):
        layer = nn.Conv2D(filters, kernel, stride, padding, algorithm=algorithm, groups=groups, dilation=dilation)
        passed = through(layer, x, dy, weight=weight, bias=bias)
        assert difference(passed.y, wanted) < EXACT
        found = (passed.dx, passed.gradients["weight"], passed.gradients["bias"])
        for one, other in zip(found, backward, strict=True):
            assert difference(one, other) < EXACT


@laws
@given(batches, channels, sizes, sizes, channels, kernels, strides, paddings, seeds)
def test_convolution_and_its_backward_are_adjoint(n, c, h, w, filters, kernel, stride, padding, seed):
    """<conv(x), dy> == <x, dx> == <weight, d_weight>: im2col and col2im undo each other's bookkeeping."""
    assume(fits(padding, kernel, h, w))
    rng, x = images(seed, n, c, h, w)
    layer = nn.Conv2D(filters, kernel, stride, padding)
    weight = rng.standard_normal((kernel, kernel, c, filters))
    dy = rng.standard_normal((n, *layer.output_shape((c, h, w))))
    passed = through(layer, x, dy, weight=weight, bias=np.zeros(filters))
    product = np.vdot(passed.y, dy)
    scale = np.linalg.norm(passed.y) * np.linalg.norm(dy)
    assert abs(np.vdot(x, passed.dx) - product) <= 1e-12 * scale
    assert abs(np.vdot(weight, passed.gradients["weight"]) - product) <= 1e-12 * scale


@laws
@given(sizes, sizes, kernels, strides, paddings, seeds)
def test_convolution_is_linear(h, w, kernel, stride, padding, seed):
    assume(fits(padding, kernel, h, w))
    rng, x = images(seed, 2, 2, h, w)
    layer = nn.Conv2D(3, kernel, stride, padding)
    a, b = rng.standard_normal((2, kernel, kernel, 2, 3))
    p, q = rng.standard_normal((2, 3))

    def conv(inputs, weight, bias):
        return through(layer, inputs, weight=weight, bias=bias).y

    in_weights = conv(x, 2 * a - b, 2 * p - q) - (2 * conv(x, a, p) - conv(x, b, q))
    in_inputs = conv(3 * x, a, 3 * p) - 3 * conv(x, a, p)
    assert np.abs(in_weights).max() < 1e-11
    assert np.abs(in_inputs).max() < 1e-11


@laws
@given(batches, channels, sizes, sizes, kernels, strides, paddings, st.booleans(), seeds)
def test_max_pool(n, c, h, w, kernel, stride, padding, ties, seed):
    """With inputs of -1, 0 and 1 nearly every window has ties; all numbers are integers, so nothing rounds."""
    assume(fits(padding, kernel, h, w))
    rng, x = images(seed, n, c, h, w, integers=ties)
    wanted, _ = reference.max_pool(x, kernel, stride, padding)
    dy = rng.integers(1, 100, wanted.shape).astype(float)
    passed = through(nn.MaxPool2D(kernel, stride, padding), x, dy)
    assert np.array_equal(passed.y, wanted)
    assert np.array_equal(passed.dx, reference.max_pool_backward(x, dy, kernel, stride, padding))


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_max_pool_of_equal_entries_gives_all_to_the_first(value):
    x, dy = np.full((1, 1, 6, 6), value), np.arange(1.0, 10).reshape(1, 1, 3, 3)
    dx = through(nn.MaxPool2D(2, 2), x, dy).dx
    assert np.array_equal(dx[..., ::2, ::2], dy)
    assert dx.sum() == dy.sum()


def standardized(weight):
    """Filter by filter, and what its backward makes of d."""
    filters = [list(filter.ravel()) for filter in np.moveaxis(weight, -1, 0)]

    def stacked(rows):
        return np.stack([np.reshape(row, weight.shape[:-1]) for row in rows], axis=-1)

    def backward(d):
        of_filters = [list(one.ravel()) for one in np.moveaxis(d, -1, 0)]
        rows = [reference.normalized_backward(w, dv, 1e-5) for w, dv in zip(filters, of_filters, strict=True)]
        return stacked(rows)

    return stacked([reference.normalized(one, 1e-5) for one in filters]), backward


@laws
@given(batches, sizes, sizes, channels, kernels, strides, seeds)
def test_standardized_convolution(n, h, w, filters, kernel, stride, seed):
    rng, x = images(seed, n, 2, h, w)
    weight, bias = rng.standard_normal((kernel, kernel, 2, filters)), rng.standard_normal(filters)
    v, weight_backward = standardized(weight)
    wanted = reference.conv(x, v, bias, stride, "same")
    dy = rng.standard_normal(wanted.shape)
    passed = through(nn.Conv2D(filters, kernel, stride, standardized=True), x, dy, weight=weight, bias=bias)
    assert difference(passed.y, wanted) < EXACT
    dx, d_v, d_bias = reference.conv_backward(x, v, dy, stride, "same")
    assert difference(passed.dx, dx) < EXACT
    assert difference(passed.gradients["weight"], weight_backward(d_v)) < 1e-10
    assert difference(passed.gradients["bias"], d_bias) < EXACT


@laws
@given(batches, st.integers(2, 6), st.integers(1, 4), seeds)
def test_standardized_dense_is_such_a_convolution_of_one_pixel(n, d, units, seed):
    rng = np.random.default_rng(seed)
    x, dy = rng.standard_normal((n, d)), rng.standard_normal((n, units))
    weight, bias = rng.standard_normal((d, units)), rng.standard_normal(units)
    passed = through(nn.Dense(units, standardized=True), x, dy, weight=weight, bias=bias)
    v, weight_backward = standardized(weight)
    assert difference(passed.y, x @ v + bias) < EXACT
    assert difference(passed.dx, dy @ v.T) < EXACT
    assert difference(passed.gradients["weight"], weight_backward(x.T @ dy)) < 1e-10


@laws
@given(batches, st.integers(1, 9), st.integers(0, 5), st.sampled_from([0.75, 0.5, 1.0, 2.2]), seeds)
def test_local_response_norm(n, c, radius, beta, seed):
    rng, x = images(seed, n, c, 2, 3)
    dy = rng.standard_normal(x.shape)
    passed = through(nn.LocalResponseNorm(radius, 1.2, 0.4, beta), x, dy)
    assert difference(passed.y, reference.lrn(x, radius, 1.2, 0.4, beta)) < EXACT
    assert difference(passed.dx, reference.lrn_backward(x, dy, radius, 1.2, 0.4, beta)) < EXACT


@laws
@given(batches, channels, sizes, sizes, kernels, strides, paddings, seeds)
def test_average_pool(n, c, h, w, kernel, stride, padding, seed):
    assume(fits(padding, kernel, h, w))
    rng, x = images(seed, n, c, h, w)
    wanted = reference.average_pool(x, kernel, stride, padding)
    dy = rng.standard_normal(wanted.shape)
    passed = through(nn.AveragePool2D(kernel, stride, padding), x, dy)
    assert difference(passed.y, wanted) < EXACT
    assert difference(passed.dx, reference.average_pool_backward(x, dy, kernel, stride, padding)) < EXACT


@laws
@given(batches, channels, sizes, sizes, seeds)
def test_global_average_pool_is_an_average_pool_as_large_as_the_image(n, c, h, w, seed):
    side = max(h, w)
    rng, x = images(seed, n, c, side, side)
    dy = rng.standard_normal((n, c, 1, 1))
    one, other = (through(nn.GlobalAveragePool2D(), x, dy), through(nn.AveragePool2D(side, 1, "valid"), x, dy))
    assert difference(one.y, other.y) < EXACT
    assert difference(one.dx, other.dx) < EXACT


@laws
@given(batches, st.sampled_from([(1, 1), (1, 3), (2, 2), (2, 6), (4, 4)]), st.integers(1, 4), seeds)
def test_group_norm(n, groups_of, side, seed):
    groups, c = groups_of
    rng, x = images(seed, n, c, side, 2)
    gain, bias = rng.standard_normal((2, c))
    dy = rng.standard_normal(x.shape)
    passed = through(nn.GroupNorm(groups, 0.01), x, dy, gain=gain, bias=bias)
    assert difference(passed.y, reference.group_norm(x, gain, bias, groups, 0.01)) < EXACT
    dx, d_gain, d_bias = reference.group_norm_backward(x, gain, dy, groups, 0.01)
    assert difference(passed.dx, dx) < 1e-10
    assert difference(passed.gradients["gain"], d_gain) < 1e-10
    assert difference(passed.gradients["bias"], d_bias) < EXACT


@laws
@given(batches, st.integers(2, 8), seeds)
def test_layer_norm_is_a_group_norm_of_one_group(n, d, seed):
    """The features as channels of one pixel."""
    rng = np.random.default_rng(seed)
    x, dy = rng.standard_normal((2, n, d))
    gain, bias = rng.standard_normal((2, d))
    passed = through(nn.LayerNorm(0.01), x, dy, gain=gain, bias=bias)
    x, dy = x[:, :, None, None], dy[:, :, None, None]
    assert difference(passed.y, reference.group_norm(x, gain, bias, 1, 0.01)[:, :, 0, 0]) < EXACT
    dx, d_gain, d_bias = reference.group_norm_backward(x, gain, dy, 1, 0.01)
    assert difference(passed.dx, dx[:, :, 0, 0]) < 1e-10
    assert difference(passed.gradients["gain"], d_gain) < 1e-10
    assert difference(passed.gradients["bias"], d_bias) < EXACT


def test_group_norm_does_not_lose_the_variance_beside_a_large_mean():
    """In float32, a mean a thousand times the deviation: squares of x would have no digit of the variance left."""
    rng = np.random.default_rng(0)
    x = (1000 + rng.standard_normal((2, 4, 9, 9))).astype(np.float32)
    ones, zeros = np.ones(4, np.float32), np.zeros(4, np.float32)
    y = through(nn.GroupNorm(2), x, gain=ones, bias=zeros).y
    assert difference(y, reference.group_norm(x.astype(float), ones, zeros, 2, 1e-5)) < 1e-3


@pytest.mark.parametrize("shape", [(40,), (2, 5, 4)], ids=str)
@pytest.mark.parametrize("layer", ACTIVATIONS, ids=str)
def test_activations(layer, shape):
    rng = np.random.default_rng(0)
    x, dy = 3 * rng.standard_normal((2, 3, *shape))
    number = next(iter(vars(layer).values()), None)
    wanted = [reference.activation(type(layer).__name__, float(one), number) for one in x.ravel()]
    passed = through(layer, x, dy)
    assert difference(passed.y.ravel(), np.array([y for y, _ in wanted])) < EXACT
    assert difference(passed.dx.ravel(), np.array([slope for _, slope in wanted]) * dy.ravel()) < 1e-11


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=str)
def test_activations_of_huge_numbers_are_finite(layer):
    x = np.array([[-1e10, -1e4, -100, 0, 100, 1e4, 1e10]], np.float32)
    passed = through(layer, x, np.ones_like(x))
    assert np.isfinite(passed.y).all()
    assert np.isfinite(passed.dx).all()


@laws
@given(st.integers(1, 6), st.integers(1, 7), st.sampled_from([1.0, 10.0, 1e4]), seeds)
def test_softmax_cross_entropy(num_samples, num_classes, scale, seed):
    rng = np.random.default_rng(seed)
    logits = scale * rng.standard_normal((num_samples, num_classes))
    labels = rng.integers(0, num_classes, num_samples)
    d_outputs = np.empty((num_classes, num_samples))
    value = nn.SoftmaxCrossEntropy().value_and_gradient(np.ascontiguousarray(logits.T), labels, d_outputs)
    wanted, d_logits = reference.softmax_cross_entropy(logits, labels)
    assert value == pytest.approx(wanted, rel=1e-12, abs=1e-12)
    assert np.abs(d_outputs.T - d_logits).max() < 1e-14


@laws
@given(st.integers(1, 40), st.integers(1, 8), st.integers(1, 5), paddings)
def test_windows(size, kernel, stride, padding):
    """Layers and loops agree on where windows lie; every window of "same" holds at least one real entry."""
    assume(fits(padding, kernel, size))
    wanted = reference.windows(size, kernel, stride, padding)
    layers = nn.Conv2D(1, kernel, stride, padding), nn.MaxPool2D(kernel, stride, padding)
    for layer in layers:
        assert layer.output_shape((1, size, size)) == (1, len(wanted), len(wanted))
    assert all(wanted)
    assert layers[1].output_shape((1, size, kernel)) == (
        1,
        len(wanted),
        len(reference.windows(kernel, kernel, stride, padding)),
    )
