"""Locks: files that one process at a time holds. The kernel drops a lock when its process dies, so none is left behind.

A link in the place of a lock could lead to somebody's file, which the holder of the lock would write into: none is
followed, and what has a second name is no lock.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from nnlite.errors import NnliteError

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.0001, 0.02


def require() -> None:
    """Raise NnliteError on a system without locks, which lacks much else that files here rest on."""
    if fcntl is None:
        raise NnliteError(
            "files cannot be locked on this system (Python has no fcntl here, as on Windows): use Linux, or WSL"
        )


def open_file(path: str | os.PathLike[str], folder: int | None = None) -> int:
    """The descriptor of a file to read, write and hold, made if there is none; below the open `folder`, if given.

    Raises OSError, also (as ELOOP, "too many links") for anything but a plain file with one name.
    """
    require()
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    fd = os.open(path, flags, 0o666, dir_fd=folder)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(fd)
        raise OSError(errno.ELOOP, "a link or no plain file stands there", os.fspath(path))
    return fd


def hold(fd: int) -> bool:
    """Take the lock of an open file. -> False if another process, or another descriptor, holds it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def hold_within(fd: int, patience_s: float) -> bool:
    """The same, but wait for it, for at most so long."""
    pause_s, until_s = FIRST_PAUSE_S, time.monotonic() + patience_s
    while not hold(fd):
        if time.monotonic() > until_s:
            return False
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
    return True


def release(fd: int) -> None:
    """Give it back. To close the file is not enough: a process forked meanwhile has inherited the lock with it."""
    fcntl.flock(fd, fcntl.LOCK_UN)
