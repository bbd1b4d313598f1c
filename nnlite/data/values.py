"""Values: what the rows that a network was trained on are made of, and how rows to predict become the same.

Pixels (uint8) are scaled on their way into a network; numbers (int8, float32) are used as they are. The same picture
may come as uint8, as int64 or as floats of another range; floats say their range (`scale`), and are never guessed at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from nnlite.data.dataset import Split, first_not_finite, to_float
from nnlite.data.inputs import FAR
from nnlite.errors import UsageError

Constants = tuple[float, ...]

OVERSHOOT = 0.1  # of its width, that values may leave a range that was declared: what resizing a picture does
_DECLARED = re.compile(r"\s*(-?[\d.]+)\s*\.\.\s*(-?[\d.]+)\s*")


@dataclass(frozen=True)
class Values:
    """The dtype of the rows that a network was trained on, and their range: 0 to 255 for pixels, else as found."""

    dtype: str  #: uint8 (pixels), int8 or float32
    low: float
    high: float

    @classmethod
    def of(cls, split: Split) -> Values:
        """What a split's rows are made of."""
        if split.x.dtype == np.uint8:
            return PIXELS
        low, high = (float(split.x.min()), float(split.x.max())) if split.x.size else (0.0, 0.0)
        return cls(split.x.dtype.name, low, high)

    @property
    def are_pixels(self) -> bool:
        """Whether they are scaled on their way into the network."""
        return self.dtype == "uint8"

    def __str__(self) -> str:
        if self.are_pixels:
            return "pixels from 0 to 255"
        return f"{self.dtype} from {self.low:g} to {self.high:g}, used as they are"


PIXELS = Values("uint8", 0.0, 255.0)


def network_input(
    x: np.ndarray, values: Values | None, mean: Constants, std: Constants, scale: str | None = None
) -> np.ndarray:
    """Rows to predict as float32, on the scale of the rows that a network was trained on.

    x: (N, C, H, W) or (N, D), integers or floats in any byte order and memory layout; read only.
    values: what the network was trained on, with mean and std as in `to_float`; None: an old file does not say.
    scale: the range of x, "0..1" or "-1..1", where it is not that of the pixels the network was trained on.
    Raises UsageError, naming the range, when x is not on that scale, or when it cannot be known.
    """
    if x.dtype.kind not in "biuf":
        raise UsageError(f"rows to predict are integers or floats, not {x.dtype}: convert them")
    if (at := first_not_finite(x)) is not None:
        raise UsageError(f"rows to predict hold {at}: remove or replace it")
    if values is None:
        return _as_before(x, mean, std, scale)
    if scale is not None:
        return _declared(x, values, mean, std, scale)
    low, high = (x.min(), x.max()) if x.size else (values.low, values.low)
    if values.are_pixels:
        _check_pixels(x, float(low), float(high))
        return to_float(x, mean, std, are_pixels=True)
    width = FAR * ((values.high - values.low) or max(1.0, abs(values.low)))
    if not values.low - width <= low <= high <= values.high + width:
        raise UsageError(
            f"this model was trained on {values}; found {x.dtype} from {low:g} to {high:g}: "
            "rows to predict must be on the same scale"
        )
    return to_float(x, mean, std, are_pixels=False)


def _check_pixels(x: np.ndarray, low: float, high: float) -> None:
    found = f"this model was trained on {PIXELS}; found {x.dtype} from {low:g} to {high:g}"
    if x.dtype.kind == "b":
        raise UsageError(f'{found}: say predict(x, scale="0..1")')
    if low < 0 or high > 255:
        hint = 'clip them, or say their range, as in predict(x, scale="-1..1")'
        if x.dtype == np.int8:
            hint = "bytes of a picture are uint8: x.view(numpy.uint8)"
        raise UsageError(f"{found}: {hint}")
    if x.dtype.kind == "f" and 0 < high <= 1:
        raise UsageError(f'{found}: say predict(x, scale="0..1"), or scale="0..255" if the pictures are that dark')


def _declared(x: np.ndarray, values: Values, mean: Constants, std: Constants, scale: str) -> np.ndarray:
    """Pixels whose range is declared: its ends become 0 and 255."""
    if not values.are_pixels:
        raise UsageError(f"scale={scale!r} is for models of pixels; this one was trained on {values}")
    first, last = _range(scale)
    low, high = (float(x.min()), float(x.max())) if x.size else (first, first)
    room = OVERSHOOT * (last - first)
    if not first - room <= low <= high <= last + room:
        raise UsageError(f"scale={scale!r}, but found {x.dtype} from {low:g} to {high:g}: say the range they have")
    return to_float(x, mean, std, are_pixels=True, ends=(first, last))


def _range(scale: str) -> tuple[float, float]:
    found = _DECLARED.fullmatch(scale) if isinstance(scale, str) else None
    try:
        first, last = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    except ValueError:
        first, last = 0.0, 0.0
    if not first < last < np.inf:
        raise UsageError(f'scale={scale!r}: wanted two numbers, the lower first, as in "0..1", "0..255" or "-1..1"')
    return first, last


def _as_before(x: np.ndarray, mean: Constants, std: Constants, scale: str | None) -> np.ndarray:
    """What files did before they said what their rows are made of: the dtype of the rows decides."""
    if any(mean) or any(one != 1 for one in std):  # only pixels are scaled
        return network_input(x, PIXELS, mean, std, scale)
    if scale is not None or not (x.dtype in (np.uint8, np.int8) or x.dtype.kind == "f"):
        raise UsageError(
            "this model's file does not say what it was trained on: give rows of the dtype of the training data, "
            f"uint8 (pixels), int8 or float32, without scale; found {x.dtype}"
        )
    return to_float(x, mean, std)
