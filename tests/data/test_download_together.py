"""One file, wanted by several real processes at once: one downloads it from a slow server, the others wait for it."""

import fcntl
import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from nnlite.data import download, part
from nnlite.errors import DataNotFound

ROOT = Path(__file__).parents[2]
CONTENT = np.random.default_rng(1).bytes(600_000)
MD5 = hashlib.md5(CONTENT).hexdigest()
FIRST = 200_000  # bytes that the server sends before it waits for the test
PATIENCE_S = 120

CHILD = """
import sys
from pathlib import Path
from nnlite.data import download
url, target, md5 = sys.argv[1:]
def tell(done, total):
    print("waits" if total is None else "receives", done, flush=True)
download.fetch([url], Path(target), md5, progress=tell)
print("done", flush=True)
"""


class SlowServer:
    """Sends the beginning of the file at once, and the rest when `released` is set."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.asked: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_) -> None:
                pass

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_port}/file"

    def answer(self, handler) -> None:
        asked = handler.headers.get("Range")
        self.asked.append(asked)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked else 0
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        handler.send_header("Content-Length", str(len(CONTENT) - start))
        handler.end_headers()
        middle = max(start, FIRST)
        handler.wfile.write(CONTENT[start:middle])
        handler.wfile.flush()
        self.released.wait(PATIENCE_S)
        for begin in range(middle, len(CONTENT), 50_000):
            handler.wfile.write(CONTENT[begin : begin + 50_000])
            handler.wfile.flush()


@pytest.fixture
def server():
    one = SlowServer()
    one.httpd.daemon_threads = True
    thread = threading.Thread(target=one.httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield one
    one.released.set()
    one.httpd.shutdown()
    thread.join()
    one.httpd.server_close()


@pytest.fixture
def start(server, tmp_path):
    """start() -> a real process that fetches the file."""
    started = []

    def start() -> subprocess.Popen:
        command = [sys.executable, "-c", CHILD, server.url, str(tmp_path / "cache" / "file"), MD5]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        started.append(
            subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def read_until(process, word: str) -> str:
    """What the process printed up to a line that begins with `word`."""
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.startswith(word):
            return "".join(seen)
    pytest.fail(f"the process ended without {word!r}: {''.join(seen)}")


def assert_only_the_file(folder: Path) -> None:
    assert [path.name for path in folder.iterdir()] == ["file"]
    assert (folder / "file").read_bytes() == CONTENT


def test_one_downloads_and_the_others_wait_and_use_it(server, start, tmp_path):
    first = start()
    read_until(first, f"receives {FIRST}")
    others = [start(), start()]
    for other in others:
        assert "receives" not in read_until(other, "waits")
    server.released.set()
    for process in (first, *others):
        read_until(process, "done")
        assert process.wait(PATIENCE_S) == 0
    assert server.asked == [None]
    assert_only_the_file(tmp_path / "cache")


def test_three_at_the_same_moment_make_one_request(server, start, tmp_path):
    server.released.set()
    processes = [start() for _ in range(3)]
    for process in processes:
        read_until(process, "done")
        assert process.wait(PATIENCE_S) == 0
    assert server.asked == [None]
    assert_only_the_file(tmp_path / "cache")


def test_a_waiter_goes_on_where_a_process_that_was_killed_has_come_to(server, start, tmp_path):
    first = start()
    read_until(first, f"receives {FIRST}")
    second = start()
    read_until(second, "waits")
    first.send_signal(signal.SIGKILL)
    first.wait()
    server.released.set()
    read_until(second, "done")
    assert server.asked == [None, f"bytes={FIRST}-"]
    assert_only_the_file(tmp_path / "cache")


def test_a_process_that_stands_still_is_not_waited_for_for_ever(server, tmp_path):
    with (tmp_path / "file.part").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(DataNotFound, match=r"another process holds .*file\.part"):
            download.fetch([server.url], tmp_path / "file", MD5, timeout_s=0.05)
    assert server.asked == []


def test_what_has_lost_its_name_is_not_written_any_more(tmp_path):
    """The one that waited has the very file open that the first has given its final name: it must let go of it."""
    path, target = tmp_path / "file.part", tmp_path / "file"
    first = part.take(path, target, 1, lambda _: None)
    first.append(b"whole")
    seen = []

    def waiting(size: int) -> None:
        seen.append(size)
        if len(seen) == 2:
            first.become(target)
            first.close()

    assert part.take(path, target, 10, waiting) is None
    assert (seen[0], target.read_bytes(), path.exists()) == (5, b"whole", False)


def test_a_part_that_was_deleted_is_begun_anew(tmp_path):
    path, target = tmp_path / "file.part", tmp_path / "file"
    first = part.take(path, target, 1, lambda _: None)
    first.append(b"wrong")

    def waiting(_: int) -> None:
        first.delete()
        first.close()

    second = part.take(path, target, 10, waiting)
    assert (second.size, second.has_its_name()) == (0, True)
    second.close()


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_a_part_that_is_no_file_of_ours_is_left_alone(kind, server, tmp_path):
    path, somebodys = tmp_path / "file.part", tmp_path / "somebody's"
    somebodys.write_text("precious")
    {"link": lambda: path.symlink_to(somebodys), "fifo": lambda: os.mkfifo(path), "folder": path.mkdir}[kind]()
    with pytest.raises(DataNotFound, match="cannot write"):
        download.fetch([server.url], tmp_path / "file", MD5)
    assert (somebodys.read_text(), server.asked) == ("precious", [])


def test_a_server_that_never_stops_sending_does_not_fill_the_disk(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MAX_BYTES", 250_000)
    server.released.set()
    with pytest.raises(DataNotFound, match="goes on behind 250,000 bytes"):
        download.fetch([server.url], tmp_path / "file", MD5)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 0
