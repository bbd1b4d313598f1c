"""The generated bits: no row twice, the target as said, and out of reach of a linear model."""

import numpy as np
import pytest

from nnlite.data import bits
from nnlite.errors import UsageError


@pytest.fixture(scope="module")
def dataset():
    return bits.generate()


def numbers_of(x: np.ndarray) -> np.ndarray:
    return ((x > 0) << np.arange(bits.NUM_BITS)).sum(axis=1)


def test_shapes_and_values(dataset):
    assert (dataset.train.x.shape, dataset.test.x.shape) == ((40_000, 20), (10_000, 20))
    for split in (dataset.train, dataset.test):
        assert (split.x.dtype, split.y.dtype) == (np.int8, np.int8)
        assert set(np.unique(split.x)) == set(np.unique(split.y)) == {-1, 1}
    assert (dataset.num_classes, dataset.mean, dataset.std) == (1, (0.0,), (1.0,))


def test_no_row_comes_twice_in_train_and_test(dataset):
    numbers = np.concatenate([numbers_of(dataset.train.x), numbers_of(dataset.test.x)])
    assert len(np.unique(numbers)) == 50_000


def test_the_target_is_the_sign_of_the_three_products(dataset):
    for row, y in zip(dataset.test.x[:500].tolist(), dataset.test.y.tolist(), strict=False):
        total = row[0] * row[1] + row[2] * row[3] + row[4] * row[5]
        assert total != 0
        assert y == (1 if total > 0 else -1)


def test_a_linear_model_is_no_better_than_a_coin_and_products_solve_it(dataset):
    train, test = dataset.train, dataset.test

    def accuracy(features) -> float:
        fit = np.linalg.lstsq(features(train.x), train.y.astype(float), rcond=None)[0]
        return float(np.mean(np.sign(features(test.x) @ fit) == test.y))

    assert accuracy(lambda x: np.c_[x, np.ones(len(x))].astype(float)) < 0.53
    assert accuracy(lambda x: (x[:, 0:6:2] * x[:, 1:6:2]).astype(float)) == 1.0


def test_it_is_the_same_everywhere(dataset):
    assert dataset.digest() == bits.generate().digest()
    assert dataset.digest().startswith("3fb5ff1207b5224b")  # of PCG64's raw stream, which NumPy keeps


@pytest.mark.parametrize("counts", [(0, 10), (10, 0), (2**20, 1)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(UsageError):
        bits.generate(*counts)
