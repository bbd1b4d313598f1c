"""The catalog: a known dataset by name, from a data folder, the cache or its publisher."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from nnlite import places
from nnlite.data import bits, cifar, download, emnist, mnist
from nnlite.data.dataset import Dataset, Split
from nnlite.data.download import Progress
from nnlite.data.entries import ENTRIES, Entry
from nnlite.data.mnist import Arrays
from nnlite.errors import DataError, DataNotFound, UsageError

SAMPLE = Path(__file__).parent / "samples" / "fashion"


def names() -> tuple[str, ...]:
    """The names that `load` knows."""
    return tuple(ENTRIES)


def entry(name: str) -> Entry:
    """What is known about a dataset. Raises UsageError for a name that is not in the catalog."""
    if name not in ENTRIES:
        raise UsageError(f"no dataset {name!r}; there are {', '.join(ENTRIES)}, or name a file or folder of your own")
    return ENTRIES[name]


def load(
    name: str,
    *,
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
    download: bool = True,
    progress: Progress | None = None,
) -> Dataset:
    """A known dataset, checked.

    data_dir: where the official files are, in it or in its folder `mnist`, `fashion-mnist`, `emnist` or
        `cifar10`; by default the environment variable NNLITE_DATA. Where given, it must have the files.
    cache_dir: where downloads are kept, a folder each; by default ~/.cache/nnlite.
    download: whether to fetch what is in neither from its publisher. progress: see `download.fetch`.
    Raises UsageError for an unknown name, DataNotFound when there are no files, DataError when they are
    not what they should be.
    """
    known = entry(name)
    if known.kind == "bits":
        return bits.generate()
    path = find(name, data_dir=data_dir, cache_dir=cache_dir)
    if path is None:
        path = _download(known, cache_dir, download, progress)
    return _read(known, path)


def find(name: str, *, data_dir: Path | None = None, cache_dir: Path | None = None) -> Path | None:
    """The folder or archive that `load` would read without downloading; None if there is none.

    Raises DataNotFound if a data folder is given, by argument or by NNLITE_DATA, and does not have it.
    """
    known = entry(name)
    if known.kind == "sample":
        return SAMPLE
    if known.kind == "bits":
        return None
    source = "data"
    if data_dir is None:
        data_dir, source = environment(), "NNLITE_DATA"
    if data_dir is not None:
        data_dir = places.expanded(data_dir)
        found = _search(known, [*(data_dir / folder for folder in known.folders), data_dir])
        if found is None:
            raise DataNotFound(
                f"no {name} in {source}={str(data_dir)!r}: expected {known.expected}, "
                f"in it or in its folder {' or '.join(known.folders)}"
            )
        return found
    return _search(known, [cache_folder(name, cache_dir)])


def fetch(
    name: str,
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    on_file: Callable[[str], None] | None = None,
) -> Path:
    """The cache folder of a dataset, with all its published files; those that are missing are downloaded.

    on_file: called with the name of each file before it is looked at.
    Raises UsageError for a dataset that is not published as files; else as `download.fetch`.
    """
    known = entry(name)
    if not known.resources:
        raise UsageError(f"{name} needs no download")
    folder = cache_folder(name, cache_dir)
    for resource in known.resources:
        if on_file is not None:
            on_file(resource.name)
        download.fetch(resource.urls, folder / resource.name, resource.md5, progress=progress)
    return folder


def has_files(name: str) -> bool:
    """Whether a dataset is read from published files: neither generated nor bundled. Raises UsageError as `entry`."""
    return entry(name).kind not in ("bits", "sample")


def cache_folder(name: str, cache_dir: Path | None = None) -> Path:
    """Where downloads of a dataset are kept; the splits of EMNIST share one, as they share one archive."""
    root = places.cache() if cache_dir is None else places.expanded(cache_dir)
    return root / entry(name).folders[0]


def environment() -> Path | None:
    """The data folder that NNLITE_DATA names, if it does: the one place here where the environment is read."""
    data_dir = os.environ.get("NNLITE_DATA")
    return Path(data_dir) if data_dir else None


def _search(known: Entry, folders: list[Path]) -> Path | None:
    for folder in folders:
        found = {
            "mnist": lambda folder=folder: mnist.find(folder),
            "emnist": lambda folder=folder: emnist.find(folder, _split(known)),
            "cifar": lambda folder=folder: cifar.find(folder),
        }[known.kind]()
        if found is not None:
            return found
    if known.kind == "cifar":  # so that reading it says why not
        return next((path for folder in folders if (path := cifar.find_pickled(folder))), None)
    return None


def _download(known: Entry, cache_dir: Path | None, allowed: bool, progress: Progress | None) -> Path:
    reason = "downloading is switched off"
    if allowed:
        try:
            fetch(known.name, cache_dir=cache_dir, progress=progress)
        except DataNotFound as error:
            reason = str(error)
    folder = cache_folder(known.name, cache_dir)
    found = _search(known, [folder])
    if found is None:
        raise DataNotFound(
            f"no {known.name} in {folder} ({reason}). Three ways on: (1) data=DIR or NNLITE_DATA=DIR, a "
            f"folder with {known.expected}; (2) `python -m tools.data fetch {known.name}` where there is "
            f"internet, then copy its folder to {folder}; (3) dataset='fashion-sample', bundled real images "
            "that need nothing"
        )
    return found


def _split(known: Entry) -> str:
    return known.name.removeprefix("emnist-")


def _read(known: Entry, path: Path) -> Dataset:
    class_names = known.class_names
    if known.kind == "emnist":
        arrays, class_names = emnist.read(path, _split(known), max(known.official))
    elif known.kind == "cifar":
        arrays = cifar.read(path)
    else:
        arrays = mnist.read(path, known.num_classes, max(known.official))
    train_x, train_y, test_x, test_y = arrays
    _check_identity(known, arrays, path)
    return Dataset(
        name=known.name,
        train=Split(train_x, train_y),
        test=Split(test_x, test_y),
        num_classes=known.num_classes,
        class_names=class_names,
        mean=known.mean,
        std=known.std,
        note=_note(known, len(train_y), len(test_y)),
    )


def _check_identity(known: Entry, arrays: Arrays, path: Path) -> None:
    """MNIST and Fashion-MNIST have the same file names: raise DataError if one was found as the other."""
    if not known.labels_md5:
        return
    import hashlib

    found = hashlib.md5(arrays[3].tobytes(), usedforsecurity=False).hexdigest()
    other = next((e.name for e in ENTRIES.values() if e.labels_md5 == found), known.name)
    if other != known.name:
        raise DataError(f"{path}: these are the files of {other}, not of {known.name}")


def _note(known: Entry, num_train: int, num_test: int) -> str:
    """How the numbers of rows differ from the official ones; "" if they do not."""
    parts = [
        f"{found:,} of {official:,} {part}"
        for part, found, official in (
            ("train", num_train, known.official[0]),
            ("test", num_test, known.official[1]),
        )
        if found != official
    ]
    return f"subset: {', '.join(parts)}" if parts else ""
