"""The header of a safetensors file: written from names and shapes, and read as strictly as an attack deserves.

Its form is described in `nnlite.weights`. What cannot be read raises a ValueError that says why.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from operator import index
from typing import Any, NoReturn

from nnlite.errors import StructureError

MAX_HEADER_BYTES = 4_000_000  # some 30,000 tensors; beyond it a header is an attack on our memory
MAX_TENSOR_BYTES = 2**62  # NumPy cannot express more in a shape, not even with a 0 in it
MAX_NUM_DIMENSIONS = 32  # NumPy 1.26 has 32, NumPy 2 has 64
DATA_ALIGNMENT_BYTES = 64
ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2}  # what can be read
_TENSOR_KEYS = {"dtype", "shape", "data_offsets"}


class OtherDtype(ValueError):
    """A sound file, of numbers that weights are not made of."""


@dataclass(frozen=True)
class Tensor:
    """What a header says of a tensor, sound in itself."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def write(metadata: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """All bytes before the data: float32 tensors, one behind the other. Raises StructureError for what cannot be."""
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


def split(view: memoryview) -> tuple[bytes, memoryview]:
    """The header and the data of a whole file."""
    if len(view) < 8:
        raise ValueError(f"expected at least 8 bytes, found {len(view)}")
    size = int.from_bytes(view[:8], "little")
    if size > min(len(view) - 8, MAX_HEADER_BYTES):
        raise ValueError(f"its header claims {size:,} bytes, of {len(view) - 8:,} there")
    return bytes(view[8 : 8 + size]), view[8 + size :]


def read(header: bytes, num_data_bytes: int) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors by name, in the order in which they fill so many bytes of data, and the metadata.

    Raises OtherDtype for tensors of numbers that weights are not made of.
    """
    entries = _parse(header)
    metadata = entries.pop("__metadata__", None)
    metadata = {} if metadata is None else metadata
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("__metadata__ does not map strings to strings")
    found = [(name, _read_tensor(name, entry)) for name, entry in entries.items()]
    tensors, offset = {}, 0
    for name, tensor in sorted(found, key=lambda pair: (pair[1].begin, pair[1].end)):
        if tensor.begin != offset:
            raise ValueError(f"{quote(name)} begins at {tensor.begin}, the tensor before it ended at {offset}")
        tensors[name], offset = tensor, tensor.end
    if offset != num_data_bytes:
        raise ValueError(f"the tensors take {offset:,} bytes, found {num_data_bytes:,}")
    return tensors, metadata


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
    raise ValueError(f"{quote(text)} in the header is not an integer")


def _read_tensor(name: str, entry: Any) -> Tensor:
    if not isinstance(entry, dict) or entry.keys() != _TENSOR_KEYS:
        raise ValueError(f"{quote(name)} is not described by exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str):
        raise ValueError(f"{quote(name)} has no sound dtype: {quote(dtype)}")
    if not _are_sizes(shape) or len(shape) > MAX_NUM_DIMENSIONS:
        raise ValueError(f"{quote(name)} has no sound shape: {quote(shape)}")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise ValueError(f"{quote(name)} has no sound data_offsets: {quote(offsets)}")
    if 4 * math.prod(size or 1 for size in shape) > MAX_TENSOR_BYTES:
        raise ValueError(f"{quote(name)} has a huge shape: {quote(shape)}")
    if dtype not in ITEM_BYTES:
        raise OtherDtype(f"{quote(name)} has dtype {quote(dtype)}; weights of {', '.join(ITEM_BYTES)} can be read")
    if ITEM_BYTES[dtype] * math.prod(shape) != offsets[1] - offsets[0]:
        raise ValueError(f"{quote(name)} of shape {quote(shape)} does not fill its offsets {offsets}")
    return Tensor(dtype, tuple(shape), offsets[0], offsets[1])


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and size >= 0 for size in value)


def quote(value: Any) -> str:
    """A repr that fits into a message, whatever the value is."""
    text = repr(value[:200]) if isinstance(value, (str, list, tuple)) else type(value).__name__
    return text if len(text) <= 100 else text[:97] + "..."
