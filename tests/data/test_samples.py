"""The bundled sample of Fashion-MNIST: complete, balanced, upright, licensed, and really a part of it."""

from pathlib import Path

import numpy as np
import pytest

from nnlite.data import catalog, idx, mnist

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture(scope="module")
def sample():
    return catalog.load("fashion-sample", download=False)


def test_it_is_balanced(sample):
    assert np.bincount(sample.train.y).tolist() == [600] * 10
    assert np.bincount(sample.test.y).tolist() == [100] * 10
    assert sample.input_shape == (1, 28, 28)
    assert len(sample.class_names) == 10
    assert sample.note == "subset: 6,000 of 60,000 train, 1,000 of 10,000 test"


def test_it_is_upright(sample):
    trousers = sample.train.x[sample.train.y == 1, 0].mean(axis=0)  # tall: few columns, all rows
    assert (trousers.max(axis=1) > 60).sum() > 26
    assert (trousers.max(axis=0) > 60).sum() < 18
    boots = sample.train.x[sample.train.y == 9, 0].mean(axis=0)  # the sole is below, the shaft to the right
    assert boots[16:24].mean() > 2 * boots[:6].mean()
    assert boots[6:14, 16:].mean() > 2 * boots[6:14, :10].mean()


def test_no_test_row_is_a_train_row(sample):
    train = {row.tobytes() for row in sample.train.x}
    assert len(train) == 6000
    assert sum(row.tobytes() in train for row in sample.test.x) == 0


def test_its_standard_units_are_nearly_standard(sample):
    x = sample.train.x / 255
    assert abs(x.mean() - sample.mean[0]) < 0.01
    assert abs(x.std() - sample.std[0]) < 0.01


def test_the_licence_lies_beside_it():
    assert "Zalando SE" in (catalog.SAMPLE / "LICENSE").read_text()
    assert "fashion-sample" in (catalog.SAMPLE / "README.md").read_text()
    assert sum(path.stat().st_size for path in catalog.SAMPLE.iterdir()) < 3_200_000


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="no package dataset-fashion-mnist here")
def test_it_is_the_first_rows_of_each_class_of_the_original(sample):
    for part, count, split in (("train", 600, sample.train), ("t10k", 100, sample.test)):
        images, labels = (idx.read(DEBIAN / f"{stem}.gz") for stem in mnist.STEMS if stem.startswith(part))
        rows = np.sort(np.concatenate([np.flatnonzero(labels == k)[:count] for k in range(10)]))
        np.testing.assert_array_equal(split.x[:, 0], images[rows])
        np.testing.assert_array_equal(split.y, labels[rows])


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="no package dataset-fashion-mnist here")
def test_the_original_is_found_complete_and_its_constants_are_right():
    dataset = catalog.load("fashion-mnist", data_dir=DEBIAN)
    assert dataset.note == ""
    x = dataset.train.x / 255
    assert abs(x.mean() - dataset.mean[0]) < 1e-4
    assert abs(x.std() - dataset.std[0]) < 1e-4
