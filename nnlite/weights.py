"""Weights: one float32 vector with named tensors, as bytes in the safetensors format.

::

    8 bytes    little-endian uint64: N, the length of the header
    N bytes    JSON in UTF-8, padded with spaces: {"__metadata__": {"sha256": "..."},
               "fc/weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
    the rest   the vector: every tensor in C order, one after the other, no holes

Writing is a header in front of the vector's own memory; reading is a view. Files of others may hold half
precision (F16, BF16), which is converted to float32 when it is read.
Source of the format: https://github.com/huggingface/safetensors.
"""

import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from nnlite import magic, places, safetensors
from nnlite.errors import DataNotFound, StoreError, StructureError, WeightsError
from nnlite.safetensors import quote

TensorShapes = Mapping[str, tuple[int, ...]]  # in the order in which the tensors lie in the vector
Metadata = Mapping[str, str]
Vector = npt.NDArray[np.float32]

_FLOAT32 = np.dtype("<f4")  # on a big-endian machine no native vector is this: refused, never written wrong


@dataclass(frozen=True, eq=False)
class Weights:
    """What a weights file holds.

    vector: (P,) float32, read-only, normally a view onto the bytes it was decoded from; a copy of half precision.
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
    return safetensors.write({**(metadata or {}), "sha256": sha256}, shapes), data


def encode_again(found: Weights, metadata: Metadata) -> bytes:
    """A file that `encode` wrote, with other metadata; the data, whose hash is known, is copied once."""
    if "sha256" not in found.metadata:
        return encode(found.vector, found.shapes, metadata)
    header = safetensors.write({**metadata, "sha256": found.metadata["sha256"]}, found.shapes)
    return b"".join((header, found.vector.data.cast("B")))


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
        header, body = safetensors.split(view)
        tensors, metadata = safetensors.read(header, len(body))
        wanted = metadata.get("sha256") if verify else None
        if wanted is not None and wanted != (found := hashlib.sha256(body).hexdigest()):
            raise ValueError(f"the content hash should be {quote(wanted)}, found {found!r}")
    except safetensors.OtherDtype as fault:
        raise WeightsError(f"{where}: {fault}. Convert it where it was written, or leave it out.") from None
    except (ValueError, RecursionError) as fault:
        problem = f"{where} is not a sound safetensors file"
        if (what := magic.name(view)) is not None:
            raise WeightsError(f"{problem}, but {what}") from None
        raise WeightsError(f"{problem}: {fault}. Write or fetch it again.") from None
    vector = _as_float32(body, tensors)
    vector.flags.writeable = False
    return Weights(vector, {name: one.shape for name, one in tensors.items()}, metadata)


def check_shapes(found: TensorShapes, expected: TensorShapes, where: str, hint: str = "") -> None:
    """Raise StructureError, naming both sides, unless names, shapes and their order are the same.

    where: what holds `found`, such as "checkpoint runs/r7/ckpt/00000012"; hint: what to do about it.
    """
    _check_same_tensors(found, expected, where, hint)
    for place, (name, wanted) in enumerate(zip(found, expected, strict=True)):
        if name != wanted:
            _refuse(f"{where} has {quote(name)} as tensor {place}; the network wants {quote(wanted)}", hint)


def save(path: str | os.PathLike[str], vector: Vector, shapes: TensorShapes, metadata: Metadata | None = None) -> None:
    """Write a weights file, as `output.write` does: whole or not at all, whatever the path leads to.

    Raises StructureError as `encode_parts`, and StoreError when the file cannot be written.
    """
    from nnlite import output  # functions never write a file: they do without what it imports

    output.write(path, encode_parts(vector, shapes, metadata), "weights")


def load(path: str | os.PathLike[str]) -> Weights:
    """Read a weights file from disk.

    Raises DataNotFound if there is none, StoreError if it cannot be read, WeightsError if it is not sound.
    Not mapped: a mapped file that another program cuts short kills the process (SIGBUS).
    """
    try:
        with open(places.expanded(path), "rb") as file:
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
            raise StructureError(f"tensor {quote(name)} {shape} cannot be written: rename or reshape it")
        num_wanted += math.prod(shape)
    wanted = f"expected a contiguous ({num_wanted},) float32 vector"
    if vector.dtype != _FLOAT32 or vector.shape != (num_wanted,) or not vector.flags.c_contiguous:
        found = f"{vector.shape} {vector.dtype}{'' if vector.flags.c_contiguous else ', not contiguous'}"
        raise StructureError(f"cannot encode weights: {wanted}, found {found}; use its layout or convert it")


def _as_float32(body: memoryview, tensors: Mapping[str, safetensors.Tensor]) -> Vector:
    """All numbers of a file's data, (P,) float32: a view where they are that already, and aligned."""
    if all(one.dtype == "F32" for one in tensors.values()):
        view: Vector = np.ndarray((len(body) // 4,), _FLOAT32, buffer=body)
        return view if view.flags.aligned else view.copy()
    vector, start = np.empty(sum(math.prod(one.shape) for one in tensors.values()), _FLOAT32), 0
    for one in tensors.values():
        raw, count = body[one.begin : one.end], math.prod(one.shape)
        out = vector[start : start + count]
        if one.dtype == "BF16":  # the upper half of a float32
            np.left_shift(np.frombuffer(raw, "<u2"), np.uint32(16), out=out.view("<u4"), dtype=np.uint32)
        else:
            out[:] = np.frombuffer(raw, "<f2" if one.dtype == "F16" else _FLOAT32)
        start += count
    return vector


def _check_same_tensors(found: TensorShapes, expected: TensorShapes, where: str, hint: str) -> None:
    for name in (*expected, *found):
        if found.get(name) != expected.get(name):
            has = f"{quote(name)} {found[name]}" if name in found else f"no {quote(name)}"
            wants = expected.get(name, "no such tensor")
            _refuse(f"{where} has {has}; the network wants {wants}", hint)


def _refuse(problem: str, hint: str) -> NoReturn:
    raise StructureError(f"{problem}. {hint}".rstrip())
