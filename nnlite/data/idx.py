"""The IDX file format: one array with a big-endian header, as MNIST is published.

::

    0  0  type  ndim | ndim x uint32 sizes | the items in C order        everything big-endian

The format is described at the end of http://yann.lecun.com/exdb/mnist (LeCun, Cortes, Burges).
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnlite import magic
from nnlite.data.files import opened, unzipped, up_to
from nnlite.errors import DataError

_TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_CODES = {dtype: code for code, dtype in _TYPES.items()}
MOST_BYTES = 1 << 30  # of one array, unless the reader knows better; the largest published has 547 MB


def decode(data: bytes | memoryview, where: str) -> np.ndarray:
    """The one array that the IDX bytes hold, in native byte order.

    data: exactly one IDX array; bytes before, after or missing are an error.
    where: what to call the bytes in an error message (a path or a key).
    Returns an array of uint8, int8, int16, int32, float32 or float64. Arrays of single bytes are
    read-only views of `data`, so that a file of 47 MB is not copied.
    Raises DataError.
    """
    header = _header(data, where)
    if len(data) != header.end:
        what = "truncated" if len(data) < header.end else "too long"
        raise DataError(f"{where}: {what}: expected {header}, found {len(data)}")
    return header.array(memoryview(data)[header.start :], where)


def load(stream: Any, where: str, most_bytes: int = MOST_BYTES) -> np.ndarray:
    """The one array in a stream of IDX bytes that ends with it, compressed by gzip or not; as `decode` otherwise.

    No more is read than the header says, and nothing if that is over `most_bytes`.
    """
    with unzipped(stream, where) as plain:
        beginning = bytes(plain.peek(512)[:512])
        head = up_to(plain, 4)
        if len(head) == 4:
            head += up_to(plain, 4 * head[3])
        header = _header(head, where, beginning)
        if header.size > most_bytes:
            raise DataError(f"{where}: its header claims {header.size:,} bytes, {most_bytes:,} can be: get it again")
        data = up_to(plain, header.size + 1)
    if len(data) != header.size:
        found = f"truncated: expected {header}, found {header.start + len(data)}"
        raise DataError(f"{where}: {found if len(data) < header.size else f'too long: expected {header}, found more'}")
    array = header.array(data, where)
    array.flags.writeable = False
    return array


@dataclass(frozen=True)
class _Header:
    """What the beginning of an IDX file says of the rest."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def start(self) -> int:
        """Where the items begin."""
        return 4 + 4 * len(self.shape)

    @property
    def size(self) -> int:
        """Bytes of the items."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def end(self) -> int:
        """Bytes of the whole file."""
        return self.start + self.size

    def __str__(self) -> str:
        return f"{self.end} bytes for shape {self.shape} {self.dtype.newbyteorder('=').name}"

    def array(self, items: bytearray | memoryview, where: str) -> np.ndarray:
        """The array of these items, in native byte order; single bytes are not copied."""
        try:
            array = np.frombuffer(items, self.dtype).reshape(self.shape)
        except ValueError as error:  # more dimensions, or larger ones, than NumPy can hold
            raise DataError(f"{where}: shape {self.shape} cannot be held: {error}") from error
        return array.astype(self.dtype.newbyteorder("="), copy=False)


def _header(data: bytes | bytearray | memoryview, where: str, beginning: bytes = b"") -> _Header:
    """The header that `data` begins with. beginning: more of the file, to name what it is if it is not IDX."""
    if len(data) < 4:
        raise DataError(f"{where}: not an IDX file: expected at least 4 bytes, found {len(data)}")
    zero, code, ndim = struct.unpack_from(">HBB", data)
    if zero != 0 or code not in _TYPES:
        if (what := magic.name(beginning or bytes(data[:512]))) is not None:
            raise DataError(f"{where}: not an IDX file, but {what}")
        found = bytes(data[:4]).hex(" ")
        raise DataError(f"{where}: not an IDX file: expected 00 00 and a type, found {found}")
    start = 4 + 4 * ndim
    if len(data) < start:
        raise DataError(
            f"{where}: truncated: expected a header of {start} bytes for {ndim} dimensions, found {len(data)}"
        )
    return _Header(_TYPES[code], struct.unpack_from(f">{ndim}I", data, 4))


def encode(array: np.ndarray) -> bytes:
    """The IDX bytes of an array; the inverse of `decode`.

    array: any shape; uint8, int8, int16, int32, float32 or float64 in any byte order.
    Raises DataError for a dtype that IDX cannot express.
    """
    dtype = array.dtype.newbyteorder(">")
    code = _CODES.get(dtype)
    if code is None:
        known = ", ".join(t.newbyteorder("=").name for t in _TYPES.values())
        raise DataError(f"IDX holds {known}, not {array.dtype}")
    if any(size >= 2**32 for size in array.shape):
        raise DataError(f"IDX sizes are below 2**32, not {array.shape}")
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return header + array.astype(dtype, copy=False).tobytes()


def read(path: str | Path, most_bytes: int = MOST_BYTES) -> np.ndarray:
    """The array in an IDX file, as `load`. Raises DataNotFound if there is none, DataError if it is not sound."""
    with opened(path, most_bytes) as file:
        return load(file, str(path), most_bytes)
