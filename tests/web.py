"""A small threaded HTTP/1.1 server for tests, without Nagle's pauses."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Request(NamedTuple):
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Answer(NamedTuple):
    """status 0: the connection is closed without a word. num_missing: bytes that are promised and never come."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    num_missing: int = 0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients are killed in these tests: what they leave half said is no error."""


class Web:
    """Answers every request by `answer(request)`, on a free port of 127.0.0.1."""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                try:
                    given = answer(Request(self.command, self.path, dict(self.headers.items()), body))
                except Exception:
                    traceback.print_exc()
                    given = Answer(500)
                if not given.status:
                    self.close_connection = True
                    return
                self.send_response(given.status)
                for name, value in given.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(given.body) + given.num_missing))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(given.body)
                if given.num_missing:
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                """Tests are quiet."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
