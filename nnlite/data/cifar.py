"""CIFAR-10 in its official binary form: records of one label and 3 x 32 x 32 bytes.

The form for Python is a pickle, and a pickle runs whatever it likes when it is read; so it is refused here.
Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
"""

from pathlib import Path, PurePosixPath

import numpy as np

from nnlite.data import idx
from nnlite.data.mnist import Arrays
from nnlite.errors import DataError, DataNotFound

ARCHIVE = "cifar-10-binary.tar.gz"
FOLDER = "cifar-10-batches-bin"
PICKLED = ("cifar-10-python.tar.gz", "cifar-10-batches-py")
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RECORD_BYTES = 3073

_TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_FILES = (*_TRAIN, "test_batch.bin")


def find(folder: Path) -> Path | None:
    """The unpacked folder or the archive in `folder` (or `folder` itself), or None."""
    for inner in (folder, folder / FOLDER):
        if all((inner / name).is_file() for name in _FILES):
            return inner
    archive = folder / ARCHIVE
    return archive if archive.is_file() else None


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
        batches = {name: idx.read_bytes(source / name) for name in _FILES}
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


def _read_archive(path: Path) -> dict[str, bytes]:
    """The six batch files, by the last part of a member's name; members are only ever read, never placed."""
    import gzip
    import tarfile
    import zlib

    found: dict[str, bytes] = {}
    try:
        with gzip.open(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if PICKLED[1] in name.parts:
                    raise _refusal(path)
                if name.name not in _FILES or not member.isfile():
                    continue
                content = archive.extractfile(member)
                if name.name in found or content is None:
                    raise DataError(f"{path}: {name.name} is in the archive twice")
                found[name.name] = content.read()
            while stream.read(1 << 20):  # to the end, where gzip checks its checksum
                pass
    except FileNotFoundError:
        raise DataNotFound(f"no file {path}") from None
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"{path}: truncated or corrupt archive ({error}). Delete it and get it again.") from error
    missing = [name for name in _FILES if name not in found]
    if missing:
        raise DataError(f"{path}: truncated, or not CIFAR-10: no {', '.join(missing)} in it")
    return found


def _decode(batches: list[tuple[bytes, str]]) -> tuple[np.ndarray, np.ndarray]:
    """Records of 3,073 bytes -> x (N, 3, 32, 32) uint8, y (N,) uint8."""
    for data, where in batches:
        if not data or len(data) % RECORD_BYTES:
            raise DataError(f"{where}: expected records of {RECORD_BYTES} bytes, found {len(data)} bytes")
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
