"""A store in a folder of files: one machine, or a network file system that has working locks.

A value is the file `<root>/<key>`. Readers take no lock. Writers write a fresh file under `<root>/.tmp/`,
then move it into place under a lock: one of 64 files `<root>/.locks/NN`, chosen by the key. The kernel drops
a lock when its process dies, so no lock is ever left behind.

A version is made of the modification time, inode and size of the file that was read. Writers set the time to
one that is later than all before it under the same lock. The lock file remembers the last, so that not even a
delete, or a clock set back, brings a version back.

Values survive the death of any process. They are not forced to the disk (fsync takes milliseconds), so a
power cut may lose the last seconds of a run.
"""

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import time
import zlib
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote_to_bytes

from nnlite.errors import Conflict, NnliteError, NotFound, StoreError, UsageError
from nnlite.store.base import ABSENT, Condition, Data, Store, Version, Versioned, buffers, check_key, describe
from nnlite.store.urls import shown

SCHEME = "file://"
NUM_LOCKS = 64
STALE_AFTER_S = 3600  # no write of ours pauses for so long: a temporary file this old has lost its writer
COARSEST_CLOCK_NS = 2_000_000_000  # the modification times of FAT count in 2 s

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REASONS = {
    errno.EACCES: "permission denied; make it readable and writable for this user, or choose another store",
    errno.EPERM: "not permitted; make it readable and writable for this user, or choose another store",
    errno.EROFS: "the file system is read-only; choose a store on one that can be written",
    errno.ENOTDIR: "a file stands where a folder is needed; a key cannot also be a folder: rename one",
    errno.EEXIST: "a file stands where a folder is needed; a key cannot also be a folder: rename one",
    errno.EISDIR: "a folder of other keys has this name; a key cannot also be a folder: rename one",
    errno.ENAMETOOLONG: "the path is too long; choose a store with a shorter one",
}


class FileStore(Store):
    """Files below the folder `root`, which the first `put` creates. Safe between threads and processes.

    Raises StoreError if `root` is there but is no folder.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = os.path.abspath(root)  # a later chdir changes nothing
        if os.path.lexists(self._root) and not os.path.isdir(self._root):
            raise StoreError(f"{self._root} is not a folder, so no store; remove it or choose another path")
        self._remove_stale()

    @classmethod
    def from_url(cls, url: str) -> "FileStore":
        """`file:///path`, percent-encoded where needed, or a plain path."""
        is_url = url.startswith(SCHEME)
        path = os.fsdecode(unquote_to_bytes(url.removeprefix(SCHEME))) if is_url else url
        if not path or "\0" in path or (is_url and not path.startswith("/")):
            raise UsageError(f"{shown(url)} is no folder: expected file:///absolute/path, or a path")
        return cls(path)

    @property
    def url(self) -> str:
        return SCHEME + quote(os.fsencode(self._root))

    def get(self, key: str) -> Versioned:
        with self._explained("read", check_key(key)):
            try:
                with open(self._path(key), "rb", buffering=0) as file:
                    status = os.fstat(file.fileno())  # of the very file that is read, not of its successor
                    return Versioned(file.readall(), _version(status))
            except FileNotFoundError:
                raise NotFound(f"no key {key!r} in {self.url}") from None

    def put(self, key: str, data: Data, *, if_version: Condition = None) -> None:
        check_key(key)
        parts = buffers(data)
        with (
            self._explained("write", key, sum(map(len, parts))),
            self._written(parts) as (temp, fd),
            self._locked(key) as lock,
        ):
            old = _status(self._path(key))
            found = _version(old) if old else ABSENT
            if if_version not in (None, found):
                both = f"expected {describe(if_version)}, found {describe(found)}"
                raise Conflict(f"{key!r} in {self.url}: {both}; read it again")
            _stamp(fd, lock, old.st_mtime_ns if old else 0)
            _move(temp, self._path(key))

    def delete(self, key: str) -> None:
        # Under the lock: a swap that has already looked must not be undone by a delete it did not see.
        with self._explained("delete", check_key(key)), contextlib.suppress(FileNotFoundError):
            os.stat(self._path(key))  # there may be no store at all, and so no folder for locks
            with self._locked(key):
                os.unlink(self._path(key))

    def missing(self, keys: Iterable[str]) -> list[str]:
        found = []
        for key in keys:
            with self._explained("look for", check_key(key)):
                if _status(self._path(key)) is None:
                    found.append(key)
        return found

    def folders(self, under: str) -> list[str]:
        """Names of the folders right below the folder `under` (with a slash at its end), sorted."""
        with self._explained("list", under):
            if not os.path.isdir(self._path(under)):
                return []
            with os.scandir(self._path(under)) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir())

    def _path(self, key: str) -> str:
        return os.path.join(self._root, key)

    @contextlib.contextmanager
    def _written(self, parts: list[memoryview]) -> Iterator[tuple[str, int]]:
        """(path, descriptor) of a fresh file with the parts in it; gone at the end, unless it was moved."""
        temp = os.path.join(self._root, ".tmp", f"{os.getpid()}-{secrets.token_hex(8)}")
        fd = _open_below(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            for part in parts:
                while part:
                    part = part[os.write(fd, part) :]  # noqa: PLW2901 (a write may be short)
            yield temp, fd
        finally:
            os.close(fd)
            with contextlib.suppress(OSError):
                os.unlink(temp)

    @contextlib.contextmanager
    def _locked(self, key: str) -> Iterator[int]:
        """Alone among all writers of this key; yields the lock file's descriptor."""
        number = zlib.crc32(key.encode()) % NUM_LOCKS  # unlike hash(), the same in every process
        fd = _open_below(os.path.join(self._root, ".locks", f"{number:02}"), os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield fd
        finally:
            # Not left to the close: a process forked meanwhile has inherited the lock together with the file.
            fcntl.flock(fd, fcntl.LOCK_UN)
            os.close(fd)

    def _remove_stale(self) -> None:
        """Remove what killed writers left. Never an error: it is only tidying, and others may do the same."""
        with contextlib.suppress(OSError), os.scandir(os.path.join(self._root, ".tmp")) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if time.time() - entry.stat(follow_symlinks=False).st_mtime > STALE_AFTER_S:
                        os.unlink(entry.path)

    @contextlib.contextmanager
    def _explained(self, verb: str, key: str, num_bytes: int = 0) -> Iterator[None]:
        """An OSError of the system as a StoreError that says what to do."""
        try:
            yield
        except NnliteError:  # some are OSErrors too
            raise
        except OSError as error:
            reason = _REASONS.get(error.errno or 0, f"{error.strerror}; check the file system")
            if error.errno in _FULL:
                reason = (
                    f"{error.strerror}: {num_bytes:,} bytes wanted, {_free_bytes(self._root):,} free; "
                    "free some space or choose another store (the old value is intact)"
                )
            raise StoreError(f"cannot {verb} {key!r} in {self.url}: {reason}") from error


def _version(status: os.stat_result) -> Version:
    return Version(f"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_size:x}")


def _status(path: str) -> os.stat_result | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    return status


def _move(temp: str, path: str) -> None:
    try:
        os.replace(temp, path)
    except FileNotFoundError:  # the first key in this folder
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.replace(temp, path)


def _stamp(fd: int, lock: int, old_ns: int) -> None:
    """Give the file a modification time later than any that a file of this lock, or the old one, has had."""
    remembered = os.pread(lock, 20, 0)
    last_ns = max(old_ns, int(remembered) if remembered.isdigit() else 0)
    for now_ns in (max(time.time_ns(), last_ns + 1), last_ns + COARSEST_CLOCK_NS):
        os.utime(fd, ns=(now_ns, now_ns))
        stamped_ns = os.fstat(fd).st_mtime_ns  # the file system may have rounded it
        if stamped_ns > last_ns:
            break
    os.pwrite(lock, b"%020d" % stamped_ns, 0)


def _open_below(path: str, flags: int) -> int:
    """Open a file, in a folder that is created if need be."""
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, flags, 0o666)


def _free_bytes(path: str) -> int:
    try:
        status = os.statvfs(path)
    except OSError:
        return 0
    return status.f_bavail * status.f_frsize
