"""The part of a download that has arrived: one file, written by the one process that holds its lock.

The lock is on the part itself, and every byte goes through the file that is locked. A process that waited for it
looks whether the file still has its name: if not, the download is complete, or was begun anew, and it looks again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from nnlite import locks, output
from nnlite.errors import DataNotFound

POLL_S = 0.1
_READ_BYTES = 1 << 20


class Part:
    """An open, locked part of a file; `close` gives it back. Raises OSError where the file system does."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd

    def close(self) -> None:
        """Let others have it."""
        os.close(self._fd)

    @property
    def size(self) -> int:
        """How many bytes have arrived."""
        return os.fstat(self._fd).st_size

    def append(self, block: bytes) -> None:
        """Write behind what is there."""
        view = memoryview(block)
        while view:
            view = view[os.pwrite(self._fd, view, self.size) :]

    def clear(self) -> None:
        """Begin anew: what is there is of no use."""
        os.ftruncate(self._fd, 0)

    def md5(self) -> str:
        """The md5 of what is there, in hex."""
        return md5_of(self._fd)

    def head(self) -> bytes:
        """The first bytes of what is there."""
        return os.pread(self._fd, 512, 0)

    def become(self, target: Path) -> None:
        """Give the complete file its name, in one move."""
        output.take_name(self._fd, self.path, target)

    def delete(self) -> None:
        """Remove the file; a process that waits for it will begin another."""
        self.path.unlink(missing_ok=True)

    def has_its_name(self) -> bool:
        """Whether this is still the file at `path`: not moved, not deleted."""
        try:
            return os.path.samestat(os.fstat(self._fd), os.lstat(self.path))
        except FileNotFoundError:
            return False


def md5_of(fd: int) -> str:
    """The md5 of all bytes of an open file, in hex."""
    import hashlib

    state, start = hashlib.md5(usedforsecurity=False), 0
    while block := os.pread(fd, _READ_BYTES, start):
        state.update(block)
        start += len(block)
    return state.hexdigest()


def take(path: Path, target: Path, patience_s: float, waiting: Callable[[int], None]) -> Part | None:
    """The part at `path`, made if there is none, once no other process has it; None when `target` is there by then.

    waiting: called now and then with the size that the other process has come to.
    Raises DataNotFound when that process has not got further for `patience_s`, OSError when the file cannot be had.
    """
    while not target.exists():
        with ExitStack() as stack:
            part = Part(path, locks.open_file(path))
            stack.callback(part.close)
            _lock(part, patience_s, waiting)
            if not part.has_its_name():
                continue
            if not target.exists():
                stack.pop_all()
                return part
            part.delete()  # made when another process had just moved its own, complete one
    return None


def _lock(part: Part, patience_s: float, waiting: Callable[[int], None]) -> None:
    size, since_s = part.size, time.monotonic()
    while not locks.hold(part._fd):
        if part.size != size:
            size, since_s = part.size, time.monotonic()
        elif time.monotonic() - since_s > patience_s:
            raise DataNotFound(
                f"another process holds {part.path} and has not got further than {size:,} bytes for {patience_s:g} s: "
                "wait for it or end it, then try again"
            )
        waiting(size)
        time.sleep(POLL_S)
