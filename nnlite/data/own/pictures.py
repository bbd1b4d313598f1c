"""Pictures: a folder of PNG and JPEG files for each class, read by Pillow, all brought to one size."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlite.data.dataset import Dataset, Split
from nnlite.data.own import splits
from nnlite.data.own.arrays import constants
from nnlite.data.own.reading import TEST, Reading
from nnlite.errors import DataError, RunError, UsageError, words

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
JUNK = ("thumbs.db", "desktop.ini")  # of file managers, as are names that begin with a dot
USUAL_SIZE, MOST_AS_THEY_ARE = 32, 64  # pixels of a side
GREY = ("1", "L", "LA", "I", "F", "I;16", "I;16L", "I;16B")  # modes of Pillow


def pillow() -> Any:
    """Pillow's modules. Raises RunError when it is not installed, or does not load."""
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise RunError(
            f"pictures are read by Pillow ({words(error)}): pip install 'nnlite-serverless[pictures]'"
        ) from None
    return Image, ImageOps


def are_in(folder: Path) -> bool:
    """Whether a folder has folders of pictures."""
    return any(is_picture(path) for inside in _folders(folder) for path in inside.iterdir())


def read(folder: Path, reading: Reading) -> Dataset:
    """A folder with a folder of pictures for each class, or with such folders as its `train` and `test`.

    Raises DataError for what is no picture, with its name; UsageError; RunError without Pillow.
    """
    reading.refuse_but(("size", "channels", "test"), "pictures")
    parts = {path.name.lower(): path for path in _folders(folder)}
    if set(parts) == {"train", "test"}:
        if reading.test is not None:
            raise UsageError(f"test does nothing for {folder}, which has a test split: leave it out", parameter="test")
        train, test = _Found.inside(parts["train"]), _Found.inside(parts["test"])
        if odd := sorted(set(train.names) ^ set(test.names)):
            raise DataError(f"{folder}: train and test have to have the same classes; only one has {odd[0]!r}")
    else:
        found = _Found.inside(folder)
        tested = splits.set_aside(found.labels, reading.test or TEST, str(folder))
        train, test = found.take(np.setdiff1d(np.arange(len(found.labels)), tested)), found.take(tested)
    form = Form.of([*train.paths, *test.paths], reading)
    rows = [Split(form.read_all(part.paths), part.labels) for part in (train, test)]
    name, names = splits.name_of(folder.resolve().name), train.names
    return Dataset(name, rows[0], rows[1], len(names), names, *constants(rows[0].x))


@dataclass(frozen=True)
class _Found:
    """The files of all classes, in order."""

    names: tuple[str, ...]
    paths: list[Path]
    labels: NDArray[Any]

    @classmethod
    def inside(cls, folder: Path) -> _Found:
        """Those of the folders in a folder. Raises DataError."""
        classes = {inside.name: _pictures(inside) for inside in _folders(folder)}
        for name, paths in classes.items():
            if not paths:
                raise DataError(f"{folder / name} holds no picture: put some of that class there, or remove the folder")
        num_rows = sum(map(len, classes.values()))
        splits.check_classes(len(classes), num_rows, list(classes), str(folder))
        labels = np.repeat(np.arange(len(classes)), [len(paths) for paths in classes.values()])
        return cls(tuple(classes), [path for paths in classes.values() for path in paths],
                   splits.as_numbers(labels, len(classes)))  # fmt: skip

    def take(self, rows: NDArray[np.int64]) -> _Found:
        """Some of them."""
        return _Found(self.names, [self.paths[row] for row in rows], self.labels[rows])


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def is_picture(path: Path) -> bool:
    """Whether a file is called like one."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _pictures(folder: Path) -> list[Path]:
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.lower() in JUNK:
            continue
        if not is_picture(path):
            raise DataError(f"{path} is no picture ({', '.join(SUFFIXES[:3])}, ...): move it out of the folder")
        found.append(path)
    return found


@dataclass(frozen=True)
class Form:
    """What every picture of a dataset becomes: (C, H, W) uint8."""

    channels: int
    height: int
    width: int

    @classmethod
    def of(cls, paths: Sequence[Path], reading: Reading) -> Form:
        """As the choices say; else as the pictures are, where they are alike and small."""
        channels, size, headers = reading.channels, reading.size, set()
        if channels is None or size is None:
            headers = {_header(path) for path in paths}
        if channels is None:
            channels = 1 if all(is_grey for is_grey, _ in headers) else 3
        if size is not None:
            return cls(channels, size, size)
        sizes = {size for _, size in headers}
        width, height = next(iter(sizes)) if len(sizes) == 1 else (USUAL_SIZE, USUAL_SIZE)
        if max(width, height) > MOST_AS_THEY_ARE or min(width, height) < 4:
            width, height = USUAL_SIZE, USUAL_SIZE
        return cls(channels, height, width)

    def read_all(self, paths: Sequence[Path]) -> NDArray[np.uint8]:
        """(N, C, H, W)"""
        out = np.empty((len(paths), self.channels, self.height, self.width), np.uint8)
        for place, path in enumerate(paths):
            out[place] = self.read(path)
        return out

    def read(self, path: Path) -> NDArray[np.uint8]:
        """A picture (C, H, W): turned as its camera says, cut to the proportions, and resized. Raises DataError."""
        image_module, ops = pillow()
        with _opened(path) as image:
            image.draft("RGB" if self.channels == 3 else "L", (2 * self.width, 2 * self.height))  # of a JPEG: faster
            upright = _flat(ops.exif_transpose(image), image_module).convert("RGB" if self.channels == 3 else "L")
            size = (self.width, self.height)
            if upright.size != size:
                upright = ops.fit(upright, size, image_module.Resampling.BILINEAR)
            pixels = np.asarray(upright, np.uint8)
        return pixels[None] if self.channels == 1 else pixels.transpose(2, 0, 1)


def _flat(image: Any, module: Any) -> Any:
    """Without transparency, which becomes white, and with 8 bits a channel."""
    if image.mode.startswith("I"):
        values = np.asarray(image)
        return module.fromarray((values >> 8 if values.max() > 255 else values).astype(np.uint8))
    if "A" in image.mode or "transparency" in image.info:
        white = module.new("RGBA", image.size, "WHITE")
        white.alpha_composite(image.convert("RGBA"))
        return white
    return image


def _header(path: Path) -> tuple[bool, tuple[int, int]]:
    """Whether a picture is grey, and its width and height."""
    with _opened(path) as image:
        is_turned = image.getexif().get(0x0112, 1) >= 5
        return image.mode in GREY, image.size[::-1] if is_turned else image.size


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The picture at `path`. What Pillow raises, and warns of, for a damaged or hostile file becomes a DataError."""
    module, _ = pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with module.open(path) as image:
                yield image
    except FileNotFoundError:
        raise DataError(f"no picture {path}") from None
    except Exception as error:
        reason = "it is none, or damaged" if "cannot identify" in str(error) else words(error)
        raise DataError(
            f"{path} cannot be read as a picture ({reason}): mend it, or move it out of the folder"
        ) from None
