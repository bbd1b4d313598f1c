"""The layout of a parameter vector: ordered names, shapes and offsets of one flat array."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from math import prod

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nnlite.errors import StructureError

Array = NDArray[np.generic]
Shape = tuple[int, ...]

ALIGNMENT = 64  # bytes: one cache line, and the widest SIMD register


def aligned_empty(shape: int | Shape, dtype: DTypeLike = np.float32) -> NDArray[np.generic]:
    """An uninitialized C-ordered array whose memory starts at a multiple of 64 bytes.

    NumPy promises 16; three-operand ufuncs run up to twice as fast on whole cache lines.
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    num_bytes = prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(num_bytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + num_bytes].view(dtype).reshape(shape)


def aligned_zeros(shape: int | Shape, dtype: DTypeLike = np.float32) -> NDArray[np.generic]:
    """As `aligned_empty`, filled with zeros."""
    array = aligned_empty(shape, dtype)
    array[...] = 0
    return array


def aligned_copy(array: Array, dtype: DTypeLike = np.float32) -> NDArray[np.generic]:
    """A copy of `array` in memory as of `aligned_empty`."""
    copy = aligned_empty(array.shape, dtype)
    copy[...] = array
    return copy


def _joined(parts: Iterable[slice]) -> list[slice]:
    """Parts of a vector in order; those that touch as one."""
    joined: list[slice] = []
    for part in parts:
        start = joined.pop().start if joined and joined[-1].stop == part.start else part.start
        joined.append(slice(start, part.stop))
    return joined


class Layout(Mapping[str, Shape]):
    """Ordered names and shapes of tensors that lie one after the other in a vector of `size` entries (P).

    It is a read-only mapping of names to shapes, so it can be handed wherever shapes are wanted. `undecayed` are the
    names of tensors for which an optimizer's weight decay is not meant.
    """

    def __init__(self, shapes: Mapping[str, Shape], undecayed: Collection[str] = ()):
        self._shapes = {name: tuple(shape) for name, shape in shapes.items()}
        self.slices: dict[str, slice] = {}
        start = 0
        for name, shape in self._shapes.items():
            self.slices[name] = slice(start, start + prod(shape))
            start += prod(shape)
        self.size = start
        self.undecayed = frozenset(undecayed)
        self.decayed = _joined(part for name, part in self.slices.items() if name not in undecayed)  #: where it is

    def __getitem__(self, name: str) -> Shape:
        return self._shapes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)

    def __repr__(self) -> str:
        return f"Layout({self._shapes})"

    def views(self, vector: NDArray[np.generic]) -> dict[str, NDArray[np.generic]]:
        """Named tensors that share the memory of `vector` (P,). Raises StructureError for another size."""
        self.check(vector)
        return {name: vector[self.slices[name]].reshape(shape) for name, shape in self._shapes.items()}

    def check(self, vector: NDArray[np.generic], what: str = "the parameter vector") -> None:
        """Raise StructureError unless `vector` is a contiguous float32 or float64 array of shape (P,)."""
        if vector.shape != (self.size,):
            raise StructureError(f"{what} has shape {vector.shape}; this network wants ({self.size},)")
        if vector.dtype not in (np.float32, np.float64) or not vector.flags.c_contiguous:
            raise StructureError(
                f"{what} is {vector.dtype}, contiguous: {vector.flags.c_contiguous}; "
                "wanted a contiguous float32 (or, for gradient checks, float64) array"
            )

    def name_at(self, index: int) -> str:
        """The readable place of entry `index` of the vector, e.g. ``conv1/weight[4, 4, 0, 63]``."""
        for name, part in self.slices.items():
            if part.start <= index < part.stop:
                inside = np.unravel_index(index - part.start, self._shapes[name])
                return f"{name}[{', '.join(str(int(i)) for i in inside)}]"
        raise IndexError(f"entry {index} of a vector of {self.size}")
