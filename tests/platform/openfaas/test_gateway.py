"""The way to a gateway: names in other namespaces, logins, and proxies as the environment names them."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from nnlite.errors import RunError, UsageError
from nnlite.invoker.openfaas.deployed import DeployedWorker, Listing, split_name
from nnlite.invoker.openfaas.gateway import Gateway, Unreachable
from nnlite.invoker.openfaas.invoker import OpenFaaSInvoker
from nnlite.invoker.openfaas.proxies import proxy_for
from nnlite.records import Unsound
from tests.platform.openfaas.conftest import SECRET, client
from tests.platform.openfaas.gateway import PASSWORD, USER, FakeGateway, running
from tests.servers import free_ports

SHA256 = "0" * 64  # of no specification: nobody asks
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


# ---- namespaces


@pytest.fixture(scope="module")
def staging(packed: Path, secrets: Path) -> Iterator[FakeGateway]:
    """emnist-train in the namespace `staging`, and one of the same name without replicas in the default namespace."""
    with running() as gateway:
        environment = {"secret_mount_path": str(secrets), "exec_timeout": "7s", "max_inflight": "1"}
        gateway.deploy("emnist-train.staging", packed / "emnist-train", environment).wait()
        gateway.deploy("emnist-train", packed / "emnist-train", environment, replicas=0)
        yield gateway


def test_functions_of_another_namespace_are_found_scaled_and_called(staging):
    gateway = client(staging)
    assert set(gateway.functions()) == {"emnist-train"}
    assert set(gateway.functions("staging")) == {"emnist-train.staging"}
    platform = OpenFaaSInvoker(gateway, "r", "memory://x", "emnist-train.staging", SHA256)
    platform.check(range(2))
    assert platform.timeout_s == 7 + 15
    platform.scale(2)
    assert len(staging.functions["emnist-train.staging"].replicas) == 2
    assert staging.functions["emnist-train"].replicas == []
    platform.close()


def test_what_is_not_there_is_said_with_what_is(staging):
    gateway = client(staging)
    with pytest.raises(RunError, match=r"function 'emnist-train\.prod' is not deployed at .* \(there: nothing\)"):
        OpenFaaSInvoker(gateway, "r", "memory://x", "emnist-train.prod", SHA256).check(range(1))
    with pytest.raises(RunError, match=r"'worker-1\.staging' is not deployed .*\(there: emnist-train\.staging\)"):
        OpenFaaSInvoker(gateway, "r", "memory://x", "worker-{worker}.staging", SHA256).check(range(2))


@pytest.mark.parametrize(
    "name", ["", "../system/functions", "a/b", "a?x=1", "wörker", "Train", "a b", "a.b.c", "a.", ".a", "-a", "a" * 64]
)
def test_what_no_function_can_be_called(name):
    with pytest.raises(UsageError, match="wanted letters a-z, digits and '-', like emnist-train"):
        OpenFaaSInvoker(Gateway("http://127.0.0.1:1"), "r", "memory://x", name, SHA256)


def test_names_are_split():
    assert split_name("emnist-train") == ("emnist-train", "")
    assert split_name("worker-1.staging") == ("worker-1", "staging")


@pytest.mark.parametrize(
    "values",
    [
        {}, [], None, "f", {"name": 5}, {"name": "f", "replicas": "many"}, {"name": "f", "replicas": -1},
        {"name": "f", "replicas": None}, {"name": "f", "envVars": {"max_inflight": "4.5"}},
        {"name": "f", "envVars": []}, {"name": "f", "labels": {"com.openfaas.scale.max": "x"}},
        {"name": "f", "limits": {"memory": 5}}, {"name": "f", "availableReplicas": 1.5},
    ],
)  # fmt: skip
def test_what_a_gateway_says_is_read_strictly(values):
    with pytest.raises(Unsound):
        [DeployedWorker.of(entry) for entry in Listing.of(json.dumps([values])).functions]


def test_what_a_gateway_may_leave_out():
    (entry,) = Listing.of('[{"name": "f", "image": "i:1"}]').functions
    assert DeployedWorker.of(entry) == DeployedWorker("f", 1, None, 1, None, "")


# ---- proxies


class Recording(BaseHTTPRequestHandler):
    """A proxy that passes requests for http://gateway.test on to a gateway, and remembers them."""

    target = ""
    seen: list[tuple[str, str | None]]

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        self.pass_on(self.rfile.read(int(self.headers["Content-Length"] or 0)))

    def do_GET(self) -> None:
        self.pass_on(None)

    def pass_on(self, body: bytes | None) -> None:
        self.seen.append((self.path, self.headers.get("Proxy-Authorization")))
        url = self.path.replace("http://gateway.test", self.target)
        headers = {
            name: value for name, value in self.headers.items() if name.lower() not in ("host", "proxy-authorization")
        }
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(urllib.request.Request(url, body, headers, method=self.command)) as answer:
            data = answer.read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextlib.contextmanager
def recording(target: str) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """A proxy's address, and what it has passed on."""
    seen: list[tuple[str, str | None]] = []
    handler = type("Handler", (Recording,), {"target": target, "seen": seen})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()


def test_a_gateway_behind_a_proxy_is_reached_through_it(staging, monkeypatch):
    with recording(staging.url) as (address, seen):
        monkeypatch.setenv("http_proxy", f"http://m%C3%BC:p%40%E2%82%AC@{address}")
        gateway = Gateway("http://gateway.test", USER, PASSWORD, SECRET)
        assert set(gateway.functions("staging")) == {"emnist-train.staging"}
        answer = gateway.call("emnist-train.staging", json.dumps({"check": "memory://x"}).encode(), 60)
        assert (answer.event or {})["event"] == "ready"
        gateway.close()
    login = "Basic " + base64.b64encode("mü:p@€".encode()).decode()
    assert seen == [
        ("http://gateway.test/system/functions?namespace=staging", login),
        ("http://gateway.test/function/emnist-train.staging", login),
    ]


def test_a_gateway_of_this_machine_and_one_in_no_proxy_need_none(staging, monkeypatch):
    with recording(staging.url) as (address, seen):
        monkeypatch.setenv("http_proxy", f"http://{address}")
        client(staging).functions()
        assert seen == []
        for url in ("http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080", "http://127.9.9.9"):
            assert proxy_for(url) is None
        assert str(proxy_for("http://gateway.openfaas:8080")) == f"http://{address}"
        for name in ("gateway.openfaas", ".openfaas", "gateway.openfaas:8080", "*"):
            monkeypatch.setenv("no_proxy", name)
            assert proxy_for("http://gateway.openfaas:8080") is None


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({}, "http://a", None),
        ({"http_proxy": "p:3128"}, "http://a", "http://p:3128"),
        ({"HTTPS_PROXY": "http://p:3128"}, "https://a", "http://p:3128"),
        ({"HTTPS_PROXY": "http://p:3128"}, "http://a", None),
        ({"all_proxy": "http://[fd00::1]:3128"}, "https://a", "http://[fd00::1]:3128"),
        ({"http_proxy": ""}, "http://a", None),
    ],
)
def test_which_proxy(environ, url, proxy, monkeypatch):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    found = proxy_for(url)
    assert (str(found) if found else None) == proxy


@pytest.mark.parametrize(
    "bad", ["socks5://me:secret@p:1", "http://me:secret@", "http://me:secret@p:99999", "://secret"]
)
def test_a_proxy_that_cannot_be_meant_is_one_line_without_its_password(bad, monkeypatch):
    monkeypatch.setenv("http_proxy", bad)
    with pytest.raises(
        UsageError, match=r"http_proxy=.*: wanted http://host:port; or name the gateway in no_proxy"
    ) as found:
        Gateway("http://gateway.test")
    assert "secret" not in str(found.value)
    monkeypatch.delenv("http_proxy")
    monkeypatch.setenv("all_proxy", bad)
    with pytest.raises(UsageError, match=r"^all_proxy=.*: wanted http://host:port"):
        Gateway("http://gateway.test")


def test_a_proxy_that_does_not_answer_is_named(monkeypatch):
    dead = f"127.0.0.1:{free_ports(1)[0]}"
    monkeypatch.setenv("http_proxy", f"http://me:secret@{dead}")
    with pytest.raises(
        Unreachable, match=rf"http://gateway\.test is not reachable through the proxy http://{dead}"
    ) as found:
        Gateway("http://gateway.test", secret=SECRET).call("f", b"", 5)
    assert "secret" not in str(found.value)
