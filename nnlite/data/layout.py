"""Layout: rows as a network has them, of one row alone, or of pictures whose channels are elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlite.errors import StructureError

Shape = tuple[int, ...]


def batch(x: NDArray[Any], shape: Shape) -> NDArray[Any]:
    """Rows (N, *shape) of what can be meant: those, or one row; of images (C, H, W) also (N, H, W, C) and (H, W, C),
    and of grey ones (N, H, W) and (H, W). What is none of it stays as it is. A view.

    Raises StructureError for what can be meant in two ways.
    """
    if x.shape[1:] == shape:
        return x
    found = [x[None]] if x.shape == shape else []
    if len(shape) == 3:
        channels, *size = shape
        if x.shape[-3:] == (*size, channels) and x.ndim in (3, 4):
            found.append(np.moveaxis(x if x.ndim == 4 else x[None], 3, 1))
        if channels == 1 and x.shape[-2:] == tuple(size) and x.ndim in (2, 3):
            found.append(x[:, None] if x.ndim == 3 else x[None, None])
    if len({_what(one) for one in found}) > 1:
        raise StructureError(
            f"x has shape {x.shape}, which can be meant in two ways: give {('N', *shape)}".replace("'", "")
        )
    return found[0] if found else x


def _what(view: NDArray[Any]) -> tuple[Shape, Shape]:
    """What tells two views of one array apart."""
    return view.shape, tuple(stride for size, stride in zip(view.shape, view.strides, strict=True) if size > 1)
