"""Output: a file that a person named for a result, written whole or not at all.

A link is followed, and the file behind it replaced, which keeps its mode, owner and attributes. What is no file but
takes bytes, a pipe or a device, is written into. So is a file that can be written but not replaced: one that is a mount
point, as container engines make them, or another user's in /tmp. `check` finds out before hours of work whether `write`
can do its part.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Sequence

from nnlite import places
from nnlite.errors import StoreError, UsageError

PIPE_PATIENCE_S = 60.0  # so long `write` waits for a reader of a pipe
POLL_S = 0.05
_NOT_REPLACEABLE = (errno.EBUSY, errno.EPERM)  # mounted upon; another user's, in /tmp
_COPIED_BYTES = 1 << 20

Buffer = bytes | bytearray | memoryview
_Path = str | os.PathLike[str]


def check(path: _Path, name: str = "") -> None:
    """Raise UsageError unless `write` can write there, as things are: by trying, but changing nothing.

    name: what to call the path in a message, such as "--out x".
    """
    name = name or os.fspath(path)
    try:
        target, status = _behind(path)
        _refuse_kinds(status, name)
        if status is None or stat.S_ISREG(status.st_mode):
            _try(target, status)
        elif not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise UsageError(f"{name} cannot be written: {_reason(error, path)}; name another file") from None


def write(path: _Path, parts: Sequence[Buffer], what: str = "", mode: int = 0o666) -> None:
    """Write `parts`, one after the other. A reader, or a crash, never meets half a file, and the older one stays
    when it fails; except for pipes, devices, and files that cannot be replaced.

    what: to call the bytes in a message, such as "weights". mode: of a new file, less the umask. Raises StoreError.
    """
    try:
        target, status = _behind(path)
        if status is None or stat.S_ISREG(status.st_mode):
            with _fresh(target, mode) as (temp, file):
                file.writelines(parts)
                file.flush()
                take_name(file.fileno(), temp, target)
        else:
            with _opened(target, status) as file:
                file.writelines(parts)
    except OSError as error:
        size = f"{what} ({sum(map(len, parts)):,} bytes) to " if what else ""
        advice = "choose a folder that exists, is writable and has space"
        raise StoreError(f"cannot write {size}{os.fspath(path)}: {_reason(error, path)}; {advice}") from error


def take_name(fd: int, temp: _Path, target: _Path) -> None:
    """Let the complete file `temp`, open as `fd`, stand at `target`, in one move, with mode, owner and attributes of
    the file that it replaces, if there is one. Raises OSError."""
    target, status = _behind(target)
    if status is not None:
        _look_like(fd, temp, target, status)
    os.fsync(fd)  # else a power cut after the move could leave an empty file
    try:
        os.replace(temp, target)
    except OSError as error:
        if error.errno not in _NOT_REPLACEABLE:
            raise
        into = os.open(target, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        with open(temp, "rb") as source, open(into, "wb") as file:
            shutil.copyfileobj(source, file, _COPIED_BYTES)
        os.unlink(temp)


def _behind(path: _Path) -> tuple[str, os.stat_result | None]:
    """(the path behind all links, what stands there); that of a file, or of one that is still to be made."""
    path = places.expanded(path)
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return os.path.realpath(path), None
    # /dev/stdout leads to a pipe that has no path: it can be opened by the link alone
    return os.path.realpath(path) if stat.S_ISREG(status.st_mode) else os.fspath(path), status


def _refuse_kinds(status: os.stat_result | None, name: str) -> None:
    if status is None:
        return
    if stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{name} is a folder: name a file")
    if stat.S_ISSOCK(status.st_mode) or stat.S_ISBLK(status.st_mode):
        kind = "socket" if stat.S_ISSOCK(status.st_mode) else "disk"
        raise UsageError(f"{name} is a {kind}: name a file, a pipe or a character device")
    if stat.S_ISREG(status.st_mode) and any(_is(fd, status) for fd in (1, 2)):
        raise UsageError(f"{name} is the file that this command's own words go to: name another file")


def _is(fd: int, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), status)
    except OSError:  # closed
        return False


def _try(target: str, status: os.stat_result | None) -> None:
    if status is not None:
        os.close(os.open(target, os.O_WRONLY | os.O_CLOEXEC))  # a file that its owner has protected stays
    with _fresh(target):
        pass


@contextlib.contextmanager
def _fresh(target: str, mode: int = 0o666) -> Iterator[tuple[str, io.BufferedWriter]]:
    """(path, file) of a new file in the folder of `target`; gone in the end, unless it was moved."""
    temp = os.path.join(os.path.dirname(target), f".nnlite-{secrets.token_hex(6)}.tmp")
    try:
        with open(temp, "xb", opener=lambda path, flags: os.open(path, flags, mode)) as file:
            yield temp, file
    finally:
        with contextlib.suppress(OSError):  # it is gone if all went well
            os.unlink(temp)


def _look_like(fd: int, temp: _Path, target: str, status: os.stat_result) -> None:
    shutil.copystat(target, temp)
    os.utime(temp)
    for owner, group in ((status.st_uid, -1), (-1, status.st_gid)):
        with contextlib.suppress(PermissionError):  # only root can give a file away
            os.fchown(fd, owner, group)
    os.fchmod(fd, stat.S_IMODE(status.st_mode))  # a change of owner takes some bits away


@contextlib.contextmanager
def _opened(target: str, status: os.stat_result) -> Iterator[io.BufferedWriter]:
    """A pipe or a device, to write into. Raises TimeoutError when nobody reads the pipe."""
    waits = os.O_NONBLOCK if stat.S_ISFIFO(status.st_mode) else 0
    until_s = time.monotonic() + PIPE_PATIENCE_S
    while True:
        try:
            fd = os.open(target, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC | waits)
            break
        except OSError as error:
            if not (waits and error.errno == errno.ENXIO):
                raise
        if time.monotonic() > until_s:
            raise TimeoutError(errno.ETIMEDOUT, f"nobody has read this pipe for {PIPE_PATIENCE_S:g} s")
        time.sleep(POLL_S)
    os.set_blocking(fd, True)
    with open(fd, "wb") as file:
        yield file


def _reason(error: OSError, path: _Path) -> str:
    folder = os.path.dirname(os.path.realpath(places.expanded(path)))
    if isinstance(error, FileNotFoundError):
        return f"there is no folder {folder}"
    if isinstance(error, PermissionError):
        return f"no permission for it, or for the folder {folder}"
    return error.strerror or str(error)
