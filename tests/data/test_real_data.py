"""The real files, where they are: read whole, upright, with the constants of the catalog."""

import numpy as np
import pytest

from nnlite.data import catalog
from nnlite.data.dataset import to_float
from nnlite.errors import DataError

CASES = {
    "mnist": ((60_000, 10_000), (1, 28, 28), "", 1e-4),
    "emnist-bymerge": (
        (99_845, 16_323),
        (1, 28, 28),
        "subset: 99,845 of 697,932 train, 16,323 of 116,323 test",
        1e-4,
    ),
    # pixels recompressed by JPEG here, so only near the constants of the official files
    "cifar10": ((10_000, 2_000), (3, 32, 32), "subset: 10,000 of 50,000 train, 2,000 of 10,000 test", 0.003),
}


@pytest.mark.parametrize("name", CASES)
def test_counts_notes_and_constants(name, real_data):
    counts, shape, note, tolerance = CASES[name]
    dataset = catalog.load(name, data_dir=real_data)
    assert ((len(dataset.train), len(dataset.test)), dataset.input_shape, dataset.note) == (
        counts,
        shape,
        note,
    )
    assert len(dataset.class_names) == dataset.num_classes
    assert set(np.unique(dataset.train.y)) == set(range(dataset.num_classes))
    x = dataset.train.x
    mean = [x[:, channel].mean() / 255 for channel in range(shape[0])]
    std = [x[:, channel].std() / 255 for channel in range(shape[0])]
    np.testing.assert_allclose(mean, dataset.mean, atol=tolerance)
    np.testing.assert_allclose(std, dataset.std, atol=tolerance)
    standard = to_float(x[:20_000], dataset.mean, dataset.std)
    assert abs(float(standard.mean())) < 0.05
    assert abs(float(standard.std()) - 1) < 0.05


def test_digits_of_emnist_look_like_digits_of_mnist(real_data):
    """Upright: the mean image of a digit is nearer to MNIST's than to the transpose of MNIST's."""
    ours, theirs = (catalog.load(name, data_dir=real_data) for name in ("emnist-bymerge", "mnist"))
    for digit in (1, 2, 4, 5, 7):
        one = ours.train.x[ours.train.y == digit, 0].mean(axis=0).ravel()
        other = theirs.train.x[theirs.train.y == digit, 0].mean(axis=0)
        upright, lying = (np.corrcoef(one, image.ravel())[0, 1] for image in (other, other.T))
        assert upright > lying + 0.15, digit


def test_mnist_is_not_taken_for_fashion(real_data):
    with pytest.raises(DataError, match="these are the files of mnist"):
        catalog.load("fashion-mnist", data_dir=real_data / "mnist")
