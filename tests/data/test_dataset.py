"""Datasets: what fits together, validation splits, digests, and numbers as a network wants them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlite.data.dataset import Dataset, Split, check_targets, to_float
from nnlite.errors import DataError, UsageError


def dataset(num_train: int = 20, num_test: int = 5) -> Dataset:
    def split(n: int, start: int) -> Split:
        x = (np.arange(n * 12).reshape(n, 3, 2, 2) + start).astype(np.uint8)
        return Split(x, (np.arange(n) % 4).astype(np.uint8))

    return Dataset("d", split(num_train, 0), split(num_test, 7), 4, tuple("abcd"), (0.5,) * 3, (0.2,) * 3)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.zeros((2, 3), np.float64), np.zeros(2, int)),
        (np.zeros((2, 3, 4), np.uint8), np.zeros(2, int)),
        (np.zeros((2, 3), np.uint8), np.zeros(3, int)),
        (np.zeros((2, 3), np.uint8), np.zeros((2, 1), int)),
        (np.zeros((2, 3), np.uint8), np.zeros(2, float)),
    ],
)
def test_rows_and_targets_that_do_not_fit_are_refused(x, y):
    with pytest.raises(DataError):
        Split(x, y)


def test_taken_rows_keep_their_targets():
    split = dataset().train
    part = split.take(np.array([3, 1, 3]))
    np.testing.assert_array_equal(part.x, split.x[[3, 1, 3]])
    assert part.y.tolist() == [3, 1, 3]
    assert len(part) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"test": Split(np.zeros((2, 12), np.uint8), np.zeros(2, int))},
        {"test": Split(np.zeros((2, 3, 2, 2), np.float32), np.zeros(2, int))},
        {"class_names": ("a",)},
        {"num_classes": 3, "class_names": ()},
        {"num_classes": 1, "class_names": ()},
    ],
)
def test_parts_that_do_not_fit_are_refused(change):
    with pytest.raises(DataError):
        replace(dataset(), **change)


@pytest.mark.parametrize(
    ("y", "num_classes"), [([0, 10], 10), ([-1, 3], 10), ([0, 1], 1), ([-1, 2], 1), ([], 10), ([0.5], 10)]
)
def test_targets_out_of_range_are_refused(y, num_classes):
    with pytest.raises(DataError, match="that/file"):
        check_targets(np.array(y), num_classes, "that/file")
    check_targets(np.array([0, 9]), 10, "good")
    check_targets(np.array([-1, 1], np.int8), 1, "good")


@given(st.integers(2, 60), st.floats(0.01, 0.99), st.integers(0, 5))
def test_a_validation_split_is_disjoint_and_loses_nothing(num_rows, fraction, seed):
    whole = dataset(num_rows)
    numbers = np.arange(num_rows, dtype=np.uint8)[:, None].repeat(2, axis=1)
    test = Split(np.zeros((1, 2), np.uint8), np.zeros(1, int))
    whole = replace(whole, train=Split(numbers, whole.train.y), test=test, mean=(0.5,), std=(0.2,))
    if round(num_rows * fraction) in (0, num_rows):
        with pytest.raises(UsageError):
            whole.split_validation(fraction, seed)
        return
    rest, validation = whole.split_validation(fraction, seed)
    assert len(validation) == round(num_rows * fraction)
    rows = [*rest.train.x[:, 0].tolist(), *validation.x[:, 0].tolist()]
    assert sorted(rows) == list(range(num_rows))
    for part in (rest.train, validation):
        np.testing.assert_array_equal(part.y, part.x[:, 0] % 4)
    again = whole.split_validation(fraction, seed)[1]
    np.testing.assert_array_equal(validation.x, again.x)


def test_validation_splits_of_other_seeds_differ():
    chosen = {dataset(40).split_validation(0.5, seed)[1].x.tobytes() for seed in range(5)}
    assert len(chosen) == 5


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_impossible_fractions_are_refused(fraction):
    with pytest.raises(UsageError):
        dataset().split_validation(fraction, 0)


def test_the_digest_is_of_the_content_and_of_nothing_else():
    one = dataset()
    assert one.digest() == dataset().digest()
    assert one.digest() == replace(one, name="other", note="n", mean=(0.0,) * 3).digest()
    assert len(one.digest()) == 64
    x = one.train.x
    changed = x.copy()
    changed[0, 0, 0, 0] ^= 1
    others = [
        replace(one, train=Split(changed, one.train.y)),
        replace(one, train=Split(x, one.train.y[::-1].copy())),
        replace(one, train=Split(x, one.train.y.astype(np.int8))),  # the same bytes
        replace(one, test=one.test.take(np.arange(4))),
        replace(one, train=one.test, test=one.train),
        replace(
            one,
            train=Split(x.reshape(20, 12), one.train.y),
            test=Split(one.test.x.reshape(5, 12), one.test.y),
            mean=(0.5,),
            std=(0.2,),
        ),
    ]
    assert len({one.digest(), *(other.digest() for other in others)}) == 1 + len(others)


def test_the_digest_does_not_depend_on_memory_or_byte_order():
    one = dataset()
    big = Split(np.asfortranarray(one.train.x), one.train.y.astype(">i4"))
    little = Split(one.train.x, one.train.y.astype("<i4"))
    assert replace(one, train=big).digest() == replace(one, train=little).digest()


def test_bytes_become_standard_units_per_channel():
    x = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 6), np.uint8)
    mean, std = (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)
    expected = (x / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    out = np.full(x.shape, np.nan, np.float32)
    assert to_float(x, mean, std, out=out) is out
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(to_float(x, mean, std), out)
    flat = to_float(x.reshape(4, -1), (0.1,), (0.2,))
    np.testing.assert_allclose(flat, (x.reshape(4, -1) / 255 - 0.1) / 0.2, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("mean", "std"), [((0.1,) * 2, (0.2,) * 2), ((0.1,), (0.2,) * 3), ((), ())])
def test_means_that_do_not_fit_are_refused(mean, std):
    with pytest.raises(UsageError):
        to_float(np.zeros((4, 3, 5, 6), np.uint8), mean, std)


def with_holes(shape, *places) -> np.ndarray:
    x = np.zeros(shape, np.float32)
    for place, value in places:
        x[place] = value
    return x


@pytest.mark.parametrize(
    ("x", "where"),
    [
        (with_holes((5, 4), ((3, 2), np.nan)), "nan in row 3, column 2, counted from 0:"),
        (
            with_holes((5, 4), ((3, 2), np.inf), ((1, 0), -np.inf)),
            r"-inf in row 1, column 0, counted from 0 .and 1 more.:",
        ),
        (
            with_holes((5, 1, 2, 3), ((4, 0, 1, 2), np.nan)),
            "nan in sample 4, channel 0, row 1, column 2, counted from 0:",
        ),
    ],
)
def test_what_is_no_number_is_found_when_the_data_are_made(x, where):
    with pytest.raises(DataError, match=f"x holds {where} remove such rows, or replace the values"):
        Split(x, np.zeros(5, np.uint8))


def test_the_largest_numbers_are_numbers():
    limit = np.finfo(np.float32).max
    assert len(Split(np.array([[limit, -limit]], np.float32), np.zeros(1, np.uint8))) == 1
    assert len(Split(np.zeros((0, 4), np.float32), np.zeros(0, np.uint8))) == 0


@pytest.mark.parametrize(
    ("mean", "std", "words"),
    [
        ((0.5,), (0.0,), "std above 0"),
        ((0.5,), (-1.0,), "std above 0"),
        ((0.5,), (float("nan"),), "must be numbers"),
        ((float("inf"),), (1.0,), "must be numbers"),
        ((0.5, 0.5), (1.0, 1.0), "1 or 3 numbers each"),
        ((0.5,), (1.0, 1.0, 1.0), "1 or 3 numbers each"),
        ((), (), "1 or 3 numbers each"),
    ],
)
def test_a_mean_or_a_deviation_that_makes_no_numbers_is_refused(mean, std, words):
    rows = Split(np.zeros((4, 3, 2, 2), np.uint8), np.arange(4, dtype=np.uint8))
    with pytest.raises(DataError, match=f"d: .*{words}"):
        Dataset("d", rows, rows, 4, (), mean, std)


@pytest.mark.parametrize("dtype", [np.float32, np.int8])
def test_numbers_are_used_as_they_are_so_a_scale_for_them_is_refused(dtype):
    """It would be ignored."""
    rows = Split(np.zeros((4, 3), dtype), np.arange(4, dtype=np.uint8))
    with pytest.raises(DataError, match=r"used as they are: .* mean .0,. and std .1,., not .0\.5,. and .0\.2,."):
        Dataset("d", rows, rows, 4, (), (0.5,), (0.2,))
