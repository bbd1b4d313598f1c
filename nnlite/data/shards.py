"""Shards: the parts of a split that workers read, one each, and the bytes and keys they are stored under.

A stored shard is ::

    "nnls"  version uint32  len(key) uint64  len(x) uint64  len(y) uint64     little-endian, 32 bytes
    SHA-256 of what follows, 32 bytes
    key in ASCII, IDX of x, IDX of y

It says which shard it is, so that no other can stand in for it.

The rows of a shard do not depend on the seed of a run: all runs with as many workers share the shards.
"""

import hashlib
import re
import struct

import numpy as np

from nnlite.data import idx
from nnlite.data.dataset import Split
from nnlite.data.shuffle import permutation
from nnlite.errors import DataError, UsageError

PARTS = ("train", "test")
_MAGIC = b"nnls"
_VERSION = 2
_HEADER = struct.Struct("<4sIQQQ32s")
_SEED = 1
_MAX_KEY = 200


def assign(num_rows: int, num_shards: int) -> list[np.ndarray]:
    """Which rows are in which shard: num_shards arrays of row numbers, int64.

    Every row is in exactly one shard, sizes differ by at most one, and rows are drawn at random (always the
    same), as files are often sorted by class. Raises UsageError unless 1 <= num_shards <= num_rows.
    """
    if not 1 <= num_shards <= num_rows:
        raise UsageError(f"{num_rows} rows can be cut into 1 to {num_rows} shards, not {num_shards}")
    return np.array_split(permutation(num_rows, _SEED), num_shards)


def encode(split: Split, key: str) -> bytes:
    """The bytes of a shard that will stand under `key`. y of other than IDX's integers is stored as int32.

    Raises DataError when a label does not fit.
    """
    parts = key.encode("ascii"), idx.encode(split.x), idx.encode(_storable(split.y))
    return b"".join((_HEADER.pack(_MAGIC, _VERSION, *map(len, parts), _sha256(*parts)), *parts))


def decode(data: bytes, key: str) -> Split:
    """The inverse of `encode`. x may be a read-only view of `data`.

    key: which shard is wanted. Raises DataError for anything but this shard, complete and undamaged.
    """
    if len(data) < _HEADER.size:
        raise DataError(f"{key}: truncated: a shard has {_HEADER.size} bytes of header, found {len(data)}")
    magic, version, *lengths, sha256 = _HEADER.unpack_from(data)
    if magic != _MAGIC or version != _VERSION:
        raise DataError(f"{key}: not a shard of version {_VERSION}: found {magic.hex(' ')} and version {version}")
    if len(data) != _HEADER.size + sum(lengths):
        raise DataError(f"{key}: expected {_HEADER.size + sum(lengths)} bytes, found {len(data)}")
    view = memoryview(data)[_HEADER.size :]
    if (found := _sha256(view)) != sha256:
        raise DataError(f"{key}: damaged: expected SHA-256 {sha256.hex()}, found {found.hex()}")
    middle, end = lengths[0] + lengths[1], sum(lengths)
    if (name := bytes(view[: lengths[0]])) != key.encode():
        raise DataError(f"{key}: another shard stands there, {name.decode('ascii', 'backslashreplace')[:200]!r}")
    x = idx.decode(view[lengths[0] : middle], f"{key} (x)")
    y = idx.decode(view[middle:end], f"{key} (y)")
    try:
        return Split(x, y)
    except DataError as error:
        raise DataError(f"{key}: {error}") from None


def _sha256(*parts: bytes | memoryview) -> bytes:
    state = hashlib.sha256()
    for part in parts:
        state.update(part)
    return state.digest()


def key(dataset_name: str, digest: str, part: str, num_shards: int, shard: int) -> str:
    """The key of a shard: `datasets/{name}-{hash16}/{part}-of-{num_shards}/{shard:05d}`.

    digest: `Dataset.digest()`, so that other content never has the same key. part: train or test.
    Raises UsageError for what cannot be a key.
    """
    text = f"datasets/{dataset_name}-{digest[:16]}/{part}-of-{num_shards}/{shard:05d}"
    if (
        part not in PARTS
        or not 0 <= shard < num_shards
        or not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", dataset_name)
        or not re.fullmatch(r"[0-9a-f]{16,}", digest)
        or len(text) > _MAX_KEY
    ):
        raise UsageError(
            f"no key for shard {shard} of {num_shards} of part {part!r} of dataset {dataset_name!r} "
            f"{digest!r}: names are [a-z0-9._-], digests at least 16 hex digits, keys {_MAX_KEY} characters"
        )
    return text


def _storable(y: np.ndarray) -> np.ndarray:
    if y.dtype.newbyteorder("=").name in ("uint8", "int8", "int16", "int32", "float32"):
        return y
    narrow = y.astype(np.int32)
    if not np.array_equal(narrow, y):
        raise DataError(f"labels from {y.min()} to {y.max()} do not fit into int32")
    return narrow
