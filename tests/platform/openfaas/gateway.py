"""A gateway for tests: OpenFaaS' routes over HTTP, and behind them real handlers in processes of their own.

What it does as the real one (community edition): basic auth on /system only; 429 when all slots of the replica it
chose are taken; 500 while a replica's Python does not listen yet; 502 when a replica dies under a call; 504 after
`exec_timeout`, with the process left at work; a queue for /async-function/ that runs `queue_concurrency` calls at a
time, holds ten, and never tries again. What it does on demand: it loses, doubles and times out calls (`faults`).
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import queue
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs

from tests.servers import free_ports

ROOT = Path(__file__).resolve().parents[3]
WRAPPER = Path(__file__).with_name("wrapper.py")
QUEUE_HOLDS = 10
USER, PASSWORD = "admin", "ein Paßwort für 3 €"
DEFAULT_NAMESPACE = "openfaas-fn"


def pack(name: str, into: Path, copy: Iterable[str], faas: Path) -> Path:
    """What `faas-cli build` puts into an image: the handler's folder as `function/`, and the copied paths in it."""
    build = into / name
    shutil.copytree(faas / name, build / "function", ignore=shutil.ignore_patterns("__pycache__"))
    for path in copy:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(faas / path, build / "function" / path, ignore=ignore, dirs_exist_ok=True)
    (build / "function" / "__init__.py").touch()
    return build


class Replica:
    """One container: the wrapper's process behind a watchdog with `max_inflight` slots."""

    def __init__(self, folder: Path, environment: dict[str, str], log: int):
        self.port = free_ports(1)[0]
        self.slots = threading.Semaphore(int(environment.get("max_inflight", "1")))
        bare = {name: value for name, value in os.environ.items() if not name.startswith(("NNLITE", "PYTHONPATH"))}
        self.process = subprocess.Popen(
            [sys.executable, str(WRAPPER), str(self.port)], cwd=folder, stdout=subprocess.DEVNULL, stderr=log,
            env={**bare, "HOSTNAME": f"replica-{self.port}", "OPENBLAS_NUM_THREADS": "1", **environment},
        )  # fmt: skip

    def pass_on(self, body: bytes, headers: dict[str, str], timeout_s: float) -> tuple[int, bytes]:
        """As the watchdog does. -> status, body"""
        if not self.slots.acquire(blocking=False):
            return 429, b"Too many requests. Upstream server is at its limit."
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request("POST", "/", body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except TimeoutError:
            return 504, b"Upstream HTTP request timed out"
        except ConnectionRefusedError:
            return 500, b"Can't reach service for: function."
        except (OSError, http.client.HTTPException):
            return 502, b"Bad gateway"
        finally:
            self.slots.release()
            connection.close()

    def listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Function:
    """A deployed function."""

    name: str
    folder: Path
    environment: dict[str, str]
    labels: dict[str, str] = field(default_factory=dict)
    replicas: list[Replica] = field(default_factory=list)
    turn: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    stderr: IO[bytes] = field(default_factory=tempfile.TemporaryFile)  #: of all replicas, one after the other

    def scale(self, count: int) -> None:
        with self.lock:
            while len(self.replicas) > count:
                self.replicas.pop().kill()
            while len(self.replicas) < count:
                self.replicas.append(self._replica())

    def retire(self) -> None:
        """End it for good."""
        self.scale(0)
        self.stderr.close()

    def next(self) -> Replica | None:
        """A replica in turn; one that died is started again, as a cluster does."""
        with self.lock:
            if not self.replicas:
                return None
            self.turn += 1
            index = self.turn % len(self.replicas)
            if self.replicas[index].process.poll() is not None:
                self.replicas[index] = self._replica()
            return self.replicas[index]

    def _replica(self) -> Replica:
        return Replica(self.folder, self.environment, self.stderr.fileno())

    def log(self, tail: int) -> bytes:
        """The last lines that it has written, as /system/logs hands them out."""
        text = os.pread(self.stderr.fileno(), 10**7, 0).decode(errors="replace")
        about = {"name": self.name, "namespace": DEFAULT_NAMESPACE, "instance": "", "timestamp": "2026-01-01T00:00:00Z"}
        lines = [json.dumps({**about, "text": f"2026/01/01 00:00:00 stderr: {line}"}) for line in text.splitlines()]
        return "\n".join(lines[-tail:]).encode()

    def wait(self, patience_s: float = 120.0) -> None:
        """Until every replica listens: an image that starts cold imports NumPy first."""
        until = time.monotonic() + patience_s
        while not all(replica.listens() for replica in self.replicas):
            assert time.monotonic() < until, f"{self.name} does not listen after {patience_s} s"
            time.sleep(0.02)

    def status(self) -> dict[str, Any]:
        name, _, namespace = self.name.partition(".")
        return {
            "name": name, "namespace": namespace or DEFAULT_NAMESPACE, "image": f"{name}:latest",
            "replicas": len(self.replicas),
            "availableReplicas": sum(r.listens() for r in self.replicas), "labels": self.labels,
            "envVars": self.environment,
        }  # fmt: skip


class FakeGateway:
    """Listens on a free port of this machine; `close` ends all of it."""

    def __init__(self, queue_concurrency: int = 1, exec_timeout_s: float = 120.0):
        self.functions: dict[str, Function] = {}
        self.exec_timeout_s = exec_timeout_s
        self.faults: deque[str] = deque()  #: for the next calls of workers: pass, lose, double, mute, timeout, kill
        self.calls: list[dict[str, Any]] = []  #: every worker's payload that was passed on
        self._queue: queue.Queue[tuple[Function, bytes, dict[str, str]]] = queue.Queue(QUEUE_HOLDS)
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        for _ in range(queue_concurrency):
            threading.Thread(target=self._work_off, daemon=True).start()

    def deploy(self, name: str, folder: Path, environment: dict[str, str], replicas: int = 1) -> Function:
        self.functions[name] = Function(name, folder, {"gateway_url": self.url, **environment})
        self.functions[name].scale(replicas)
        return self.functions[name]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        for function in self.functions.values():
            function.retire()

    # ---- calls

    def call(self, function: Function, body: bytes, headers: dict[str, str]) -> tuple[int, bytes] | None:
        """Pass a call on, with whatever fault is next. None: no answer at all."""
        payload = _payload(body)
        fault = self.faults.popleft() if payload and self.faults else "pass"
        if fault == "lose":
            return None
        if payload:
            self.calls.append(payload)
        if fault == "double":
            threading.Thread(target=self._pass_on, args=(function, body, headers), daemon=True).start()
        if fault in ("timeout", "mute"):
            threading.Thread(target=self._pass_on, args=(function, body, headers), daemon=True).start()
            return (504, b"timed out") if fault == "timeout" else None
        return self._pass_on(function, body, headers, dies=fault == "kill")

    def _pass_on(
        self, function: Function, body: bytes, headers: dict[str, str], dies: bool = False
    ) -> tuple[int, bytes]:
        replica = function.next()
        if replica is None:
            return 503, b"no endpoints available"
        if dies:
            threading.Timer(0.3, replica.kill).start()
        return replica.pass_on(body, headers, self.exec_timeout_s)

    def enqueue(self, function: Function, body: bytes, headers: dict[str, str]) -> bool:
        try:
            self._queue.put_nowait((function, body, headers))
            return True
        except queue.Full:
            return False

    def _work_off(self) -> None:
        while True:
            self.call(*self._queue.get())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: Any) -> None:
        """A client that has gone is nothing to tell of."""


def _payload(body: bytes) -> dict[str, Any] | None:
    try:
        values = json.loads(body)
    except ValueError:
        return None
    return values if isinstance(values, dict) and "attempt" in values else None


def _handler(gateway: FakeGateway) -> type[BaseHTTPRequestHandler]:
    login = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: Any) -> None:
            pass

        def answer(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            if self.path in ("/_/health", "/healthz"):
                return self.answer(200, b"OK")
            path, namespace = self.namespaced()
            if path not in ("/system/functions", "/system/logs"):
                return self.answer(404, b"404 page not found")
            if self.headers.get("Authorization") != login:
                return self.answer(401, b"invalid credentials")
            if path == "/system/logs":
                asked = {name: values[0] for name, values in parse_qs(self.path.partition("?")[2]).items()}
                time.strptime(asked["since"], "%Y-%m-%dT%H:%M:%SZ")
                name = asked["name"] + (f".{namespace}" if namespace != DEFAULT_NAMESPACE else "")
                return self.answer(200, gateway.functions[name].log(int(asked["tail"])))
            found = [function.status() for function in gateway.functions.values()]
            return self.answer(200, json.dumps([f for f in found if f["namespace"] == namespace]).encode())

        def namespaced(self) -> tuple[str, str]:
            """The path, and the namespace that its query names, or else the default one."""
            path, _, query = self.path.partition("?")
            return path, parse_qs(query).get("namespace", [DEFAULT_NAMESPACE])[0]

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path, namespace = self.namespaced()
            _, route, name = (*path.split("/", 2), "", "")[:3]
            name = name.removeprefix("scale-function/")
            if route == "system" and namespace != DEFAULT_NAMESPACE:
                name = f"{name}.{namespace}"
            if route == "system" and self.headers.get("Authorization") != login:
                return self.answer(401, b"invalid credentials")
            function = gateway.functions.get(name.rstrip("/"))
            if function is None:
                return self.answer(404, f"error finding function {name}: not found".encode())
            if route == "system":
                function.scale(json.loads(body)["replicas"])
                return self.answer(202)
            headers = {key: value for key, value in self.headers.items() if key.lower() != "host"}
            if route == "async-function":
                return self.answer(202 if gateway.enqueue(function, body, headers) else 429)
            found = gateway.call(function, body, headers)
            if found is None:
                self.close_connection = True
                return None
            return self.answer(*found)

    return Handler


@contextlib.contextmanager
def running(**options: Any) -> Iterator[FakeGateway]:
    gateway = FakeGateway(**options)
    try:
        yield gateway
    finally:
        gateway.close()
