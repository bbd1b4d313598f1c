"""CIFAR-10 in its official binary form: records of one label and 3 x 32 x 32 bytes.

The form for Python is a pickle, and a pickle runs whatever it likes when it is read; so it is refused here.
Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from nnlite import magic
from nnlite.data import files
from nnlite.data.mnist import Arrays
from nnlite.errors import DataError, DataNotFound

if TYPE_CHECKING:
    from tarfile import TarInfo

ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVES = (ARCHIVE, "cifar-10-binary.tar")  # some browsers unpack the outer half
FOLDER = "cifar-10-batches-bin"
PICKLED = ("cifar-10-python.tar.gz", "cifar-10-batches-py")
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RECORD_BYTES = 3073
MOST_FILE_BYTES = 10_000 * RECORD_BYTES
MOST_ARCHIVE_BYTES = 6 * MOST_FILE_BYTES
_MOST_MEMBERS = 100

_TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_FILES = (*_TRAIN, "test_batch.bin")


def find(folder: Path) -> Path | None:
    """The unpacked folder or the archive in `folder` (or `folder` itself), or None."""
    for inner in (folder, folder / FOLDER):
        if all((inner / name).is_file() for name in _FILES):
            return inner
    return next((folder / name for name in ARCHIVES if (folder / name).is_file()), None)


def find_pickled(folder: Path) -> Path | None:
    """A CIFAR-10 made for Python in `folder` (or `folder` itself), which `read` refuses, or None."""
    if folder.name in PICKLED:
        return folder
    return next((folder / name for name in PICKLED if (folder / name).exists()), None)


def read(path: str | Path) -> Arrays:
    """(train_x, train_y, test_x, test_y): x (N, 3, 32, 32) uint8 as stored, y (N,) uint8 below 10.

    path: `cifar-10-binary.tar.gz`, the folder `cifar-10-batches-bin`, or a folder that holds either.
    The archive is read in one pass; nothing is unpacked to disk.
    Raises DataNotFound, and DataError for files that are not what they should be, or pickles.
    """
    path = Path(path)
    if path.name in PICKLED:
        raise _refusal(path)
    source = find(path) if path.is_dir() else path
    if source is None:
        pickled = find_pickled(path)
        if pickled is not None:
            raise _refusal(pickled)
        raise DataNotFound(f"neither {ARCHIVE} nor {FOLDER}/ with {', '.join(_FILES)} in {path}")
    if source.is_dir():
        batches = {name: files.whole(source / name, MOST_FILE_BYTES) for name in _FILES}
    else:
        batches = _read_archive(source)
    train_x, train_y = _decode([(batches.pop(name), f"{source}: {name}") for name in _TRAIN])
    test_x, test_y = _decode([(batches.pop(_FILES[-1]), f"{source}: {_FILES[-1]}")])
    return train_x, train_y, test_x, test_y


def _refusal(path: Path) -> DataError:
    return DataError(
        f"{path}: this form of CIFAR-10 is a Python pickle, which can run code when read, so nnlite "
        f"does not. Get the binary version instead: {ARCHIVE}"
    )


def _read_archive(path: Path) -> dict[str, bytearray]:
    """The six batch files, by the last part of a member's name; members are only ever read, never placed."""
    import tarfile

    found: dict[str, bytearray] = {}
    with files.opened(path, MOST_ARCHIVE_BYTES) as file, files.unzipped(file, str(path)) as plain:
        what = magic.name(plain.peek(512)[:512])
        stream: Any = _Allowed(plain, path)
        try:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for number, member in enumerate(archive):
                    _check_member(member, number, path)
                    stream.allow(member.size)
                    name = PurePosixPath(member.name).name
                    content = archive.extractfile(member) if name in _FILES and member.isfile() else None
                    if content is not None:
                        if name in found:
                            raise DataError(f"{path}: {name} is in the archive twice")
                        found[name] = files.exactly(content, MOST_FILE_BYTES, f"{path}: {name}")
            stream.allow(0)
            while stream.read(files.ROOM // 64):  # to the end, where gzip checks its checksum
                pass
        except tarfile.TarError as error:
            if what and not found and not what.startswith("a tar"):
                raise DataError(f"{path}: not {ARCHIVE}, but {what}") from error
            raise DataError(f"{path}: truncated or corrupt archive ({error}). Delete it and get it again.") from error
    missing = [name for name in _FILES if name not in found]
    if missing:
        raise DataError(f"{path}: truncated, or not CIFAR-10: no {', '.join(missing)} in it")
    return found


def _check_member(member: TarInfo, number: int, path: Path) -> None:
    """Raise DataError for what no archive of CIFAR-10 has: pickles, huge or sparse files, many of them."""
    if PICKLED[1] in PurePosixPath(member.name).parts:
        raise _refusal(path)
    if not 0 <= member.size <= MOST_FILE_BYTES or member.issparse():
        kind = "is sparse and " if member.issparse() else ""
        raise DataError(
            f"{path}: {member.name[:80]!r} in it {kind}claims {member.size:,} bytes; "
            f"no file of CIFAR-10 has more than {MOST_FILE_BYTES:,}: it is another archive"
        )
    if number >= _MOST_MEMBERS:
        raise DataError(f"{path}: more than {_MOST_MEMBERS} files in it; CIFAR-10 has nine: it is another archive")


class _Allowed:
    """A stream that is read no further than it has been allowed to, whatever the headers in it claim."""

    def __init__(self, stream: Any, path: Path) -> None:
        self._stream, self._path = stream, path
        self.allow(0)

    def allow(self, size: int) -> None:
        """Let so many bytes be read, and what headers and padding need."""
        self._left = size + files.ROOM

    def read(self, size: int) -> bytes:
        """As a file's. At the end as well it counts: a reader that skips 2**62 bytes would go on for ever."""
        self._left -= size
        if self._left < 0:
            raise DataError(f"{self._path}: goes on where CIFAR-10 has nothing more: it is another archive, or damaged")
        data: bytes = self._stream.read(size)
        return data


def _decode(batches: list[tuple[bytearray, str]]) -> tuple[np.ndarray, np.ndarray]:
    """Records of 3,073 bytes -> x (N, 3, 32, 32) uint8, y (N,) uint8."""
    for data, where in batches:
        if not data or len(data) % RECORD_BYTES:
            what = magic.name(bytes(data[:512]))
            found = f"{len(data)} bytes" + (f": it is {what}" if what else "")
            raise DataError(f"{where}: expected records of {RECORD_BYTES} bytes, found {found}")
    num_rows = sum(len(data) for data, _ in batches) // RECORD_BYTES
    x = np.empty((num_rows, 3 * 32 * 32), np.uint8)
    y = np.empty(num_rows, np.uint8)
    start = 0
    for data, where in batches:
        records = np.frombuffer(data, np.uint8).reshape(-1, RECORD_BYTES)
        stop = start + len(records)
        y[start:stop] = records[:, 0]
        if y[start:stop].max() > 9:
            raise DataError(f"{where}: mislabelled: expected labels 0 to 9, found {y[start:stop].max()}")
        x[start:stop] = records[:, 1:]
        start = stop
    return x.reshape(-1, 3, 32, 32), y
