"""A store in a folder of files: one machine, or a network file system that has working locks.

A value is the file `<root>/<key>`. Readers take no lock. Writers write a fresh file under `<root>/.tmp/`,
then move it into place under a lock: one of 64 files `<root>/.locks/NN`, chosen by the key. A lock is held for a
moment; when a process has been stopped while it held one, others wait for a minute, then say so.

A version is made of the modification time, inode and size of the file that was read. Writers set the time to
one that is later than all before it under the same lock. The lock file remembers the last, so that not even a
delete, or a clock set back, brings a version back.

Others may write into a shared store, so no link below the root is followed by what writes: neither a lock, nor a folder
of the store's own, nor a value. (A folder of keys may be one, to another disk.)

Values survive the death of any process. They are not forced to the disk (fsync takes milliseconds), so a
power cut may lose the last seconds of a run.
"""

import contextlib
import errno
import os
import re
import secrets
import stat
import time
import zlib
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote_to_bytes

from nnlite import locks, places
from nnlite.errors import Conflict, NnliteError, NotFound, StoreError, StoreUnavailable, UsageError
from nnlite.store.base import ABSENT, Condition, Data, Store, Version, Versioned, buffers, check_key, describe
from nnlite.store.urls import refuse_options, shown

SCHEME = "file://"
LOCK_FOLDER, TEMP_FOLDER = ".locks", ".tmp"
NUM_LOCKS = 64
STALE_AFTER_S = 3600  # no write of ours pauses for so long: a temporary file this old has lost its writer
LOCK_PATIENCE_S = 60.0
COARSEST_CLOCK_NS = 2_000_000_000  # the modification times of FAT count in 2 s

_TEMP = re.compile(r"\d+-[0-9a-f]{16}")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REASONS = {
    errno.EACCES: "permission denied; make it readable and writable for this user, or choose another store",
    errno.EPERM: "not permitted; make it readable and writable for this user, or choose another store",
    errno.EROFS: "the file system is read-only; choose a store on one that can be written",
    errno.ENOTDIR: "a file stands where a folder is needed; a key cannot also be a folder: rename one",
    errno.EEXIST: "a file stands where a folder is needed; a key cannot also be a folder: rename one",
    errno.EISDIR: "a folder of other keys has this name; a key cannot also be a folder: rename one",
    errno.ELOOP: "a link stands there, or a file with a second name, which could be somebody else's; remove it",
    errno.ENOLCK: "this file system has no locks; choose a store on another one",
    errno.EOPNOTSUPP: "this file system has no locks; choose a store on another one",
    errno.ENAMETOOLONG: "the path is too long; choose a store with a shorter one",
}


class FileStore(Store):
    """Files below the folder `root`, which the first `put` creates. Safe between threads and processes.

    Raises UsageError if `root`, or what it would stand in, is there but is no folder; NnliteError on a system
    without locks.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        locks.require()
        self._root = os.path.abspath(places.expanded(root))  # a later chdir changes nothing
        standing = self._root
        while not os.path.lexists(standing):
            standing = os.path.dirname(standing)
        if not os.path.isdir(standing):
            raise UsageError(f"{standing} is not a folder, so {self._root} is no store; choose another path")
        self._remove_stale()

    @classmethod
    def from_url(cls, url: str) -> "FileStore":
        """`file:///path`, percent-encoded where needed, or a plain path."""
        is_url = url.startswith(SCHEME)
        if is_url:
            refuse_options(url)
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
                with open(self._path(key), "rb", buffering=0, opener=_open_value) as file:
                    status = os.fstat(file.fileno())  # of the very file that is read, not of its successor
                    _check_kind(status, key)
                    return Versioned(file.readall(), _version(status))
            except FileNotFoundError:
                raise NotFound(f"no key {key!r} in {self.url}") from None

    def put(self, key: str, data: Data, *, if_version: Condition = None) -> None:
        check_key(key)
        parts = buffers(data)
        with (
            self._explained("write", key, sum(map(len, parts))),
            self._written(parts) as (temp, fd, folder),
            self._locked(key) as lock,
        ):
            old = _status(self._path(key))
            found = _version(old) if old else ABSENT
            if if_version not in (None, found):
                both = f"expected {describe(if_version)}, found {describe(found)}"
                raise Conflict(f"{key!r} in {self.url}: {both}; read it again")
            _stamp(fd, lock, old.st_mtime_ns if old else 0)
            _move(temp, folder, self._path(key))

    def delete(self, key: str) -> None:
        # Under the lock: a swap that has already looked must not be undone by a delete it did not see.
        with self._explained("delete", check_key(key)), contextlib.suppress(FileNotFoundError):
            os.lstat(self._path(key))  # there may be no store at all, and so no folder for locks
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
    def _folder(self, name: str) -> Iterator[int]:
        """The descriptor of a folder of the store's own, made if there is none."""
        path, flags = os.path.join(self._root, name), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            fd = os.open(path, flags)
        except FileNotFoundError:
            os.makedirs(path, exist_ok=True)
            fd = os.open(path, flags)
        except NotADirectoryError:
            if os.path.islink(path):  # as ELOOP, which some systems say themselves
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path) from None
            raise
        try:
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _written(self, parts: list[memoryview]) -> Iterator[tuple[str, int, int]]:
        """(name, descriptor, descriptor of its folder) of a fresh file with the parts in it; gone at the end, unless it
        was moved."""
        temp = f"{os.getpid()}-{secrets.token_hex(8)}"
        with self._folder(TEMP_FOLDER) as folder:
            fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder)
            try:
                for part in parts:
                    while part:
                        part = part[os.write(fd, part) :]  # noqa: PLW2901 (a write may be short)
                yield temp, fd, folder
            finally:
                os.close(fd)
                with contextlib.suppress(OSError):
                    os.unlink(temp, dir_fd=folder)

    @contextlib.contextmanager
    def _locked(self, key: str) -> Iterator[int]:
        """Alone among all writers of this key; yields the lock file's descriptor."""
        name = f"{zlib.crc32(key.encode()) % NUM_LOCKS:02}"  # unlike hash(), the same in every process
        path = os.path.join(self._root, LOCK_FOLDER, name)
        with self._folder(LOCK_FOLDER) as folder:
            try:
                fd = locks.open_file(name, folder)
            except OSError as error:
                error.filename = path
                raise
        try:
            if not locks.hold_within(fd, LOCK_PATIENCE_S):
                raise StoreUnavailable(
                    f"{key!r} in {self.url}: another process has held the lock {path} for {LOCK_PATIENCE_S:g} s; "
                    "is it stopped? (fuser names it) Let it go on, or end it"
                )
            try:
                yield fd
            finally:
                locks.release(fd)
        finally:
            os.close(fd)

    def _remove_stale(self) -> None:
        """Remove what killed writers left. Never an error: it is only tidying, and others may do the same."""
        path, flags = os.path.join(self._root, TEMP_FOLDER), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
        with contextlib.suppress(OSError):
            folder = os.open(path, flags)
            try:
                for name in filter(_TEMP.fullmatch, os.listdir(folder)):
                    with contextlib.suppress(OSError):
                        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                        if time.time() - status.st_mtime > STALE_AFTER_S:
                            os.unlink(name, dir_fd=folder)
            finally:
                os.close(folder)

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
            where = f"{error.filename}: " if error.errno == errno.ELOOP and error.filename else ""
            raise StoreError(f"cannot {verb} {key!r} in {self.url}: {where}{reason}") from error


def _version(status: os.stat_result) -> Version:
    return Version(f"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_size:x}")


def _open_value(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)  # neither a link nor a pipe that never ends


def _status(path: str) -> os.stat_result | None:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    _check_kind(status, path)
    return status


def _check_kind(status: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def _move(temp: str, folder: int, path: str) -> None:
    try:
        os.replace(temp, path, src_dir_fd=folder)
    except FileNotFoundError:  # the first key in this folder
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.replace(temp, path, src_dir_fd=folder)


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


def _free_bytes(path: str) -> int:
    try:
        status = os.statvfs(path)
    except OSError:
        return 0
    return status.f_bavail * status.f_frsize
