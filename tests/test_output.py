"""Files that a person named for a result: whole or not at all, whatever the path leads to."""

import ast
import errno
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nnlite import output
from nnlite.errors import StoreError, UsageError
from nnlite.report import picture

ROOT = Path(__file__).resolve().parents[1]
NOBODY = 65534


def write(path: Path, data: bytes = b"new bytes") -> None:
    """As a command does: look first."""
    output.check(path)
    output.write(path, [data[:3], memoryview(data)[3:]], "weights")


def run(code: str, *arguments: object, user: int | None = None, **more: object) -> "subprocess.CompletedProcess[str]":
    prelude = f"import sys, os\nsys.path.insert(0, {str(ROOT)!r})\nfrom nnlite import output\n"
    prelude += f"os.setgroups([]); os.setgid({user}); os.setuid({user})\n" if user is not None else ""
    command = [sys.executable, "-c", prelude + code, *map(str, arguments)]
    return subprocess.run(command, text=True, timeout=60, check=False, **{"capture_output": True, **more})  # type: ignore[call-overload, no-any-return]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach; tmp_path is closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="nnlite-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def as_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make device nodes, mount, and become another user")


# Files


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_mode_that_the_shell_would_give_it(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write(tmp_path / "w")
        output.write(tmp_path / "secret", [b"x"], mode=0o600)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "w").stat().st_mode) == 0o666 & ~mask
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600 & ~mask
    assert (tmp_path / "w").read_bytes() == b"new bytes"
    assert sorted(os.listdir(tmp_path)) == ["secret", "w"]


@pytest.mark.parametrize("mode", [0o664, 0o600, 0o640, 0o755])
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"old")
    path.chmod(mode)
    before = path.stat()
    write(path)
    after = path.stat()
    assert stat.S_IMODE(after.st_mode) == mode
    assert after.st_ino != before.st_ino  # replaced: a reader of the old one has it still
    assert after.st_mtime_ns > before.st_mtime_ns


def test_a_file_that_root_replaces_keeps_its_owner_and_attributes(tmp_path: Path, as_root: None) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"old")
    os.chown(path, NOBODY, NOBODY)
    path.chmod(0o2660)
    os.setxattr(path, "user.of", b"mine")
    write(path)
    after = path.stat()
    assert (after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode)) == (NOBODY, NOBODY, 0o2660)
    assert os.getxattr(path, "user.of") == b"mine"


def test_links_are_followed_and_stay(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far/w").write_bytes(b"old")
    (tmp_path / "far/w").chmod(0o640)
    (tmp_path / "one").symlink_to("far/w")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    (tmp_path / "dangling").symlink_to("far/later")
    for name, target in (("two", "far/w"), ("dangling", "far/later")):
        write(tmp_path / name)
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / target).read_bytes() == b"new bytes"
    assert stat.S_IMODE((tmp_path / "far/w").stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path / "far")) == ["later", "w"]


def test_the_longest_name_there_is(tmp_path: Path) -> None:
    write(tmp_path / ("x" * 255))
    with pytest.raises(UsageError, match="File name too long; name another file"):
        output.check(tmp_path / ("x" * 256))


def test_a_writer_that_is_killed_leaves_the_older_file(tmp_path: Path) -> None:
    code = (
        "import signal\n"
        "class Parts(list):\n"
        "    def __iter__(self):\n"
        "        yield bytes(10_000_000)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "output.write(sys.argv[1], Parts([b'']))"
    )
    (tmp_path / "w").write_bytes(b"old")
    assert run(code, tmp_path / "w").returncode == -signal.SIGKILL
    assert (tmp_path / "w").read_bytes() == b"old"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_failed_write_leaves_the_older_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(fd: int) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / "w").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match=rf"cannot write weights \(9 bytes\) to .*/w: {os.strerror(number)}; choose"):
        write(tmp_path / "w")
    assert os.listdir(tmp_path) == ["w"]
    assert (tmp_path / "w").read_bytes() == b"old"


def test_a_picture_is_written_like_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    (tmp_path / "older.svg").write_bytes(b"old")
    (tmp_path / "older.svg").chmod(0o640)
    (tmp_path / "link.svg").symlink_to("older.svg")
    picture.write(figure, tmp_path / "link.svg")
    made = (tmp_path / "older.svg").read_bytes()
    assert made.startswith(b"<?xml")
    assert (tmp_path / "link.svg").is_symlink()
    assert stat.S_IMODE((tmp_path / "older.svg").stat().st_mode) == 0o640

    def fail(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match=r"cannot write the picture \([\d,]+ bytes\) to .*: No space left on device"):
        picture.write(figure, tmp_path / "link.svg")
    assert (tmp_path / "older.svg").read_bytes() == made
    assert sorted(os.listdir(tmp_path)) == ["link.svg", "older.svg"]


# What takes bytes, and is no file


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    pipe, data = tmp_path / "pipe", os.urandom(1_000_000)  # more than a pipe holds
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to("pipe")
    for path in (pipe, tmp_path / "link"):
        output.check(path)  # without a reader: it may come when there is something to read
        writer = threading.Thread(target=output.write, args=(path, [data]))
        writer.start()
        assert pipe.read_bytes() == data
        writer.join()
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe"]


def test_a_pipe_that_nobody_reads_is_waited_for_and_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "PIPE_PATIENCE_S", 0.2)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match=r"nobody has read this pipe for 0\.2 s"):
        write(tmp_path / "pipe")


def test_a_reader_that_leaves_is_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = threading.Thread(target=lambda: (tmp_path / "pipe").open("rb").close())
    reader.start()
    with pytest.raises(StoreError, match="Broken pipe"):
        output.write(tmp_path / "pipe", [bytes(10_000_000)])
    reader.join()


def test_devices_are_written_into(tmp_path: Path, as_root: None) -> None:
    for name, minor in (("null", 3), ("full", 7)):
        os.mknod(tmp_path / name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
    (tmp_path / "link").symlink_to("null")
    write(tmp_path / "null")
    write(tmp_path / "link")
    with pytest.raises(StoreError, match="No space left on device"):
        write(tmp_path / "full")
    assert sorted(os.listdir(tmp_path)) == ["full", "link", "null"]
    assert all(stat.S_ISCHR((tmp_path / name).stat().st_mode) for name in ("null", "full"))
    assert (tmp_path / "link").is_symlink()


def test_standard_output_is_written_into_when_it_is_a_pipe() -> None:
    code = "output.check('/dev/stdout'); output.write('/dev/stdout', [b'bytes'])"
    assert run(code).stdout == "bytes"


def test_a_file_that_is_a_mount_point_is_written_into(tmp_path: Path, as_root: None) -> None:
    """`docker run -v $PWD/w:/w`."""
    (tmp_path / "outside").write_bytes(b"old and longer than the new")
    (tmp_path / "w").touch()
    mounted = subprocess.run(
        ["mount", "--bind", tmp_path / "outside", tmp_path / "w"], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr!r}")
    try:
        write(tmp_path / "w")
    finally:
        subprocess.run(["umount", tmp_path / "w"], check=True)
    assert (tmp_path / "outside").read_bytes() == b"new bytes"
    assert sorted(os.listdir(tmp_path)) == ["outside", "w"]


def test_another_users_file_in_a_folder_like_tmp_is_written_into(open_folder: Path, as_root: None) -> None:
    path = open_folder / "w"
    path.write_bytes(b"old and longer than the new")
    path.chmod(0o666)
    open_folder.chmod(0o1777)
    done = run("output.check(sys.argv[1]); output.write(sys.argv[1], [b'new'])", path, user=NOBODY)
    assert (done.returncode, done.stderr) == (0, "")
    assert (path.read_bytes(), path.stat().st_uid, os.listdir(open_folder)) == (b"new", 0, ["w"])


# Refused before the work


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path: Path, as_root: None) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("no/such/file")
    (tmp_path / "file").touch()
    os.mknod(tmp_path / "disk", stat.S_IFBLK | 0o666, os.makedev(7, 250))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tmp_path / "socket"))
    for name, words in {
        "folder": "is a folder: name a file",
        "loop": "Too many levels of symbolic links",
        "nowhere": f"there is no folder {tmp_path}/no/such",
        "no/file": f"there is no folder {tmp_path}/no",
        "file/x": "Not a directory",
        "disk": "is a disk: name a file, a pipe",
        "socket": "is a socket: name a file, a pipe",
    }.items():
        with pytest.raises(UsageError) as caught:
            output.check(tmp_path / name, f"--out {name}")
        assert str(caught.value).startswith(f"--out {name} "), caught.value
        assert words in str(caught.value)


def test_what_is_not_permitted_is_refused_before_the_work(open_folder: Path, as_root: None) -> None:
    for name, mode in (("closed", 0o555), ("open", 0o777)):
        (open_folder / name).mkdir()
        (open_folder / name).chmod(mode)
    (open_folder / "open/protected").touch(mode=0o444)
    os.mkfifo(open_folder / "open/pipe", 0o444)
    for name in ("closed/new", "open/protected", "open/pipe"):
        done = run("output.check(sys.argv[1], '--out x')", open_folder / name, user=NOBODY)
        last = done.stderr.splitlines()[-1]
        assert "UsageError: --out x cannot be written: no permission for it, or for the folder" in last, (name, last)
    assert sorted(os.listdir(open_folder / "open")) == ["pipe", "protected"]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_the_file_that_the_commands_own_words_go_to_is_refused(tmp_path: Path, stream: str) -> None:
    with open(tmp_path / "words", "w") as file:
        code = "try: output.check(sys.argv[1])\nexcept output.UsageError: sys.exit(7)"
        for path in (tmp_path / "words", f"/dev/{stream}"):
            assert run(code, path, capture_output=False, **{stream: file}).returncode == 7


def test_looking_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"old")
    before = (tmp_path / "w").stat()
    output.check(tmp_path / "w")
    output.check(tmp_path / "new")
    assert os.listdir(tmp_path) == ["w"]
    assert (tmp_path / "w").stat().st_mtime_ns == before.st_mtime_ns
    assert (tmp_path / "w").read_bytes() == b"old"


# One function


def test_nothing_else_in_the_package_writes_a_named_file() -> None:
    """Except the store of files, which has rules of its own (it follows no link, and a version is made of an inode),
    the OpenFaaS build folder, which the command makes and fills itself, and what lets matplotlib draw into memory."""
    found = {
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in ("nnlite", "lambda_pkg")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and _writes_a_file(node)
    }
    allowed = (
        *(f"nnlite/{name}.py:" for name in ("output", "store/file", "platform/openfaas/images", "report/picture")),
    )
    assert [place for place in sorted(found) if not place.startswith(allowed)] == []
    assert len(found) > len(allowed)  # the test can see


def _writes_a_file(call: ast.Call) -> bool:
    function, modes = call.func, (*call.args, *(keyword.value for keyword in call.keywords))
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name == "open":
        texts = [node.value for node in modes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        return any(text and set(text) <= set("wxabt+") and set(text) & set("wxa") for text in texts)
    owner = getattr(getattr(function, "value", None), "id", "")
    is_path_replace = name == "replace" and isinstance(function, ast.Attribute) and not call.keywords
    return (
        name in ("write_text", "write_bytes", "rename", "renames", "mkstemp", "savefig")
        or (is_path_replace and (owner == "os" or len(call.args) == 1))
        or (owner == "shutil" and name in ("copyfile", "copy", "copy2", "move"))
    )
