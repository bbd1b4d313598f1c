"""The generated dataset of case A: the sign of a sum of products of bits.

A row is 20 bits as -1/+1, and the target is ::

    y = sign(x0*x1 + x2*x3 + x4*x5)          three odd numbers: the sum is never 0

What is to be learned: which six of twenty inputs matter, that they matter in pairs, and a majority vote of
the three pairs. A linear model cannot: every single x_i is uncorrelated with y (flip x0 and x1 together and
y stays, while x0 changes sign), so the best hyperplane is no better than a coin, at 50 %. A hidden layer can
build the products, and then the accuracy goes to 100 %: the data have no noise.
"""

import numpy as np

from nnlite.data.dataset import Dataset, Split
from nnlite.data.shuffle import permutation
from nnlite.errors import UsageError

NUM_BITS = 20
NUM_TRAIN = 40_000
NUM_TEST = 10_000
_SEED = 20


def generate(num_train: int = NUM_TRAIN, num_test: int = NUM_TEST) -> Dataset:
    """The dataset `bits`: always the same rows, none of them twice, within or across train and test.

    x: (N, 20) int8 in {-1, +1}; y: (N,) int8 in {-1, +1}.
    Raises UsageError if more than the 2**20 different rows are asked for.
    """
    total = num_train + num_test
    if num_train < 1 or num_test < 1 or total > 2**NUM_BITS:
        raise UsageError(f"bits has 1 to {2**NUM_BITS} different rows, not {num_train} train and {num_test} test")
    numbers = permutation(2**NUM_BITS, _SEED)[:total]
    x = rows(numbers)
    y = target(x)
    return Dataset(
        name="bits",
        train=Split(x[:num_train], y[:num_train]),
        test=Split(x[num_train:], y[num_train:]),
        num_classes=1,
        class_names=(),
        mean=(0.0,),
        std=(1.0,),
        note="generated",
    )


def rows(numbers: np.ndarray) -> np.ndarray:
    """The bits of integers in [0, 2**20), lowest first: (N,) int64 -> (N, 20) int8 in {-1, +1}."""
    bits = (numbers[:, None] >> np.arange(NUM_BITS)) & 1
    return (2 * bits - 1).astype(np.int8)


def target(x: np.ndarray) -> np.ndarray:
    """sign(x0*x1 + x2*x3 + x4*x5): (N, 20) int8 in {-1, +1} -> (N,) int8 in {-1, +1}."""
    total: np.ndarray = x[:, 0] * x[:, 1] + x[:, 2] * x[:, 3] + x[:, 4] * x[:, 5]
    return np.where(total > 0, 1, -1).astype(np.int8)
