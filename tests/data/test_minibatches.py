"""Minibatches: no row dropped or doubled, and a pure function of (seed, worker, step)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlite.data.augment import Augment
from nnlite.data.dataset import Split, to_float
from nnlite.data.minibatches import Batcher, Minibatches
from nnlite.errors import UsageError


@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 3))
def test_every_row_comes_exactly_once_an_epoch(num_rows, batch_size, epoch):
    minibatches = Minibatches(num_rows, batch_size, seed=1, worker=2)
    steps = range(epoch * minibatches.steps_per_epoch, (epoch + 1) * minibatches.steps_per_epoch)
    batches = [minibatches.indices(step) for step in steps]
    assert sorted(np.concatenate(batches).tolist()) == list(range(num_rows))
    assert all(len(batch) == min(batch_size, num_rows) for batch in batches[:-1])
    assert 1 <= len(batches[-1]) <= batch_size


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20))
def test_a_step_is_the_same_whatever_was_asked_before(steps):
    asked = Minibatches(23, 5, seed=3, worker=1)
    for step in steps:
        fresh = Minibatches(23, 5, seed=3, worker=1)
        np.testing.assert_array_equal(asked.indices(step), fresh.indices(step))


def test_epochs_workers_and_seeds_have_orders_of_their_own():
    def order(seed: int, worker: int, epoch: int) -> tuple:
        return tuple(Minibatches(50, 50, seed, worker).indices(epoch).tolist())

    cases = [(seed, worker, epoch) for seed in (0, 1, 2**32 - 1) for worker in range(5) for epoch in range(5)]
    assert len({order(*case) for case in cases}) == len(cases)


def test_what_is_handed_out_cannot_spoil_the_order():
    minibatches = Minibatches(6, 4, 0, 0)
    with pytest.raises(ValueError, match="read-only"):
        minibatches.indices(0)[0] = 1


@pytest.mark.parametrize(
    "arguments", [(0, 1, 0, 0), (5, 0, 0, 0), (5, -1, 0, 0), (5, 1, -1, 0), (5, 1, 2**32, 0), (5, 1, 0, -1)]
)
def test_what_cannot_be_meant_is_refused(arguments):
    with pytest.raises(UsageError):
        Minibatches(*arguments)


def test_a_negative_step_is_refused():
    with pytest.raises(UsageError):
        Minibatches(5, 2, 0, 0).indices(-1)


def images(n: int = 30, channels: int = 3) -> Split:
    rng = np.random.default_rng(5)
    return Split(rng.integers(0, 256, (n, channels, 8, 9), np.uint8), np.arange(n, dtype=np.uint8))


MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)


def test_batches_are_the_rows_of_the_indices_as_float():
    split, minibatches = images(), Minibatches(30, 8, 1, 0)
    batcher = Batcher(split, MEAN, STD, Minibatches(30, 8, 1, 0))
    for step in (0, 3, 4, 2, 9):  # 3 is the small last one
        indices = minibatches.indices(step)
        x, y = batcher.batch(step)
        assert x.dtype == np.float32
        np.testing.assert_array_equal(x, to_float(split.x[indices], MEAN, STD))
        np.testing.assert_array_equal(y, split.y[indices])


def test_buffers_are_used_again():
    batcher = Batcher(images(), MEAN, STD, Minibatches(30, 8, 1, 0))
    first, second = batcher.batch(0), batcher.batch(1)
    assert np.shares_memory(first[0], second[0])
    assert np.shares_memory(first[1], second[1])


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_rows_of_numbers_are_only_converted(dtype):
    split = Split(np.array([[-1, 1], [1, 1], [1, -1]], dtype), np.array([1, -1, 1], np.int8))
    x, y = Batcher(split, (0.0,), (1.0,), Minibatches(3, 3, 0, 0)).batch(0)
    assert sorted(zip(x.tolist(), y.tolist(), strict=True)) == [([-1, 1], 1), ([1, -1], 1), ([1, 1], -1)]


def test_an_augmented_step_is_always_the_same_and_no_other():
    def batch(seed: int, worker: int, step: int) -> bytes:
        minibatches = Minibatches(30, 30, seed, worker)
        one_image = images().take(np.zeros(30, int))  # thirty times: so only augmentation differs
        x, _ = Batcher(one_image, MEAN, STD, minibatches, Augment(flip=True, crop=2)).batch(step)
        return x.tobytes()

    assert batch(1, 2, 3) == batch(1, 2, 3)
    assert len({batch(seed, worker, step) for seed in (1, 2) for worker in (0, 1) for step in (0, 1)}) == 8


def test_mixed_minibatches():
    """Each image with one other of its minibatch, in the shares that its targets are told."""
    split, shares = images(), []
    whole, mixing = (Batcher(split, MEAN, STD, Minibatches(30, 8, 1, 0), one) for one in (None, Augment(mixup=0.5)))
    for step in range(40):
        x, y = (part.copy() for part in whole.batch(step))
        mixed, targets = mixing.batch(step)
        assert len(targets) == len(y)
        np.testing.assert_array_equal(targets.first, y)
        assert sorted(targets.second) == sorted(y)
        partners = x[[list(y).index(one) for one in targets.second]]
        np.testing.assert_allclose(mixed, targets.share * x + (1 - targets.share) * partners, rtol=1e-5, atol=1e-6)
        shares.append(targets.share)
    assert min(shares) < 0.1
    assert max(shares) > 0.9
    assert mixing.batch(7)[1].share == shares[7]


def test_augmentation_leaves_the_split_alone():
    split = images()
    before = split.x.copy()
    batcher = Batcher(split, MEAN, STD, Minibatches(30, 7, 1, 0), Augment(flip=True, crop=3))
    for step in range(10):
        batcher.batch(step)
    mixing = Batcher(split, MEAN, STD, Minibatches(30, 7, 1, 0), Augment(mixup=1.0))
    for step in range(10):
        mixing.batch(step)
    np.testing.assert_array_equal(split.x, before)


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match="29"):
        Batcher(images(), MEAN, STD, Minibatches(29, 8, 1, 0))
    bits = Split(np.ones((4, 3), np.int8), np.ones(4, np.int8))
    with pytest.raises(UsageError, match="images"):
        Batcher(bits, (0.0,), (1.0,), Minibatches(4, 2, 0, 0), Augment(flip=True))
