"""Files of data: opened, unzipped on the way, and read no further than their format can need."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from nnlite.errors import DataError, DataNotFound, NnliteError

ROOM = 1 << 20  # bytes that headers and padding may add to what a format needs
_BLOCK_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"


@contextmanager
def opened(path: str | Path, most_bytes: int | None = None) -> Iterator[BufferedIOBase]:
    """The file at `path`.

    Raises DataNotFound if there is none, DataError if it cannot be read or has more bytes than `most_bytes` need.
    """
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            check_size(size, most_bytes, str(path))
            yield file
    except NnliteError:
        raise
    except FileNotFoundError:
        raise DataNotFound(f"no file {path}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def check_size(size: int, most_bytes: int | None, where: str) -> None:
    """Raise DataError when a file has, or claims, more bytes than its content can need, compressed or not."""
    if most_bytes is not None and size > most_bytes + most_bytes // 100 + ROOM:
        raise DataError(f"{where}: has {size:,} bytes; what it should hold needs {most_bytes:,} at most")


@contextmanager
def unzipped(stream: Any, where: str) -> Iterator[Any]:
    """What `stream` is the gzip of, or `stream` itself: its first two bytes decide, not its name.

    Raises DataError if the gzip is truncated or corrupt; it is found out when it is read to its end.
    """
    if stream.peek(2)[:2] != _GZIP_MAGIC:
        yield stream
        return
    import gzip
    import zlib

    try:
        with gzip.GzipFile(fileobj=stream) as plain:
            yield plain
    except NnliteError:
        raise
    except (EOFError, OSError, zlib.error, struct.error) as error:
        raise DataError(f"{where}: truncated or corrupt gzip ({error}). Delete it and get it again.") from error


def up_to(stream: Any, most_bytes: int) -> bytearray:
    """The next bytes of a stream: so many, or fewer where it ends. No memory is taken for what is not there."""
    data = bytearray()
    while len(data) < most_bytes and (block := stream.read(min(_BLOCK_BYTES, most_bytes - len(data)))):
        data += block
    return data


def whole(path: str | Path, most_bytes: int) -> bytearray:
    """All bytes of a file that has `most_bytes` at most, unzipped. Raises DataError for a longer one, as `opened`."""
    with opened(path, most_bytes) as file, unzipped(file, str(path)) as stream:
        return exactly(stream, most_bytes, str(path))


def exactly(stream: Any, most_bytes: int, where: str) -> bytearray:
    """All bytes of a stream. Raises DataError when there are more than `most_bytes`."""
    data = up_to(stream, most_bytes + 1)
    if len(data) > most_bytes:
        raise DataError(f"{where}: goes on behind {most_bytes:,} bytes; what it should hold needs no more")
    return data
