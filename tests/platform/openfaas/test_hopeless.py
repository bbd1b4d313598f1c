"""Functions that can only fail: seen by their logs, as nothing of ours gets to answer; and those that begin badly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nnlite.commands import door
from nnlite.errors import RunError
from nnlite.invoker.openfaas.gateway import Gateway
from nnlite.invoker.openfaas.invoker import OpenFaaSInvoker
from nnlite.invoker.openfaas.logs import hopeless
from nnlite.runs import lifecycle
from nnlite.store import Store, open_store
from tests.platform.openfaas.conftest import client
from tests.platform.openfaas.gateway import PASSWORD, FakeGateway, running
from tests.runtime import small
from tests.servers import Memcached, free_ports, need_memcached

ROWS = small.dataset()
NAME = "emnist-train"
FORMAT = "import os, sys; print('exec /usr/bin/fwatchdog: exec format error', file=sys.stderr, flush=True); os._exit(1)"
BROKEN = {
    "a module": ("nnlite/errors.py", "import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
    "no handler": ("handler.py", "", "AttributeError: module 'function.handler' has no attribute 'handle'"),
    "the wrong processor": ("handler.py", FORMAT, "exec /usr/bin/fwatchdog: exec format error"),
}


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    need_memcached()
    with Memcached("-m", "64") as server, open_store(f"memcached://{server.address}/hopeless") as store:
        yield store


@pytest.fixture
def deployed(packed: Path, secrets: Path, tmp_path: Path) -> Iterator[Callable[[str, str], FakeGateway]]:
    """deployed(name, text): a gateway whose emnist-train has another text in one of its files."""
    with running() as gateway:

        def deploy(name: str, text: str) -> FakeGateway:
            folder = Path(shutil.copytree(packed / NAME, tmp_path / "image"))
            (folder / "function" / name).write_text(text)
            environment = {"secret_mount_path": str(secrets), "exec_timeout": "60s", "max_inflight": "1"}
            gateway.deploy(NAME, folder, environment, replicas=2)
            return gateway

        yield deploy


@pytest.mark.parametrize("what", [*BROKEN])
def test_a_run_whose_function_can_only_fail_ends_at_once(deployed, store, what):
    """By the function's own words and what to do; nobody is replaced."""
    name, text, says = BROKEN[what]
    of = small.spec(ROWS, 2, 1000, run=what.replace(" ", "-"), lease_ttl_s=120.0, straggler_timeout_s=60.0)
    gateway = deployed(name, text)
    lifecycle.begin(store, store, of, ROWS)
    platform = OpenFaaSInvoker(client(gateway), of.run, store.url, NAME, of.sha256, patience_s=120.0)
    with pytest.raises(RunError) as raised:
        lifecycle.Driver(store, of, platform).drive({0: 1, 1: 1})
    said = str(raised.value)
    assert said == (
        f"function {NAME} at {gateway.url} fails each time: {says}; deploy it again "
        "(python -m tools.deploy --platform openfaas)"
    )
    assert {call["attempt"] for call in gateway.calls} == {1}
    last = lifecycle.standing(store, of)
    assert last is not None
    assert (last.status, last.reason) == ("failed", said)


def test_the_command_says_so_before_anything_is_begun(deployed, store, secrets, monkeypatch, capsys):
    gateway = deployed("nnlite/errors.py", "import nowhere")
    monkeypatch.setenv("OPENFAAS_PASSWORD", PASSWORD)
    words = ["--platform", "openfaas", "--case", "c", "--dataset", "fashion-sample", "--workers", "2", "--run", "never"]
    words += ["--store", store.url, "--gateway", gateway.url, "--secret-file", str(secrets / "nnlite-hmac")]
    assert door.enter("train", words) == 1
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "fails each time: ModuleNotFoundError: No module named 'nowhere'; deploy it again (" in error
    assert gateway.calls == []
    assert not small.exists(store, "runs/never/spec.json")


def test_a_function_that_finds_no_room_at_first_is_waited_for(deployed, store, packed, tmp_path):
    """For longer than the log is looked at; then the run is as any other."""
    original = (packed / NAME / "function" / "handler.py").read_text()
    begins_badly = f"""
from pathlib import Path
if not Path({str(tmp_path / "room")!r}).exists():
    raise ImportError("libopenblas.so: failed to map segment from shared object: Cannot allocate memory")
"""
    gateway = deployed("handler.py", original.replace("import sys\n", "import sys\n" + begins_badly, 1))
    room = tmp_path / "room"

    class Looked(OpenFaaSInvoker):
        def _look(self, name: str) -> None:
            super()._look(name)
            if "Cannot allocate memory" in self.gateway.log(name):
                room.touch()

    of = small.spec(ROWS, 2, 2, run="room")
    lifecycle.begin(store, store, of, ROWS)
    platform = Looked(client(gateway), of.run, store.url, NAME, of.sha256, patience_s=300.0)
    last = lifecycle.Driver(store, of, platform).drive({0: 1, 1: 1})
    assert last.status == "done"
    assert room.exists()  # so it was looked at, and went on


# ---- logs


def log(*texts: str) -> str:
    return "\n".join(json.dumps({"name": NAME, "instance": "a", "text": text}) for text in texts)


def test_the_last_error_of_a_log_counts():
    missing = "2026/01/01 00:00:00 stderr: ModuleNotFoundError: No module named 'numpy'"
    assert hopeless(log("Forking", missing, "exit status 1")) == "ModuleNotFoundError: No module named 'numpy'"
    assert hopeless(log(missing, "MemoryError: no room")) is None
    assert hopeless(log("exec /usr/bin/fwatchdog: exec format error")) == "exec /usr/bin/fwatchdog: exec format error"
    for nothing in ("", "no JSON", "{}", '{"text": 5}', log("Started"), log("signal: killed")):
        assert hopeless(nothing) is None


def test_a_gateway_that_does_not_tell_is_no_error(deployed):
    gateway = deployed("nnlite/errors.py", "import nowhere")
    assert client(gateway, password="wrong").log(NAME) == ""
    assert Gateway(f"http://127.0.0.1:{free_ports(1)[0]}").log(NAME) == ""
