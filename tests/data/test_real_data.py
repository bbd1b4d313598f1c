"""Real images in files of the official formats: read whole, upright; and the full sets, where they are."""

import os
import subprocess
import sys

import numpy as np
import pytest

from nnlite.data import catalog
from nnlite.data.dataset import to_float
from nnlite.errors import DataError
from tests import real_data

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
def test_counts_notes_and_constants(name):
    counts, shape, note, tolerance = CASES[name]
    dataset = catalog.load(name, data_dir=real_data.full(catalog.entry(name).folders[0]))
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


def test_digits_of_emnist_look_like_digits_of_mnist():
    """Upright: the mean image of a digit is nearer to MNIST's than to the transpose of MNIST's."""
    folders = real_data.full("emnist"), real_data.full("mnist")
    ours, theirs = (catalog.load(n, data_dir=f) for n, f in zip(("emnist-bymerge", "mnist"), folders, strict=True))
    for digit in (1, 2, 4, 5, 7):
        one = ours.train.x[ours.train.y == digit, 0].mean(axis=0).ravel()
        other = theirs.train.x[theirs.train.y == digit, 0].mean(axis=0)
        upright, lying = (np.corrcoef(one, image.ravel())[0, 1] for image in (other, other.T))
        assert upright > lying + 0.15, digit


def test_mnist_is_not_taken_for_fashion():
    with pytest.raises(DataError, match="these are the files of mnist"):
        catalog.load("fashion-mnist", data_dir=real_data.full("mnist") / "mnist")


def test_what_did_not_run_for_want_of_data_is_said_at_the_end():
    """By pytest itself, in a process of its own that has none."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "taken_for_fashion"]
    environ = {**os.environ, real_data.VARIABLE: "/nowhere"}
    done = subprocess.run(command, cwd=real_data.REPOSITORY, env=environ, capture_output=True, text=True, check=False)
    assert "tests of the full datasets that did not run: 1 (NNLITE_TEST_DATA=DIR)" in done.stdout, done.stdout


SUBSET = "subset: 6,000 of {:,} train, 1,000 of {:,} test"


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("fashion-mnist", SUBSET.format(60_000, 10_000)),
        ("emnist-bymerge", SUBSET.format(697_932, 116_323)),
        ("cifar10", SUBSET.format(50_000, 10_000)),
    ],
)
def test_the_bundled_images_come_back_from_every_official_format(name, note, sample_dir):
    """Pixel by pixel, upright, in the same order."""
    dataset, sample = catalog.load(name, data_dir=sample_dir), real_data.sample()
    assert dataset.note == note
    for found, wanted in ((dataset.train, sample.train), (dataset.test, sample.test)):
        x = real_data.framed(wanted.x) if name == "cifar10" else wanted.x
        np.testing.assert_array_equal(found.x, x, strict=True)
        np.testing.assert_array_equal(found.y, wanted.y)
