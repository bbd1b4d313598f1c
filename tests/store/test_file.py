"""The store in files: the contract, and what only files meet: kills, full disks, permissions, other files."""

import contextlib
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnlite.errors import Conflict, NotFound, StoreError, StoreUnavailable, UsageError
from nnlite.store import ABSENT, open_store
from nnlite.store import file as module
from nnlite.store.file import FileStore

from .contract import REPOSITORY, OpenAgain, SharedStoreContract, in_threads

BIG = b"x" * 4_000_000


class TestFileStore(SharedStoreContract):
    @pytest.fixture
    def open_again(self, tmp_path: Path) -> OpenAgain:
        return lambda: FileStore(tmp_path / "store")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> FileStore:
    return FileStore(root)


def files_below(root: Path) -> list[str]:
    """What a person who looks into the folder sees, the lock files left out."""
    found = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
    return sorted(path for path in found if not path.startswith(".locks/"))


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=180, check=False)


# Files


def test_values_are_plain_files_and_nothing_else_is_left(store: FileStore, root: Path) -> None:
    assert not root.exists()
    store.put("runs/r1/head.json", b"{}")
    store.put("runs/r1/head.json", b"{1}")
    with pytest.raises(Conflict):
        store.put("runs/r1/head.json", b"{2}", if_version=ABSENT)
    assert files_below(root) == ["runs/r1/head.json"]
    assert (root / "runs/r1/head.json").read_bytes() == b"{1}"


def test_reading_and_deleting_create_nothing(store: FileStore, root: Path) -> None:
    store.delete("a/b")
    assert store.get_many(["a/b"]) == [None]
    assert not root.exists()


def test_the_number_of_locks_is_bounded(store: FileStore, root: Path) -> None:
    for number in range(500):
        store.put(f"k/{number}", b"")
    assert len(os.listdir(root / ".locks")) <= module.NUM_LOCKS


def test_a_descriptor_is_never_left_open(store: FileStore) -> None:
    store.put("a", b"one")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        store.put("a", b"two")
        store.get("a")
        with contextlib.suppress(Conflict):
            store.put("a", b"three", if_version=ABSENT)
        store.delete("a")
    assert len(os.listdir("/proc/self/fd")) == before


# Versions


def test_the_clock_may_stand_still_or_be_set_back(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inodes are reused at once on some file systems: the time alone must keep versions apart."""
    times = iter([2_000_000_000_000_000_000] * 3 + [1_000_000_000_000_000_000] * 3)
    monkeypatch.setattr(module.time, "time_ns", lambda: next(times))
    stamps = []
    for _ in range(6):
        store.put("a", b"same")
        stamps.append(int(store.get("a").version.split("-")[0], 16))
        store.delete("a")
    assert stamps == [2_000_000_000_000_000_000 + number for number in range(6)]


def test_a_file_of_the_future_that_somebody_put_there(store: FileStore, root: Path) -> None:
    root.mkdir()
    (root / "a").write_bytes(b"same")
    os.utime(root / "a", ns=(4_000_000_000_000_000_000, 4_000_000_000_000_000_000))
    old = store.get("a").version
    store.put("a", b"same", if_version=old)
    assert int(store.get("a").version.split("-")[0], 16) > int(old.split("-")[0], 16)


def test_a_file_system_that_rounds_times(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.utime

    def rounding(target: int | str, ns: tuple[int, int]) -> None:
        rounded = ns[0] // 2_000_000_000 * 2_000_000_000
        real(target, ns=(rounded, rounded))

    monkeypatch.setattr(module.os, "utime", rounding)
    stamps = []
    for _ in range(5):
        store.put("a", b"same")
        stamps.append(int(store.get("a").version.split("-")[0], 16))
    assert stamps == sorted(set(stamps))


def test_the_version_is_of_the_bytes_that_were_read(
    store: FileStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write between opening and looking must not lend its version to the old bytes."""
    store.put("a", b"old")

    def overtaken(real: Callable[[int | str], os.stat_result]) -> Callable[[int | str], os.stat_result]:
        def look(target: int | str) -> os.stat_result:
            monkeypatch.undo()
            store.put("a", b"new")
            return real(target)

        return look

    for call in ("stat", "fstat"):
        monkeypatch.setattr(module.os, call, overtaken(getattr(os, call)))
    value = store.get("a")
    assert value.data == b"old"
    assert store.get("a").data == b"new"
    with pytest.raises(Conflict):
        store.put("a", b"lost update", if_version=value.version)


# Locks


@pytest.mark.parametrize("verb", ["put", "delete"])
def test_blind_writes_wait_for_a_swap_that_has_looked(
    verb: str, store: FileStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the swap would silently undo them. The swap pauses between looking and moving."""
    store.put("a", b"one")
    version = store.get("a").version
    real = module._move

    def slow(*arguments: Any) -> None:
        if threads_inside.append(0) is None and len(threads_inside) == 1:
            time.sleep(0.2)
        real(*arguments)

    threads_inside: list[int] = []
    monkeypatch.setattr(module, "_move", slow)

    def work(number: int) -> None:
        if number == 0:
            store.put("a", b"swapped", if_version=version)
        else:
            while not threads_inside:
                time.sleep(0.001)
            if verb == "put":
                store.put("a", b"blind")
            else:
                store.delete("a")

    in_threads(work, 2)
    assert [value and value.data for value in store.get_many(["a"])] == [b"blind" if verb == "put" else None]


def test_a_process_that_dies_gives_its_lock_back(store: FileStore, root: Path) -> None:
    code = """
import os, sys, signal
from nnlite.store import file
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
store = file.FileStore(sys.argv[1])
store.put("a", b"one")
file.os.replace = die
store.put("a", b"two")
"""
    assert run_python(code, str(root)).returncode == -signal.SIGKILL
    store.put("a", b"three", if_version=store.get("a").version)
    assert store.get("a").data == b"three"


def test_a_child_forked_inside_a_put_does_not_keep_the_lock(root: Path) -> None:
    code = """
import os, sys, time
from nnlite.store import file
store, real = file.FileStore(sys.argv[1]), os.replace
def fork(*names, **folder):
    if os.fork() == 0:
        time.sleep(20)
        os._exit(0)
    real(*names, **folder)
file.os.replace = fork
store.put("a", b"one")
file.os.replace = real
store.put("a", b"two")
print("done", flush=True)
os.killpg(0, 9)
"""
    command = [sys.executable, "-c", code, str(root)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, start_new_session=True)
    begin_s = time.monotonic()
    assert process.communicate(timeout=180)[0] == "done\n"
    assert time.monotonic() - begin_s < 10


# Death and full disks


@pytest.mark.parametrize("call", ["write", "utime", "replace"])
def test_a_writer_killed_at_any_point_leaves_the_old_value(call: str, store: FileStore, root: Path) -> None:
    store.put("a", b"old")
    version = store.get("a").version
    code = f"""
import os, sys, signal
from nnlite.store import file
store, real, calls = file.FileStore(sys.argv[1]), os.{call}, []
def die(*arguments, **keywords):
    calls.append(0)
    if len(calls) == (2 if "{call}" == "write" else 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **keywords)
file.os.{call} = die
store.put("a", [b"new" * 100_000] * 4)
"""
    assert run_python(code, str(root)).returncode == -signal.SIGKILL
    assert store.get("a") == module.Versioned(b"old", version)
    assert len(os.listdir(root / ".tmp")) == 1
    store.put("a", b"next", if_version=version)


def test_writers_killed_at_random_moments_never_leave_half_a_value(store: FileStore, root: Path) -> None:
    code = """
import sys
from nnlite.store import open_store
store, number = open_store(sys.argv[1]), 0
print("ready", flush=True)
while True:
    number += 1
    store.put("a", b"%d" % (number % 10) * 2_000_000)
"""
    store.put("a", b"0" * 2_000_000)
    for pause_s in (0.002, 0.011, 0.023, 0.037):
        command = [sys.executable, "-c", code, str(root)]
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(pause_s)
        process.kill()
        process.communicate()
        data = store.get("a").data
        assert data == data[:1] * 2_000_000


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    store = FileStore(small_disk / "store")
    store.put("a", b"old")
    with pytest.raises(StoreError, match=r"cannot write 'a' in file:///.*4,000,000 bytes wanted, [\d,]+ free"):
        store.put("a", BIG)
    assert store.get("a").data == b"old"
    assert files_below(small_disk / "store") == ["a"]
    store.put("a", b"small values still fit")


def test_a_file_that_may_not_grow_so_large(store: FileStore, root: Path) -> None:
    """For real, but without root: a limit on the size of files, hit in the middle of the second part."""
    store.put("a", b"old")
    code = """
import resource, sys
from nnlite.store import open_store
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    open_store(sys.argv[1]).put("a", [b"x" * 600_000, b"y" * 600_000])
except Exception as error:
    print(type(error).__name__, error)
"""
    printed = run_python(code, str(root)).stdout
    assert printed.startswith("StoreError cannot write 'a' in file:///")
    assert "File too large: 1,200,000 bytes wanted" in printed
    assert store.get("a").data == b"old"
    assert files_below(root) == ["a"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("call", ["write", "pwrite", "replace"])
def test_any_failing_call_leaves_the_old_value_and_no_litter(
    call: str, number: int, store: FileStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("a", b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(module.os, call, fail)
        wanted = "check the file system" if number == errno.EIO else "3 bytes wanted, .* free; free some space"
        with pytest.raises(StoreError, match=f"cannot write 'a'.*{os.strerror(number)}.*{wanted}") as caught:
            store.put("a", b"new")
    assert not isinstance(caught.value, (NotFound, Conflict))
    assert store.get("a").data == b"old"
    assert files_below(root) == ["a"]
    store.put("a", b"the lock is free again")


def test_short_writes_are_continued(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(module.os, "write", lambda fd, data: real(fd, data[:7]))
    store.put("a", [b"0123456789", b"abcdefghij"])
    assert store.get("a").data == b"0123456789abcdefghij"


# Others who may write into the store: links, pipes, and processes that stand still


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder with somebody's old file, outside the store."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / f"1-{'0' * 16}").write_bytes(b"precious")
    os.utime(folder / f"1-{'0' * 16}", (1, 1))
    return folder


def precious(theirs: Path) -> list[bytes]:
    return [path.read_bytes() for path in theirs.iterdir()]


@pytest.mark.parametrize("name", [".locks", ".tmp"])
def test_a_folder_of_the_store_that_is_a_link_is_refused(name: str, root: Path, theirs: Path) -> None:
    root.mkdir(exist_ok=True)
    (root / name).symlink_to(theirs)
    store = FileStore(root)  # which tidies .tmp
    refused(lambda: store.put("a", b"new"), "a link stands there")
    assert precious(theirs) == [b"precious"]
    with pytest.raises(NotFound):
        store.get("a")


@pytest.mark.parametrize("kind", ["link", "second name", "dangling", "pipe"])
def test_a_lock_that_is_no_file_of_its_own_is_refused(kind: str, store: FileStore, root: Path, theirs: Path) -> None:
    store.put("a", b"old")
    (lock,) = (root / ".locks").iterdir()
    lock.unlink()
    (victim,) = theirs.iterdir()
    make = {
        "link": lambda: lock.symlink_to(victim),
        "second name": lambda: os.link(victim, lock),
        "dangling": lambda: lock.symlink_to(theirs / "new"),
        "pipe": lambda: os.mkfifo(lock),
    }
    make[kind]()
    where = re.escape(str(lock))
    refused(lambda: store.put("a", b"new"), f"cannot write 'a'.* {where}: a link stands there, or a file with a second")
    refused(lambda: store.delete("a"), f"cannot delete 'a'.* {where}: a link stands there")
    assert precious(theirs) == [b"precious"]
    assert store.get("a").data == b"old"


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_value_that_is_a_link_or_a_pipe_is_refused(kind: str, store: FileStore, root: Path, theirs: Path) -> None:
    store.put("other", b"")
    (victim,) = theirs.iterdir()
    (root / "a").symlink_to(victim) if kind == "link" else os.mkfifo(root / "a")
    for verb in (lambda: store.get("a"), lambda: store.put("a", b"new"), lambda: store.missing(["a"])):
        refused(verb, "a link stands there")
    store.delete("a")  # takes away the link
    assert precious(theirs) == [b"precious"]
    store.put("a", b"new")


def test_only_what_writers_left_is_tidied(root: Path) -> None:
    """A folder named .tmp may be another program's as well."""
    (root / ".tmp").mkdir(parents=True, exist_ok=True)
    for name in (f"12-{'a' * 16}", "report.doc", f"12-{'a' * 16}.doc"):
        (root / ".tmp" / name).write_bytes(b"")
        os.utime(root / ".tmp" / name, (1, 1))
    FileStore(root)
    assert sorted(os.listdir(root / ".tmp")) == [f"12-{'a' * 16}.doc", "report.doc"]


def test_a_writer_that_is_stopped_with_a_lock_is_waited_for_and_named(
    store: FileStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
import os, signal, sys
from nnlite.store import file
def stop(*arguments):
    print("holds", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
file._stamp = stop
file.FileStore(sys.argv[1]).put("a", b"new")
"""
    store.put("a", b"old")
    process = subprocess.Popen([sys.executable, "-c", code, str(root)], cwd=REPOSITORY, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        monkeypatch.setattr(module, "LOCK_PATIENCE_S", 0.2)
        for verb in (lambda: store.put("a", b"mine"), lambda: store.delete("a")):
            with pytest.raises(StoreUnavailable, match=r"held the lock /.*/\.locks/\d\d for 0\.2 s; is it stopped\?"):
                verb()
        assert store.get("a").data == b"old"
        monkeypatch.setattr(module, "LOCK_PATIENCE_S", 60)
        threading.Timer(0.3, lambda: process.send_signal(signal.SIGCONT)).start()
        store.put("a", b"mine")
    finally:
        process.kill()
        process.communicate()
    assert store.get("a").data == b"mine"


def test_a_system_without_locks_is_one_line_of_a_command(root: Path, tmp_path: Path) -> None:
    code = """
import os, sys
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
del os.O_NOFOLLOW, os.O_CLOEXEC, os.O_DIRECTORY, os.O_NONBLOCK  # which Windows has not either
from nnlite.commands import door
sys.exit(door.enter("train", ["--case", "c", "--dataset", "fashion-sample", "--store", sys.argv[1]]))
"""
    done = run_python(code, str(root))
    assert done.stderr.startswith("error: files cannot be locked on this system (Python has no fcntl here, as on Win")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)


# What is in the way


def test_a_file_that_takes_the_place_of_the_folder(tmp_path: Path) -> None:
    """It appears after the store was opened: one in the way before that is a wrong request."""
    below = FileStore(tmp_path / "file" / "store")
    (tmp_path / "file").write_bytes(b"")
    for verb in (lambda: below.get("a"), lambda: below.put("a", b""), lambda: below.delete("a")):
        refused(verb, "a file stands where a folder is needed")


def refused(verb: Callable[[], object], why: str) -> None:
    with pytest.raises(StoreError, match=why) as caught:
        verb()
    assert type(caught.value) is StoreError, "neither NotFound nor Conflict"


def test_a_key_cannot_be_a_folder_too(store: FileStore) -> None:
    store.put("a/b", b"one")
    for verb in (
        lambda: store.get("a"),
        lambda: store.put("a", b""),
        lambda: store.put("a", b"", if_version=ABSENT),
        lambda: store.delete("a"),
    ):
        refused(verb, "a folder of other keys has this name")
    for verb in (
        lambda: store.get("a/b/c"),
        lambda: store.put("a/b/c", b""),
        lambda: store.put("a/b/c", b"", if_version=ABSENT),
        lambda: store.delete("a/b/c"),
    ):
        refused(verb, "a file stands where a folder is needed")
    assert store.get("a/b").data == b"one"


AS_NOBODY = """
import os, sys
from nnlite.errors import *
from nnlite.store import ABSENT, open_store
from nnlite.store import file
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
verbs = {
    "get": lambda store: store.get("a/b"),
    "get_missing": lambda store: store.get("a/missing"),
    "put": lambda store: store.put("a/b", b"new"),
    "create": lambda store: store.put("new/key", b"new", if_version=ABSENT),
    "delete": lambda store: store.delete("a/b"),
}
try:
    print("done", verbs[sys.argv[2]](open_store(sys.argv[1])))
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("mode", "verb", "expected"),
    [
        (0o000, "get", "StoreError cannot read 'a/b'.*permission denied; make it readable and writable"),
        (0o000, "get_missing", "StoreError cannot read 'a/missing'.*permission denied"),
        (0o000, "put", "StoreError cannot write 'a/b'.*permission denied"),
        (0o000, "delete", "StoreError cannot delete 'a/b'.*permission denied"),
        (0o555, "get", "done Versioned"),
        (0o555, "get_missing", "NotFound"),
        (0o555, "put", "StoreError cannot write 'a/b'.*permission denied"),
        (0o555, "create", "StoreError cannot write 'new/key'.*permission denied"),
        (0o555, "delete", "StoreError cannot delete 'a/b'.*permission denied"),
    ],
)
def test_without_permission(mode: int, verb: str, expected: str) -> None:
    """As user nobody if we are root, whom no permission bit stops. Denied must never look like not there."""
    root = Path(tempfile.mkdtemp(prefix="nnlite-"))  # tmp_path is closed to other users
    try:
        FileStore(root).put("a/b", b"old")
        for folder in (root / ".tmp", root / ".locks", root / "a"):
            folder.chmod(mode)
        root.chmod(mode)
        printed = run_python(AS_NOBODY, str(root), verb)
        assert re.match(expected, printed.stdout), printed
        root.chmod(0o755)
        for folder in (root / ".tmp", root / ".locks", root / "a"):
            folder.chmod(0o755)
        assert FileStore(root).get("a/b").data == b"old"
        assert files_below(root) == ["a/b"]
    finally:
        shutil.rmtree(root, ignore_errors=True)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP])
def test_whatever_opening_meets_is_never_not_found(
    number: int, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("a", b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "open", fail)
        patch.setattr(module, "open", fail, raising=False)
        for verb in (lambda: store.get("a"), lambda: store.put("a", b""), lambda: store.delete("a")):
            refused(verb, r"cannot (read|write|delete) 'a' in file:///.*: .*; ")


# Tidying


def test_stale_temporary_files_go_and_fresh_ones_stay(store: FileStore, root: Path) -> None:
    store.put("a", b"one")
    stale, fresh = f"1-{'0' * 16}", f"2-{'f' * 16}"
    for name, age_s in ((stale, 3700), (fresh, 3500)):
        (root / ".tmp" / name).write_bytes(b"half")
        then_s = time.time() - age_s
        os.utime(root / ".tmp" / name, (then_s, then_s))
    open_store(str(root))
    assert files_below(root) == [f".tmp/{fresh}", "a"]


@pytest.mark.parametrize("below", ["", "/below", "/far/below"])
def test_a_file_in_the_way_of_the_folder_is_a_wrong_request(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"file is not a folder, so .* is no store"):
        FileStore(f"{tmp_path}/file{below}")
    assert (tmp_path / "file").read_bytes() == b"mine"
