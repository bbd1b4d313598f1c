"""EMNIST, handwritten letters and digits, in its official IDX files or in the official `gzip.zip`.

The images are stored transposed (rows as columns); here they stand upright. The labels of the split
`letters` are stored from 1 to 26; here they start at 0.
Source: Cohen, Afshar, Tapson, van Schaik, "EMNIST: an extension of MNIST to handwritten letters", 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase, digits
from typing import TYPE_CHECKING, Any

import numpy as np

from nnlite import magic
from nnlite.data import files, idx
from nnlite.data.mnist import Arrays, as_images, as_labels, file_names, find_file, most_bytes
from nnlite.errors import DataError, DataNotFound, NnliteError, UsageError, words

if TYPE_CHECKING:
    from zipfile import ZipFile

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

MOST_MAPPING_BYTES = 10_000  # the longest mapping has 62 short lines
MOST_DIRECTORY_BYTES = 1_000_000  # of an archive: `gzip.zip` has some forty files

_Source = tuple[AbstractContextManager[Any], str]  # a stream to be opened, and where it is from
_Find = Callable[[str, int], _Source | None]  # (stem, most bytes) -> where to read it


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


def read(path: Path, split: str, most_rows: int | None = None) -> tuple[Arrays, tuple[str, ...]]:
    """The arrays of a split, upright, and the names of its classes.

    path: a folder with the official files, or `gzip.zip`, which is read without unpacking it to disk.
    most_rows: that train or test can have; then no more is read.
    Returns (train_x, train_y, test_x, test_y), class_names: x (N, 1, 28, 28) uint8; y (N,) integers from 0.
    Names are from `emnist-{split}-mapping.txt` where it is there.
    Raises DataNotFound, DataError, UsageError.
    """
    num_classes(split)
    if path.is_dir():
        return _read(lambda stem, most_bytes: _in_folder(path, stem, most_bytes), split, str(path), most_rows)
    return _read_zip(path, split, most_rows)


def _in_folder(folder: Path, stem: str, most_bytes: int) -> _Source | None:
    path = find_file(folder, stem)
    return None if path is None else (files.opened(path, most_bytes), str(path))


def _read_zip(path: Path, split: str, most_rows: int | None) -> tuple[Arrays, tuple[str, ...]]:
    import struct
    import zipfile
    import zlib

    try:
        with files.opened(path) as file:
            _check_directory(file, str(path))
            with zipfile.ZipFile(file) as archive:
                return _read(lambda *wanted: _in_zip(archive, str(path), *wanted), split, str(path), most_rows)
    except NnliteError:
        raise
    except (zipfile.BadZipFile, zlib.error, struct.error, *_ODD_ERRORS) as error:
        raise DataError(f"{path}: not a sound zip archive ({words(error)}). Delete it and get it again.") from error


def _in_zip(archive: ZipFile, where: str, stem: str, most_bytes: int) -> _Source | None:
    members = {Path(member.filename).name: member for member in archive.infolist()}
    member = next((members[name] for name in file_names(stem) if name in members), None)
    if member is None:
        return None
    place = f"{where}:{member.filename}"
    if member.compress_type not in (0, 8):  # stored, deflated: other methods unpack as much as they like at a time
        raise DataError(f"{place}: compressed by method {member.compress_type}; {ARCHIVE} as published is not")
    files.check_size(member.file_size, most_bytes, place)
    return archive.open(member), place


def _check_directory(file: Any, where: str) -> None:
    """Raise DataError unless the archive's list of files is as short as it should be: all of it is read at once."""
    import struct

    start = max(0, file.seek(0, 2) - 65_557)  # 22 bytes and a comment, with those of a ZIP64 archive before them
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + 16 > len(tail):
        what = magic.name(_beginning(file))
        raise DataError(f"{where}: not a zip archive" + (f", but {what}" if what else ". Delete it and get it again."))
    (size,) = struct.unpack_from("<I", tail, at + 12)
    if size > MOST_DIRECTORY_BYTES or tail[max(0, at - 20) : at].startswith(b"PK\6\7"):
        raise DataError(f"{where}: its list of files is longer than that of {ARCHIVE}: it is another archive")


def _beginning(file: Any) -> bytes:
    file.seek(0)
    beginning: bytes = file.read(512)
    return beginning


def _read(find: _Find, split: str, where: str, most_rows: int | None) -> tuple[Arrays, tuple[str, ...]]:
    arrays = []
    for stem in stems(split):
        most = most_bytes(stem, most_rows)
        source = find(stem, most)
        if source is None:
            raise DataNotFound(f"no {stem}.gz in {where}")
        stream, name = source
        with stream as data:
            arrays.append((idx.load(data, name, most), name))
    train_x, test_x = _upright(*arrays[0]), _upright(*arrays[2])
    train_y = _labels(*arrays[1], split=split, num_images=len(train_x))
    test_y = _labels(*arrays[3], split=split, num_images=len(test_x))
    return (train_x, train_y, test_x, test_y), _names(find, split)


def _upright(array: np.ndarray, where: str) -> np.ndarray:
    return np.ascontiguousarray(as_images(array, where).swapaxes(2, 3))


def _labels(array: np.ndarray, where: str, *, split: str, num_images: int) -> np.ndarray:
    if split == "letters":  # stored as 1 to 26; a label 0 becomes -1, and is refused as such
        array = array.astype(np.int16) - 1
    return as_labels(array, num_classes(split), num_images, where)


def _names(find: _Find, split: str) -> tuple[str, ...]:
    """The names of the classes: those in the mapping, from lines of `label code [code]` with codes of characters."""
    source = find(f"emnist-{split}-mapping.txt", MOST_MAPPING_BYTES)
    if source is None:
        return tuple(_NAMES[split])
    stream, where = source
    with stream as packed, files.unzipped(packed, where) as plain:
        data = files.exactly(plain, MOST_MAPPING_BYTES, where)
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
