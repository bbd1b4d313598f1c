"""What a command line names: files, folders and stores. Whatever is wrong with one makes the request a wrong one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from nnlite import places
from nnlite.errors import DataError, DataNotFound, StoreError, StructureError, UsageError, WeightsError
from nnlite.store import Store, open_store


def path(text: str) -> str:
    """A path, for argparse: with `~` replaced, as a shell leaves `--out=~/x` alone."""
    try:
        return str(places.expanded(text)) if text.startswith("~") else text
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


@contextmanager
def wrong_if_named(value: object) -> Iterator[None]:
    """Let errors about a file or folder be UsageErrors, if the command line has named it: if there is a value."""
    try:
        yield
    except (DataError, DataNotFound, StoreError, StructureError, WeightsError) as error:
        if not value:
            raise
        raise UsageError(str(error)) from error


def store(url: str) -> Store:
    """The store that an option names. Raises UsageError when there is something else."""
    with wrong_if_named(url):
        return open_store(url)
