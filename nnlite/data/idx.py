"""The IDX file format: one array with a big-endian header, as MNIST is published.

::

    0  0  type  ndim | ndim x uint32 sizes | the items in C order        everything big-endian

The format is described at the end of http://yann.lecun.com/exdb/mnist (LeCun, Cortes, Burges).
"""

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

from nnlite.errors import DataError, DataNotFound

_TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_CODES = {dtype: code for code, dtype in _TYPES.items()}
_GZIP_MAGIC = b"\x1f\x8b"


def decode(data: bytes | memoryview, where: str) -> np.ndarray:
    """The one array that the IDX bytes hold, in native byte order.

    data: exactly one IDX array; bytes before, after or missing are an error.
    where: what to call the bytes in an error message (a path or a key).
    Returns an array of uint8, int8, int16, int32, float32 or float64. Arrays of single bytes are
    read-only views of `data`, so that a file of 47 MB is not copied.
    Raises DataError.
    """
    if len(data) < 4:
        raise DataError(f"{where}: not an IDX file: expected at least 4 bytes, found {len(data)}")
    zero, code, ndim = struct.unpack_from(">HBB", data)
    if zero != 0 or code not in _TYPES:
        raise DataError(f"{where}: not an IDX file: expected 00 00 and a type, found {data[:4].hex(' ')}")
    start = 4 + 4 * ndim
    if len(data) < start:
        raise DataError(
            f"{where}: truncated: expected a header of {start} bytes for {ndim} dimensions, found {len(data)}"
        )
    shape = struct.unpack_from(f">{ndim}I", data, 4)
    dtype = _TYPES[code]
    expected = start + math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        what = "truncated" if len(data) < expected else "too long"
        raise DataError(
            f"{where}: {what}: expected {expected} bytes for shape {shape} {dtype.newbyteorder('=').name}, "
            f"found {len(data)}"
        )
    try:
        array = np.frombuffer(data, dtype, offset=start).reshape(shape)
    except ValueError as error:  # more dimensions, or larger ones, than NumPy can hold
        raise DataError(f"{where}: shape {shape} cannot be held: {error}") from error
    return array.astype(dtype.newbyteorder("="), copy=False)


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


def read(path: str | Path) -> np.ndarray:
    """The array in an IDX file, compressed by gzip or not: its first two bytes decide, not its name.

    Raises DataNotFound if there is no such file, DataError if it is not sound.
    """
    return decode(gunzip(read_bytes(path), str(path)), str(path))


def read_bytes(path: str | Path) -> bytes:
    """All bytes of a file. Raises DataNotFound if there is none, DataError if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise DataNotFound(f"no file {path}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def gunzip(data: bytes, where: str) -> bytes:
    """The bytes that `data` is the gzip of, or `data` itself where it does not start like gzip.

    Raises DataError if the gzip is truncated or corrupt.
    """
    if data[:2] != _GZIP_MAGIC:
        return data
    import gzip
    import zlib

    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error, struct.error) as error:
        raise DataError(
            f"{where}: truncated or corrupt gzip of {len(data)} bytes ({error}). Delete it and get it again."
        ) from error
