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

MOST_PIXELS = 28 * 28  # of an image
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def file_names(stem: str) -> tuple[str, ...]:
    """What a file is called: officially, unpacked, and as some copies have it: `train-images.idx3-ubyte`."""
    dotted = stem.replace("-idx", ".idx")
    return f"{stem}.gz", stem, f"{dotted}.gz", dotted


def find_file(folder: Path, stem: str) -> Path | None:
    """The file of that stem in `folder`, whichever of its names is there; or in a folder that has its name."""
    for name in file_names(stem):
        for path in (folder / name, folder / name / name):
            if path.is_file():
                return path
    return None


def find(folder: Path) -> Path | None:
    """`folder` if it holds all four files, else None."""
    return folder if all(find_file(folder, stem) for stem in STEMS) else None


def read(folder: Path, num_classes: int = 10, most_rows: int | None = None) -> Arrays:
    """(train_x, train_y, test_x, test_y): x (N, 1, H, W) uint8, y (N,) uint8 below num_classes.

    most_rows: that a split can have; then no more is read.
    Raises DataNotFound when a file is missing, DataError naming the file that is not what it should be.
    """
    arrays = []
    for stem in STEMS:
        path = find_file(folder, stem)
        if path is None:
            raise DataNotFound(f"no {stem}.gz in {folder}")
        arrays.append((idx.read(path, most_bytes(stem, most_rows)), str(path)))
    train_x, test_x = as_images(*arrays[0]), as_images(*arrays[2])
    train_y = as_labels(arrays[1][0], num_classes, len(train_x), arrays[1][1])
    test_y = as_labels(arrays[3][0], num_classes, len(test_x), arrays[3][1])
    return train_x, train_y, test_x, test_y


def most_bytes(stem: str, most_rows: int | None) -> int:
    """What the items of a file need at most."""
    if most_rows is None:
        return idx.MOST_BYTES
    return most_rows * (MOST_PIXELS if "images" in stem else 8)


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
