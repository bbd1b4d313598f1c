"""Augmentation: random flips, shifts and holes in images, drawn from a generator that the caller gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnlite.described import Described
from nnlite.errors import UsageError
from nnlite.mixed import Mixed

MOST_MIXED = 1000.0  # half and half, nearly always


@dataclass(frozen=True)
class Augment(Described):
    """What may be done to an image in training. A subclass, a frozen dataclass with a `__call__` of its own in a case
    file, may do something else.

    flip: mirror it left to right, every other time.
    crop: shift it by up to so many pixels each way; black (0) moves in.
    cutout: blacken a square of so many pixels a side, anywhere, also partly outside (DeVries & Taylor 2017,
        arXiv:1708.04552).
    mixup: mix every image of a minibatch with another, all in the same shares, drawn from Beta(mixup, mixup): 0.2 mixes
        little, 1 anything (Zhang et al. 2017, arXiv:1710.09412). The loss is mixed in the same shares.
    Raises UsageError for a negative number.
    """

    flip: bool = False
    crop: int = 0
    cutout: int = 0
    mixup: float = 0.0

    def __post_init__(self) -> None:
        for name in ("crop", "cutout"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} is a number of pixels, 0 or more, not {getattr(self, name)}")
        if not 0 <= self.mixup <= MOST_MIXED:
            raise UsageError(f"mixup is the parameter of a Beta distribution, 0 to {MOST_MIXED}, not {self.mixup}")

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Augment:
        """What `config()` described; or the fields alone, as specifications had them before there were others.

        Raises StructureError for anything else.
        """
        return Augment.from_config({"is": Augment.__name__, **config})

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Images changed at random: (n, C, H, W) of any dtype -> the same shape and dtype, a new array.

        Raises UsageError when x are not images, or smaller than the crop.
        """
        if x.ndim != 4 or self.crop >= min(x.shape[2:]):
            raise UsageError(f"{self} wants images (n, C, H, W) larger than the crop, not {x.shape}")
        out = self._shift(x, rng) if self.crop else x.copy()
        if self.flip:
            mirrored = rng.random(len(x)) < 0.5
            out[mirrored] = out[mirrored, :, :, ::-1]
        if self.cutout:
            self._blacken_inplace(out, rng)
        return out

    def mix(self, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, Mixed]:
        """A minibatch mixed with itself in another order: x (n, C, H, W) float32, y (n,) -> new arrays."""
        share, order = float(rng.beta(self.mixup, self.mixup)), rng.permutation(len(x))
        mixed = x[order]
        np.subtract(mixed, x, out=mixed)
        np.multiply(mixed, 1 - share, out=mixed)
        np.add(mixed, x, out=mixed)  # x + (1 - share) (other - x)
        return mixed, Mixed(y, y[order], share)

    def _shift(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        n, _, height, width = x.shape
        edge = (self.crop, self.crop)
        padded = np.pad(x, ((0, 0), (0, 0), edge, edge))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
        top, left = rng.integers(0, 2 * self.crop + 1, size=(2, n))
        # (n, C, 2*crop+1, 2*crop+1, H, W) -> (n, C, H, W): one window an image
        shifted: np.ndarray = windows[np.arange(n), :, top, left]
        return shifted

    def _blacken_inplace(self, x: np.ndarray, rng: np.random.Generator) -> None:
        """One square an image, whose middle is a pixel of it."""
        n, _, height, width = x.shape
        top, left = (rng.integers(0, size, (n, 1)) - self.cutout // 2 for size in (height, width))
        rows, columns = np.arange(height), np.arange(width)
        across = (columns >= left) & (columns < left + self.cutout)
        down = (rows >= top) & (rows < top + self.cutout)
        np.copyto(x, 0, where=(down[:, :, None] & across[:, None, :])[:, None])
