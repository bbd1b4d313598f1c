"""Weights: one float32 vector with named tensors, as bytes in the safetensors format.

::

    8 bytes    little-endian uint64: N, the length of the header
    N bytes    JSON in UTF-8, padded with spaces: {"__metadata__": {"sha256": "..."},
               "fc/weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
    the rest   the vector: every tensor in C order, one after the other, no holes

Writing is a header in front of the vector's own memory; reading is a view.
Source of the format: https://github.com/huggingface/safetensors.
"""

import contextlib
import hashlib
import json
import math
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from operator import index, itemgetter
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from nnlite.errors import DataNotFound, StoreError, StructureError, WeightsError

TensorShapes = Mapping[str, tuple[int, ...]]  # in the order in which the tensors lie in the vector
Metadata = Mapping[str, str]
Vector = npt.NDArray[np.float32]

MAX_HEADER_BYTES = 25_000_000  # some 200,000 tensors; beyond it a header is an attack on our memory
MAX_TENSOR_BYTES = 2**62  # NumPy cannot express more in a shape, not even with a 0 in it
MAX_NUM_DIMENSIONS = 32  # NumPy 1.26 has 32, NumPy 2 has 64
DATA_ALIGNMENT_BYTES = 64
_FLOAT32 = np.dtype("<f4")  # on a big-endian machine no native vector is this: refused, never written wrong
_TENSOR_KEYS = {"dtype", "shape", "data_offsets"}


@dataclass(frozen=True, eq=False)
class Weights:
    """What a weights file holds.

    vector: (P,) float32, read-only, normally a view onto the bytes it was decoded from.
    shapes: names -> shapes, in the order in which the tensors lie in the vector.
    metadata: all of the file's metadata; `sha256` (of the data, in hex) is among them if the writer gave it.
    """

    vector: Vector
    shapes: dict[str, tuple[int, ...]]
    metadata: dict[str, str]

    def tensors(self) -> dict[str, Vector]:
        """Names -> read-only views onto the vector, each in its own shape."""
        views, start = {}, 0
        for name, shape in self.shapes.items():
            size = math.prod(shape)
            views[name] = self.vector[start : start + size].reshape(shape)
            start += size
        return views

    def vector_in(self, shapes: TensorShapes, where: str = "weights", hint: str = "") -> Vector:
        """The (P,) float32 vector with its tensors in the order of `shapes`; no copy if that is the file's.

        Raises StructureError when names or shapes differ.
        """
        _check_same_tensors(self.shapes, shapes, where, hint)
        if list(shapes) == list(self.shapes):
            return self.vector
        tensors = self.tensors()
        vector = np.concatenate([tensors[name].reshape(-1) for name in shapes])
        vector.flags.writeable = False
        return vector


def encode(vector: Vector, shapes: TensorShapes, metadata: Metadata | None = None) -> bytes:
    """A whole weights file. As `encode_parts`, but joined: one copy of the vector."""
    return b"".join(encode_parts(vector, shapes, metadata))


def encode_parts(vector: Vector, shapes: TensorShapes, metadata: Metadata | None = None) -> tuple[bytes, memoryview]:
    """A weights file as (header, data), where data is the vector's own memory: do not change it meanwhile.

    vector: (P,) float32, contiguous, with P the sum of the sizes of `shapes`.
    metadata: more to put into the header. `sha256` is always set here, to that of the data.
    The same arguments give the same bytes. Raises StructureError when they do not fit together.
    """
    _check_vector(vector, shapes)
    data = vector.data.cast("B")
    sha256 = hashlib.sha256(data).hexdigest()
    return _header({**(metadata or {}), "sha256": sha256}, shapes), data


def decode(data: bytes | memoryview, where: str = "weights", verify: bool = True) -> Weights:
    """Read a weights file; its vector is a view onto `data`, copied only if that is not aligned to 4 bytes.

    where: what to call the file in an error, such as "checkpoint runs/r7/ckpt/00000012".
    verify: compare the content hash, if there is one (about 1 ms a MB).
    Raises WeightsError, and nothing else, whatever the bytes are.
    """
    view = memoryview(data)
    if view.format != "B" or view.ndim != 1 or not view.contiguous:
        view = memoryview(view.tobytes())
    try:
        header, body = _split(view)
        shapes, metadata = _read_header(header, len(body))
        wanted = metadata.get("sha256") if verify else None
        if wanted is not None and wanted != (found := hashlib.sha256(body).hexdigest()):
            raise ValueError(f"the content hash should be {_quote(wanted)}, found {found!r}")
    except (ValueError, RecursionError) as fault:
        problem = f"{where} is not a sound safetensors file: {fault}"
        raise WeightsError(f"{problem}. Write or fetch it again.") from None
    vector: Vector = np.ndarray((len(body) // 4,), _FLOAT32, buffer=body)
    if not vector.flags.aligned:
        vector = vector.copy()
    vector.flags.writeable = False
    return Weights(vector, shapes, metadata)


def check_shapes(found: TensorShapes, expected: TensorShapes, where: str, hint: str = "") -> None:
    """Raise StructureError, naming both sides, unless names, shapes and their order are the same.

    where: what holds `found`, such as "checkpoint runs/r7/ckpt/00000012"; hint: what to do about it.
    """
    _check_same_tensors(found, expected, where, hint)
    for place, (name, wanted) in enumerate(zip(found, expected, strict=True)):
        if name != wanted:
            _refuse(f"{where} has {_quote(name)} as tensor {place}; the network wants {_quote(wanted)}", hint)


def save(path: str | os.PathLike[str], vector: Vector, shapes: TensorShapes, metadata: Metadata | None = None) -> None:
    """Write a weights file, whole or not at all: a reader, or a crash, never meets half of one.

    Raises StructureError as `encode_parts`, and StoreError when the file cannot be written.
    """
    parts = encode_parts(vector, shapes, metadata)
    folder, name = os.path.split(os.path.abspath(path))
    temp = os.path.join(folder, f".{name}.{secrets.token_hex(6)}.tmp")
    try:
        with open(temp, "xb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())  # else a power cut after the replace could leave an empty file
        os.replace(temp, path)
    except OSError as error:
        problem = f"cannot write weights ({sum(map(len, parts)):,} bytes) to {path}: {error.strerror}"
        raise StoreError(f"{problem}; choose a folder that exists, is writable and has space") from error
    finally:
        with contextlib.suppress(OSError):  # it is gone if all went well
            os.unlink(temp)


def load(path: str | os.PathLike[str]) -> Weights:
    """Read a weights file from disk.

    Raises DataNotFound if there is none, StoreError if it cannot be read, WeightsError if it is not sound.
    Not mapped: a mapped file that another program cuts short kills the process (SIGBUS).
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError as error:
        raise DataNotFound(f"no weights file at {path}; check the path") from error
    except OSError as error:
        raise StoreError(f"cannot read weights from {path}: {error.strerror}") from error
    return decode(data, where=str(path))


def _check_vector(vector: Vector, shapes: TensorShapes) -> None:
    num_wanted = 0
    for name, shape in shapes.items():
        if name == "__metadata__" or any(size < 0 for size in shape):
            raise StructureError(f"tensor {_quote(name)} {shape} cannot be written: rename or reshape it")
        num_wanted += math.prod(shape)
    wanted = f"expected a contiguous ({num_wanted},) float32 vector"
    if vector.dtype != _FLOAT32 or vector.shape != (num_wanted,) or not vector.flags.c_contiguous:
        found = f"{vector.shape} {vector.dtype}{'' if vector.flags.c_contiguous else ', not contiguous'}"
        raise StructureError(f"cannot encode weights: {wanted}, found {found}; use its layout or convert it")


def _header(metadata: Metadata, shapes: TensorShapes) -> bytes:
    if not all(isinstance(text, str) for pair in metadata.items() for text in pair):
        raise StructureError(f"metadata must map str to str, found {metadata!r}; convert it")
    entries: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    offset = 0
    for name, shape in shapes.items():
        sizes = [index(size) for size in shape]
        end = offset + 4 * math.prod(sizes)
        entries[name] = {"dtype": "F32", "shape": sizes, "data_offsets": [offset, end]}
        offset = end
    try:
        text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise StructureError("a tensor name or metadata has a lone surrogate; use Unicode text") from error
    text += b" " * (-(8 + len(text)) % DATA_ALIGNMENT_BYTES)
    if len(text) > MAX_HEADER_BYTES:
        raise StructureError(f"a header of {len(text):,} bytes, {MAX_HEADER_BYTES:,} allowed; shorten names")
    return len(text).to_bytes(8, "little") + text


def _split(view: memoryview) -> tuple[bytes, memoryview]:  # ValueErrors from here on; decode adds where
    if len(view) < 8:
        raise ValueError(f"expected at least 8 bytes, found {len(view)}")
    size = int.from_bytes(view[:8], "little")
    if size > min(len(view) - 8, MAX_HEADER_BYTES):
        raise ValueError(f"its header claims {size:,} bytes, of {len(view) - 8:,} there")
    return bytes(view[8 : 8 + size]), view[8 + size :]


def _read_header(header: bytes, num_data_bytes: int) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    entries = _parse(header)
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("__metadata__ does not map strings to strings")
    tensors = ((*_read_tensor(name, entry), name) for name, entry in entries.items())
    shapes, offset = {}, 0
    for begin, end, shape, name in sorted(tensors, key=itemgetter(0, 1)):
        if begin != offset:
            raise ValueError(f"{_quote(name)} begins at {begin}, the tensor before it ended at {offset}")
        shapes[name], offset = shape, end
    if offset != num_data_bytes:
        raise ValueError(f"the tensors take {offset:,} bytes, found {num_data_bytes:,}")
    return shapes, metadata


def _parse(header: bytes) -> dict[str, Any]:
    if not header.startswith(b"{"):  # so what follows can only be an object
        raise ValueError("the header does not begin with '{'")
    entries: dict[str, Any] = json.loads(
        header.decode(),
        object_pairs_hook=_object,
        parse_int=_int,
        parse_float=_no_int,
        parse_constant=_no_int,
    )
    "".join(entries).encode()  # a lone surrogate, written as an escape, is no name
    return entries


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the header has the same name twice")
    return found


def _int(text: str) -> int:
    if len(text) > 19:  # int() takes quadratic time for long ones
        raise ValueError(f"a number of {len(text)} digits in the header")
    return int(text)


def _no_int(text: str) -> NoReturn:
    raise ValueError(f"{_quote(text)} in the header is not an integer")


def _read_tensor(name: str, entry: Any) -> tuple[int, int, tuple[int, ...]]:
    """(begin, end, shape), sound in themselves."""
    if not isinstance(entry, dict) or entry.keys() != _TENSOR_KEYS:
        raise ValueError(f"{_quote(name)} is not described by exactly dtype, shape and data_offsets")
    if entry["dtype"] != "F32":
        raise ValueError(f"{_quote(name)} has dtype {_quote(entry['dtype'])}, only 'F32' can be read")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _are_sizes(shape) or len(shape) > MAX_NUM_DIMENSIONS:
        raise ValueError(f"{_quote(name)} has no sound shape: {_quote(shape)}")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise ValueError(f"{_quote(name)} has no sound data_offsets: {_quote(offsets)}")
    if 4 * math.prod(size or 1 for size in shape) > MAX_TENSOR_BYTES:
        raise ValueError(f"{_quote(name)} has a huge shape: {_quote(shape)}")
    if 4 * math.prod(shape) != offsets[1] - offsets[0]:
        raise ValueError(f"{_quote(name)} of shape {_quote(shape)} does not fill its offsets {offsets}")
    return offsets[0], offsets[1], tuple(shape)


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and size >= 0 for size in value)


def _check_same_tensors(found: TensorShapes, expected: TensorShapes, where: str, hint: str) -> None:
    for name in (*expected, *found):
        if found.get(name) != expected.get(name):
            has = f"{_quote(name)} {found[name]}" if name in found else f"no {_quote(name)}"
            wants = expected.get(name, "no such tensor")
            _refuse(f"{where} has {has}; the network wants {wants}", hint)


def _refuse(problem: str, hint: str) -> NoReturn:
    raise StructureError(f"{problem}. {hint}".rstrip())


def _quote(value: Any) -> str:
    """A repr that fits into a message, whatever the value is."""
    text = repr(value[:200]) if isinstance(value, (str, list, tuple)) else type(value).__name__
    return text if len(text) <= 100 else text[:97] + "..."
