"""Downloads, from a server on this machine: resumed, checked, from the next mirror, never half in place."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from nnlite.data import download
from nnlite.errors import DataError, DataNotFound, UsageError

CONTENT = np.random.default_rng(0).bytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server:
    """What requests meet: `plan` is a list of behaviours, used up one a request, the last for ever."""

    def __init__(self) -> None:
        self.plan = ["ranges"]
        self.content = CONTENT
        self.requests: list[tuple[str, str | None]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append((self.path, self.headers.get("Range")))
                act = server.plan.pop(0) if len(server.plan) > 1 else server.plan[0]
                getattr(server, act.split()[0])(self, *act.split()[1:])

            def log_message(self, *_) -> None:
                pass

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_port}/file"

    def _start(self, handler) -> int:
        asked = handler.headers.get("Range")
        return int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0

    def ranges(self, handler, limit: str = "") -> None:
        """As it should be; with a limit, the connection breaks after so many bytes."""
        start, size = self._start(handler), len(self.content)
        if start >= size:
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{size}")
            handler.end_headers()
            return
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self._body(handler, self.content[start:], limit)

    def whole(self, handler, limit: str = "") -> None:
        """A server that has never heard of Range."""
        handler.send_response(200)
        self._body(handler, self.content, limit)

    def lying(self, handler) -> None:
        """206 with other bytes than were asked for."""
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes 0-{len(self.content) - 1}/{len(self.content)}")
        self._body(handler, self.content)

    def without_length(self, handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(self.content)

    def status(self, handler, code: str) -> None:
        handler.send_response(int(code))
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def redirect(self, handler, where: str) -> None:
        handler.send_response(302)
        handler.send_header("Location", where)
        handler.end_headers()

    def silent(self, handler) -> None:
        released.wait(5)

    def _body(self, handler, data: bytes, limit: str = "") -> None:
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[: int(limit)] if limit else data)


released = threading.Event()


@pytest.fixture
def server():
    released.clear()
    one = Server()
    thread = threading.Thread(target=one.httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield one
    released.set()
    one.httpd.shutdown()
    thread.join()
    one.httpd.server_close()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "new" / "file"


def part_of(target):
    return target.with_name("file.part")


def assert_complete(target) -> None:
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("plan", ["ranges", "whole", "without_length"])
def test_a_file_arrives_with_progress(plan, server, target):
    server.plan = [plan]
    seen = []
    assert download.fetch([server.url], target, MD5, progress=lambda *args: seen.append(args)) == target
    assert_complete(target)
    done = [args[0] for args in seen]
    assert done == sorted(done)
    assert seen[-1] == (len(CONTENT), None if plan == "without_length" else len(CONTENT))


def test_what_is_there_is_checked_and_not_asked_for_again(server, target):
    download.fetch([server.url], target, MD5)
    download.fetch([server.url], target, MD5)
    assert len(server.requests) == 1
    target.write_bytes(b"spoilt")
    with pytest.raises(DataError, match="Delete it"):
        download.fetch([server.url], target, MD5)
    assert target.read_bytes() == b"spoilt"


def test_a_cut_connection_is_taken_up_where_it_broke(server, target):
    server.plan = ["ranges 100000", "ranges 70000", "ranges"]
    download.fetch([server.url], target, MD5)
    assert [asked for _, asked in server.requests] == [None, "bytes=100000-", "bytes=170000-"]
    assert_complete(target)


def test_a_later_call_takes_up_the_part_of_an_earlier_one(server, target):
    server.plan = ["ranges 1000", "status 503"]
    with pytest.raises(DataNotFound, match="503"):
        download.fetch([server.url], target, MD5)
    assert not target.exists()
    assert part_of(target).read_bytes() == CONTENT[:1000]
    server.plan, server.requests = ["ranges"], []
    download.fetch([server.url], target, MD5)
    assert [asked for _, asked in server.requests] == ["bytes=1000-"]
    assert_complete(target)


def test_a_server_without_ranges_sends_all_and_nothing_is_doubled(server, target):
    server.plan = ["whole 100000", "whole"]
    download.fetch([server.url], target, MD5)
    assert [asked for _, asked in server.requests] == [None, "bytes=100000-"]
    assert_complete(target)


def test_a_server_without_ranges_that_always_breaks_is_given_up(server, target):
    server.plan = ["whole 100000"]
    with pytest.raises(DataNotFound, match="connection broke"):
        download.fetch([server.url], target, MD5)
    assert len(server.requests) <= 4


def test_a_range_that_was_not_asked_for_is_not_appended(server, target):
    server.plan = ["ranges 100000", "lying", "ranges"]
    download.fetch([server.url], target, MD5)
    assert [asked for _, asked in server.requests] == [None, "bytes=100000-", None]
    assert_complete(target)


def test_a_part_that_is_complete_already_needs_no_bytes(server, target):
    target.parent.mkdir()
    part_of(target).write_bytes(CONTENT)
    download.fetch([server.url], target, MD5)
    assert_complete(target)


@pytest.mark.parametrize("part", [CONTENT + b"more", b"x" * len(CONTENT), b"x" * 1000])
def test_a_part_of_something_else_is_replaced(part, server, target):
    target.parent.mkdir()
    part_of(target).write_bytes(part)
    download.fetch([server.url], target, MD5)
    assert_complete(target)


def test_a_wrong_checksum_deletes_the_part_and_says_both(server, target):
    server.content = b"<html>please log in</html>" + CONTENT
    with pytest.raises(DataError, match="it is a web page") as error:
        download.fetch([server.url], target, MD5)
    assert MD5 in str(error.value)
    assert hashlib.md5(server.content).hexdigest() in str(error.value)
    assert list(target.parent.iterdir()) == []


def test_404_goes_to_the_next_mirror(server, target):
    server.plan = ["status 404", "status 404", "ranges"]
    download.fetch([server.url + "1", server.url + "2"], target, MD5)
    assert [path for path, _ in server.requests] == ["/file1", "/file1", "/file2"]
    assert_complete(target)


def test_a_wrong_file_goes_to_the_next_mirror(server, target):
    server.plan = ["without_length", "ranges"]
    server.content = b"<html>please log in</html>"
    progress = lambda *_: setattr(server, "content", CONTENT)  # noqa: E731
    download.fetch([server.url + "1", server.url + "2"], target, MD5, progress=progress)
    assert_complete(target)


def test_when_all_mirrors_fail_each_is_named(server, target):
    server.plan = ["status 404"]
    with pytest.raises(DataNotFound) as error:
        download.fetch([server.url + "1", "http://127.0.0.1:9/file2"], target, MD5)
    assert "\n" not in str(error.value)
    assert f"{server.url}1: HTTP 404" in str(error.value)
    assert "http://127.0.0.1:9/file2: " in str(error.value)


def test_a_silent_server_is_given_up(server, target):
    server.plan = ["silent"]
    with pytest.raises(DataNotFound, match="timed out"):
        download.fetch([server.url], target, MD5, timeout_s=0.1)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/x", "/etc/passwd", "data:,x"])
def test_only_http_is_fetched(url, target):
    with pytest.raises(UsageError, match="http"):
        download.fetch([url], target, MD5)


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1:9/x"])
def test_no_redirect_leads_elsewhere_than_http(where, server, target):
    server.plan = [f"redirect {where}"]
    with pytest.raises(DataNotFound):
        download.fetch([server.url], target, MD5)


def test_a_redirect_to_http_is_followed(server, target):
    server.plan = [f"redirect {server.url}/elsewhere", "ranges"]
    download.fetch([server.url], target, MD5)
    assert_complete(target)


def test_a_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataNotFound, match="cannot write"):
        download.fetch([server.url], tmp_path / "file" / "x", MD5)
