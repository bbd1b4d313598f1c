"""A folder of four IDX files, as MNIST and Fashion-MNIST are published."""

from pathlib import Path

import numpy as np

from nnlite.data import idx
from nnlite.data.dataset import check_targets
from nnlite.errors import DataError, DataNotFound

STEMS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def find_file(folder: Path, stem: str) -> Path | None:
    """`folder/stem.gz` or `folder/stem`, whichever is there."""
    for name in (f"{stem}.gz", stem):
        if (folder / name).is_file():
            return folder / name
    return None


def find(folder: Path) -> Path | None:
    """`folder` if it holds all four files, else None."""
    return folder if all(find_file(folder, stem) for stem in STEMS) else None


def read(folder: Path, num_classes: int = 10) -> Arrays:
    """(train_x, train_y, test_x, test_y): x (N, 1, H, W) uint8, y (N,) uint8 below num_classes.

    Raises DataNotFound when a file is missing, DataError naming the file that is not what it should be.
    """
    paths = []
    for stem in STEMS:
        path = find_file(folder, stem)
        if path is None:
            raise DataNotFound(f"no {stem}.gz in {folder}")
        paths.append(path)
    train_x, test_x = read_images(paths[0]), read_images(paths[2])
    train_y = read_labels(paths[1], num_classes, len(train_x))
    test_y = read_labels(paths[3], num_classes, len(test_x))
    return train_x, train_y, test_x, test_y


def read_images(path: Path) -> np.ndarray:
    """The images of an IDX file: (N, 1, H, W) uint8. Raises DataError."""
    return as_images(idx.read(path), str(path))


def read_labels(path: Path, num_classes: int, num_images: int) -> np.ndarray:
    """The labels of an IDX file: (num_images,) integers below num_classes. Raises DataError."""
    return as_labels(idx.read(path), num_classes, num_images, str(path))


def as_images(array: np.ndarray, where: str) -> np.ndarray:
    """(N, H, W) uint8 -> (N, 1, H, W). Raises DataError for anything that is not images."""
    if array.ndim != 3 or array.dtype != np.uint8:
        raise DataError(f"{where}: expected images (N, H, W) uint8, found {array.shape} {array.dtype}")
    return array[:, None]


def as_labels(array: np.ndarray, num_classes: int, num_images: int, where: str) -> np.ndarray:
    """The same array, if it is (num_images,) integers below num_classes. Raises DataError if not."""
    check_targets(array, num_classes, where)
    if len(array) != num_images:
        raise DataError(f"{where}: mislabelled: {num_images} images, {len(array)} labels")
    return array
