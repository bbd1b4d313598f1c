"""Losses: means over samples, finite for any logits, gradients that pull towards the target, hits."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlite import nn
from nnlite.errors import StructureError
from tests.nn import reference
from tests.nn.helpers import WeightedSum, laws, seeds, small_models

LOSSES = [
    nn.SoftmaxCrossEntropy(),
    nn.SoftmaxCrossEntropy(0.1),
    nn.SoftmaxCrossEntropy(class_weights=(0.5, 2.0, 0.0, 1.0)),
    nn.SoftmaxCrossEntropy(0.3, (0.5, 2.0, 0.0, 1.0)),
    nn.HalfSquaredError(),
    nn.MeanSquaredError(),
    nn.Huber(),
    nn.Huber(0.3),
    nn.BinaryCrossEntropy(),
    nn.Hinge(),
    nn.Hinge(squared=True),
]


def loss_of(loss, outputs, targets):
    """(value, gradient (K, N)) for outputs (K, N)."""
    gradient = np.full_like(outputs, np.nan)
    return loss.value_and_gradient(outputs, targets, gradient), gradient


def weighed(loss, weights):
    outputs = np.zeros((1, 2))
    return loss.of_samples(outputs, np.ones(2), np.empty_like(outputs), np.array(weights, float))


def draw(loss, rng, num_outputs, num_samples):
    outputs = rng.standard_normal((num_outputs, num_samples))
    if isinstance(loss, nn.SoftmaxCrossEntropy) or (isinstance(loss, nn.Hinge) and num_outputs > 1):
        return outputs, rng.integers(0, num_outputs, num_samples)
    if isinstance(loss, nn.Hinge):
        return outputs, rng.choice([-1, 1], (num_samples, num_outputs))
    if isinstance(loss, nn.BinaryCrossEntropy):
        return outputs, rng.random((num_samples, num_outputs))
    return outputs, rng.standard_normal((num_samples, num_outputs))


@pytest.mark.parametrize(
    ("loss", "num_outputs"),
    [(loss, k) for loss in LOSSES for k in (4, 1) if k > 1 or not isinstance(loss, nn.SoftmaxCrossEntropy)],
    ids=str,
)
def test_values_and_gradients(loss, num_outputs):
    """Values as plain loops have them; gradients as differences of those loops."""
    outputs, targets = draw(loss, np.random.default_rng(1), num_outputs, 6)
    outputs *= 2
    value, gradient = loss_of(loss, outputs, targets)
    assert value == pytest.approx(reference.loss(loss, outputs.T, targets), rel=1e-12)
    for place in np.ndindex(outputs.shape):
        above, below = outputs.copy(), outputs.copy()
        above[place] += 1e-6
        below[place] -= 1e-6
        difference = reference.loss(loss, above.T, targets) - reference.loss(loss, below.T, targets)
        assert gradient[place] == pytest.approx(difference / 2e-6, abs=1e-8)


CASES = [(loss, k) for loss in LOSSES for k in (4, 1) if k > 1 or not isinstance(loss, nn.SoftmaxCrossEntropy)]


@pytest.mark.parametrize("of_classes", [False, True], ids=["samples", "classes and samples"])
@pytest.mark.parametrize(("loss", "num_outputs"), CASES, ids=str)
def test_weights_of_classes_and_samples(loss, num_outputs, of_classes):
    """Values as plain loops have them; gradients as differences of those loops."""
    rng = np.random.default_rng(7)
    loss = dataclasses.replace(
        loss, class_weights=rng.uniform(0, 3, max(2, num_outputs)).tolist() if of_classes else None
    )
    outputs, targets = draw(loss, rng, num_outputs, 6)
    weights, gradient = rng.uniform(0, 2, 6), np.full_like(outputs, np.nan)
    weights[0] = 0
    value = loss.of_samples(outputs, targets, gradient, weights)
    assert value == pytest.approx(reference.weighted_loss(loss, outputs.T, targets, weights), rel=1e-12)
    for place in np.ndindex(outputs.shape):
        above, below = outputs.copy(), outputs.copy()
        above[place] += 1e-6
        below[place] -= 1e-6
        values = [reference.weighted_loss(loss, moved.T, targets, weights) for moved in (above, below)]
        assert gradient[place] == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-8)


@pytest.mark.parametrize(("loss", "num_outputs"), CASES, ids=str)
def test_a_weight_of_2_is_the_sample_twice(loss, num_outputs):
    loss = dataclasses.replace(loss, class_weights=None)
    outputs, targets = draw(loss, np.random.default_rng(8), num_outputs, 4)
    gradient = np.empty_like(outputs)
    value = loss.of_samples(outputs, targets, gradient, np.array([2.0, 1, 1, 1]))
    twice = [0, 0, 1, 2, 3]
    wanted, of_twice = loss_of(loss, np.ascontiguousarray(outputs[:, twice]), targets[twice])
    assert 4 * value == pytest.approx(5 * wanted, rel=1e-12)
    np.testing.assert_allclose(4 * gradient[:, 1:], 5 * of_twice[:, 2:], rtol=1e-12)
    np.testing.assert_allclose(4 * gradient[:, 0], 5 * of_twice[:, :2].sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("loss", [*LOSSES, WeightedSum()], ids=str)
def test_mixed_targets_are_a_mixture_of_losses(loss):
    """Also of a loss of one's own, which knows neither mixtures nor weights."""
    rng = np.random.default_rng(9)
    (outputs, first), (_, second) = (draw(loss, rng, 4, 6) for _ in range(2))
    gradient = np.full_like(outputs, np.nan)
    value = loss.of_samples(outputs, nn.Mixed(first, second, 0.3), gradient)
    one, other = loss_of(loss, outputs, first), loss_of(loss, outputs, second)
    assert value == pytest.approx(0.3 * one[0] + 0.7 * other[0], rel=1e-12)
    np.testing.assert_allclose(gradient, 0.3 * one[1] + 0.7 * other[1], rtol=1e-12)


def test_networks_learn_from_weighted_and_mixed_samples():
    network, rng = small_models()["mlp"], np.random.default_rng(0)
    weights, x = network.init(rng).astype(float), rng.standard_normal((4, 1, 5, 4))
    y, shares = rng.integers(0, 6, (2, 4)), np.array([1.0, 0, 0, 0])
    gradients = np.empty((4, network.layout.size))
    loss = network.loss_and_gradient(weights, x, y[0], out=gradients[0], sample_weights=shares)
    alone = network.loss_and_gradient(weights, x[:1], y[0, :1], out=gradients[1])
    assert 4 * loss == pytest.approx(alone)
    np.testing.assert_allclose(4 * gradients[0], gradients[1], atol=1e-12)
    mixed = network.loss_and_gradient(weights, x, nn.Mixed(y[0], y[1], 0.25), out=gradients[0])
    plain = [network.loss_and_gradient(weights, x, one, out=out) for one, out in zip(y, gradients[1:], strict=False)]
    assert mixed == pytest.approx(0.25 * plain[0] + 0.75 * plain[1])
    np.testing.assert_allclose(gradients[0], 0.25 * gradients[1] + 0.75 * gradients[2], atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_huge_outputs_make_finite_losses(loss):
    outputs, targets = draw(loss, np.random.default_rng(2), 4, 6)
    value, gradient = loss_of(loss, (1e4 * outputs).astype(np.float32), targets)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert gradient.dtype == np.float32


def test_weights_of_equal_classes_change_nothing():
    outputs, labels = draw(nn.SoftmaxCrossEntropy(), np.random.default_rng(3), 4, 6)
    plain = loss_of(nn.SoftmaxCrossEntropy(), outputs, labels)
    weighted = loss_of(nn.SoftmaxCrossEntropy(class_weights=[2.0] * 4), outputs, labels)
    assert weighted[0] == pytest.approx(2 * plain[0], rel=1e-12)
    np.testing.assert_allclose(weighted[1], 2 * plain[1], rtol=1e-12)


def test_hits_of_several_labels_are_those_with_all_of_them_right():
    outputs = np.array([[2.0, -1.0, 1.0], [-3.0, -1.0, 1.0]])
    assert nn.BinaryCrossEntropy().num_correct(outputs, np.array([[1, 0], [0, 0], [1, 0]])) == 2
    assert nn.Hinge().num_correct(outputs, np.array([0, 1, 0])) == 2  # of equal ones the first
    assert nn.Hinge().num_correct(outputs[:1], np.array([1, 1, 1])) == 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.SoftmaxCrossEntropy(1.0), r"label_smoothing 1\.0; wanted a number in \[0, 1\)"),
        (lambda: nn.SoftmaxCrossEntropy(class_weights=(1, -1)), r"class_weights \(1, -1\); wanted none below 0"),
        (
            lambda: nn.Sequential([nn.Dense(3)], (2,), nn.SoftmaxCrossEntropy(0, (1, 2))),
            "2 class_weights for 3 outputs; wanted 3",
        ),
        (lambda: nn.Sequential([nn.Dense(1)], (2,), nn.Huber(1.0, [1])), "1 class_weights for 1 outputs; wanted 2"),
        (lambda: nn.Hinge(False, (np.nan, 1)), "Hinge: class_weights .* wanted none below 0"),
        (
            lambda: nn.SoftmaxCrossEntropy().value_and_gradient(np.zeros((2, 3)), np.zeros(3, int), np.zeros((3, 2)).T),
            "into a contiguous array",
        ),
        (
            lambda: weighed(nn.Huber(), [1, 2, 3]),
            r"Huber: weights of shape \(3,\) from 1 to 3 for 2 samples; wanted one",
        ),
        (lambda: weighed(nn.Huber(), [1, -2]), "Huber: weights .* from -2 to 1 .* none below 0"),
        (lambda: weighed(nn.Huber(), [1, np.nan]), "Huber: weights .* from nan to nan .* none below 0"),
        (lambda: weighed(WeightedSum(), [1, 1]), "WeightedSum knows no weights of samples: .* nn.WeightedLoss"),
        (lambda: nn.Huber(0.0), r"delta 0\.0; wanted a positive number"),
        (lambda: loss_of(nn.BinaryCrossEntropy(), np.zeros((1, 2)), np.array([-1, 1])), "targets from -1 to 1"),
        (lambda: loss_of(nn.BinaryCrossEntropy(), np.zeros((1, 2)), np.array([np.nan, 1])), "targets from nan"),
        (lambda: loss_of(nn.Hinge(), np.zeros((1, 2)), np.array([0, 1])), "wants targets of -1 and"),
        (lambda: loss_of(nn.Hinge(), np.zeros((3, 2)), np.array([0, 3])), "labels from 0 to 3 .* wanted 0 to 2"),
        (lambda: loss_of(nn.Huber(), np.zeros((3, 2)), np.array([0, 3])), "3 outputs for 2 samples"),
    ],
)
def test_losses_that_cannot_be(make, words):
    with pytest.raises(StructureError, match=words) as failure:
        make()
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_a_loss_is_a_mean_over_samples(loss):
    """Twice the same samples: the same loss, and half the gradient for each."""
    outputs, targets = draw(loss, np.random.default_rng(0), 4, 6)
    value, gradient = loss_of(loss, outputs, targets)
    twice, twice_gradient = loss_of(loss, np.tile(outputs, 2), np.concatenate([targets, targets]))
    assert twice == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(twice_gradient, np.tile(gradient, 2) / 2, rtol=1e-12)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_outputs_and_targets_stay_as_they_are(loss):
    outputs, targets = draw(loss, np.random.default_rng(0), 4, 6)
    before = outputs.copy(), targets.copy()
    loss_of(loss, outputs, targets)
    loss.num_correct(outputs, targets)
    assert np.array_equal(outputs, before[0])
    assert np.array_equal(targets, before[1])


@laws
@given(st.integers(2, 9), st.integers(1, 9), seeds)
def test_softmax_gradients_sum_to_zero_and_ignore_a_shift(num_classes, num_samples, seed):
    rng, loss = np.random.default_rng(seed), nn.SoftmaxCrossEntropy()
    outputs, labels = draw(loss, rng, num_classes, num_samples)
    value, gradient = loss_of(loss, outputs, labels)
    assert np.abs(gradient.sum(axis=0)).max() < 1e-15
    shifted, shifted_gradient = loss_of(loss, outputs + rng.standard_normal(num_samples), labels)
    assert shifted == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(shifted_gradient, gradient, atol=1e-14)


def test_softmax_of_equal_logits_is_log_of_the_number_of_classes():
    value, gradient = loss_of(nn.SoftmaxCrossEntropy(), np.full((10, 4), 3.0), np.arange(4))
    assert value == pytest.approx(np.log(10))
    assert gradient[5, 0] == pytest.approx(0.1 / 4)
    assert gradient[0, 0] == pytest.approx(-0.9 / 4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e4, 1e30])
def test_softmax_of_extreme_logits_is_finite(size, dtype):
    """Without subtracting the largest logit, exp(100) overflows float32 and exp(1000) float64."""
    outputs = np.array([[size, -size, size], [-size, size, size], [0, 0, -size]], dtype)
    labels = np.array([0, 0, 1])
    value, gradient = loss_of(nn.SoftmaxCrossEntropy(), outputs, labels)
    assert value == pytest.approx((0 + 2 * size + np.log(2)) / 3, rel=1e-5)
    wanted = np.array([[0, -1, 0.5], [0, 1, -0.5], [0, 0, 0]]) / 3
    np.testing.assert_allclose(gradient, wanted, atol=1e-7)


def test_softmax_counts_hits():
    outputs = np.array([[3.0, 0, 1, 2], [1, 2, 0, 5], [2, 1, 4, 0]])  # predicts 0, 1, 2, 1
    assert nn.SoftmaxCrossEntropy().num_correct(outputs, np.array([0, 1, 2, 1])) == 4
    assert nn.SoftmaxCrossEntropy().num_correct(outputs, np.array([0, 0, 2, 0])) == 2
    assert nn.SoftmaxCrossEntropy().num_correct(outputs, np.array([1, 0, 0, 0], np.uint8)) == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64])
def test_labels_may_be_any_integers(dtype):
    outputs, labels = draw(nn.SoftmaxCrossEntropy(), np.random.default_rng(0), 5, 7)
    wanted = loss_of(nn.SoftmaxCrossEntropy(), outputs, labels)[0]
    assert loss_of(nn.SoftmaxCrossEntropy(), outputs, labels.astype(dtype))[0] == wanted


@pytest.mark.parametrize(
    "labels",
    [np.zeros((3, 1), int), np.zeros((3, 4), int), np.zeros(3), np.array([0, 1, 4]), np.array([0, -1, 1])],
    ids=["column", "one-hot", "float", "too large", "negative"],
)
def test_labels_that_are_none(labels):
    """Each of these once trained on something else, silently, or failed inside NumPy."""
    with pytest.raises(StructureError, match="SoftmaxCrossEntropy"):
        loss_of(nn.SoftmaxCrossEntropy(), np.zeros((4, 3)), labels)


def test_half_squared_error_by_hand():
    outputs, targets = np.array([[1.0, 3.0], [0.0, -1.0]]), np.array([[2.0, 0.0], [3.0, 1.0]])
    value, gradient = loss_of(nn.HalfSquaredError(), outputs, targets)
    assert value == (0.5 * 1 + 0.5 * 4) / 2
    assert np.array_equal(gradient, np.array([[-1, 0], [0, -2]]) / 2)


@pytest.mark.parametrize("dtype", [np.int8, np.float32])
def test_half_squared_error_takes_a_row_of_targets(dtype):
    outputs = np.array([[0.5, -0.5, 1.0]])
    targets = np.array([1, 1, -1])
    row = loss_of(nn.HalfSquaredError(), outputs, targets.astype(dtype))
    column = loss_of(nn.HalfSquaredError(), outputs, targets[:, None].astype(float))
    assert row[0] == column[0]
    assert np.array_equal(row[1], column[1])


def test_half_squared_error_counts_equal_signs():
    outputs = np.array([[0.5, -0.5, 1.0, -2.0], [1.0, 1.0, -1.0, -1.0]])
    targets = np.array([[1, 1], [-1, -1], [1, -1], [-1, -1]])
    assert nn.HalfSquaredError().num_correct(outputs, targets) == 3


def test_half_squared_error_wants_as_many_targets_as_outputs():
    with pytest.raises(StructureError, match=r"2 outputs for 3 samples, but targets of shape \(3, 4\)"):
        loss_of(nn.HalfSquaredError(), np.zeros((2, 3)), np.zeros((3, 4)))
