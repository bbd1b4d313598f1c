"""EMNIST, handwritten letters and digits, in its official IDX files or in the official `gzip.zip`.

The images are stored transposed (rows as columns); here they stand upright. The labels of the split
`letters` are stored from 1 to 26; here they start at 0.
Source: Cohen, Afshar, Tapson, van Schaik, "EMNIST: an extension of MNIST to handwritten letters", 2017.
"""

from collections.abc import Callable
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase, digits

import numpy as np

from nnlite.data import idx
from nnlite.data.mnist import Arrays, as_images, as_labels, find_file
from nnlite.errors import DataError, DataNotFound, NnliteError, UsageError

ARCHIVE = "gzip.zip"
_MERGED = digits + ascii_uppercase + "abdefghnqrt"  # lower case that looks unlike its capital
_NAMES = {
    "byclass": digits + ascii_uppercase + ascii_lowercase,
    "bymerge": _MERGED,
    "balanced": _MERGED,
    "letters": ascii_uppercase,
    "digits": digits,
    "mnist": digits,
}
SPLITS = tuple(_NAMES)
# what zipfile also raises for broken archives: seeks to nowhere, unknown methods, passwords, absurd sizes
_ODD_ERRORS = (OSError, EOFError, ValueError, RuntimeError, OverflowError, MemoryError)

_Fetch = Callable[[str], tuple[bytes, str] | None]  # stem -> its bytes, and where they are from


def num_classes(split: str) -> int:
    """How many classes a split has. Raises UsageError for a split that does not exist."""
    if split not in _NAMES:
        raise UsageError(f"EMNIST has the splits {', '.join(SPLITS)}, not {split!r}")
    return len(_NAMES[split])


def stems(split: str) -> tuple[str, ...]:
    """The official names of the four files of a split, without `.gz`."""
    return tuple(
        f"emnist-{split}-{part}-{kind}-ubyte" for part in ("train", "test") for kind in ("images-idx3", "labels-idx1")
    )


def find(folder: Path, split: str) -> Path | None:
    """The folder with the four files of the split, or the path of `gzip.zip` in it, or None."""
    for inner in (folder, folder / "gzip"):
        if all(find_file(inner, stem) for stem in stems(split)):
            return inner
    archive = folder / ARCHIVE
    return archive if archive.is_file() else None


def read(path: Path, split: str) -> tuple[Arrays, tuple[str, ...]]:
    """The arrays of a split, upright, and the names of its classes.

    path: a folder with the official files, or `gzip.zip`, which is read without unpacking it to disk.
    Returns (train_x, train_y, test_x, test_y), class_names: x (N, 1, 28, 28) uint8; y (N,) integers from 0.
    Names are from `emnist-{split}-mapping.txt` where it is there.
    Raises DataNotFound, DataError, UsageError.
    """
    num_classes(split)
    if path.is_dir():
        return _read(lambda stem: _from_folder(path, stem), split, str(path))
    return _read_zip(path, split)


def _read_zip(path: Path, split: str) -> tuple[Arrays, tuple[str, ...]]:
    import lzma
    import struct
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(path) as archive:
            members = {Path(name).name: name for name in archive.namelist()}

            def fetch(stem: str) -> tuple[bytes, str] | None:
                for name in (f"{stem}.gz", stem):
                    if name in members:
                        return archive.read(members[name]), f"{path}:{members[name]}"
                return None

            return _read(fetch, split, str(path))
    except NnliteError:
        raise
    except FileNotFoundError:
        raise DataNotFound(f"no file {path}") from None
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, *_ODD_ERRORS) as error:
        raise DataError(f"{path}: not a sound zip archive ({error}). Delete it and get it again.") from error


def _from_folder(folder: Path, stem: str) -> tuple[bytes, str] | None:
    path = find_file(folder, stem)
    return None if path is None else (idx.read_bytes(path), str(path))


def _read(fetch: _Fetch, split: str, where: str) -> tuple[Arrays, tuple[str, ...]]:
    arrays = []
    for stem in stems(split):
        found = fetch(stem)
        if found is None:
            raise DataNotFound(f"no {stem}.gz in {where}")
        data, name = found
        arrays.append((idx.decode(idx.gunzip(data, name), name), name))
    train_x, test_x = _upright(*arrays[0]), _upright(*arrays[2])
    train_y = _labels(*arrays[1], split=split, num_images=len(train_x))
    test_y = _labels(*arrays[3], split=split, num_images=len(test_x))
    mapping = fetch(f"emnist-{split}-mapping.txt")
    names = tuple(_NAMES[split])
    if mapping is not None:
        names = _names(idx.gunzip(*mapping), mapping[1], split)
    return (train_x, train_y, test_x, test_y), names


def _upright(array: np.ndarray, where: str) -> np.ndarray:
    return np.ascontiguousarray(as_images(array, where).swapaxes(2, 3))


def _labels(array: np.ndarray, where: str, *, split: str, num_images: int) -> np.ndarray:
    if split == "letters":  # stored as 1 to 26; a label 0 becomes -1, and is refused as such
        array = array.astype(np.int16) - 1
    return as_labels(array, num_classes(split), num_images, where)


def _names(data: bytes, where: str, split: str) -> tuple[str, ...]:
    """Names from lines of `label code [code]`, where a code is that of a character."""
    first = 1 if split == "letters" else 0
    names: dict[int, str] = {}
    try:
        for line in data.decode("ascii").splitlines():
            if line.strip():
                label, code = (int(word) for word in line.split()[:2])
                names[label - first] = chr(code)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{where}: expected lines of 'label code', found: {error}") from error
    if sorted(names) != list(range(num_classes(split))):
        raise DataError(f"{where}: expected {num_classes(split)} classes from {first}, found {len(names)}")
    return tuple(names[label] for label in sorted(names))
