"""`tools.train --platform openfaas` as a user types it, and what it says when something is wrong; emnist-setup."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
import urllib.request
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nnlite.commands import optimize, tune
from nnlite.commands import train as tool
from nnlite.commands.program import run
from nnlite.errors import NotFound
from nnlite.invoker.openfaas import signing
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.lease import OPEN, Lease
from nnlite.protocol.roles import watcher
from nnlite.runs import lifecycle
from nnlite.runtime.performer import Performer, perform
from nnlite.runtime.workers import read_spec
from nnlite.store import Store, open_store
from tests.docs.commands import blocks
from tests.platform.openfaas.conftest import SECRET
from tests.platform.openfaas.gateway import PASSWORD, ROOT, FakeGateway, running
from tests.servers import Memcached, free_ports, need_memcached
from tests.tools.accounts import assert_one_account


@pytest.fixture(scope="module")
def memcached() -> Iterator[Memcached]:
    need_memcached()
    with Memcached("-m", "256") as server:
        yield server


@pytest.fixture(scope="module")
def cluster(packed: Path, secrets: Path, memcached: Memcached) -> Iterator[FakeGateway]:
    """Both functions; what emnist-setup trains is small."""
    with running() as gateway:
        common = {"secret_mount_path": str(secrets), "exec_timeout": "60s", "max_inflight": "1"}
        gateway.deploy("emnist-train", packed / "emnist-train", common)
        choices = {
            "case": "c", "dataset": "fashion-sample", "workers": "2", "rounds": "2", "steps_per_round": "5",
            "max_poll_s": "0.03", "wait_s": "0.2", "store": f"memcached://{memcached.address}/tools",
            "require_signature": "false", "max_inflight": "4",
        }  # fmt: skip
        gateway.deploy("emnist-setup", packed / "emnist-setup", {**common, **choices}).wait()
        yield gateway


@pytest.fixture(autouse=True)
def _account(cluster: FakeGateway, secrets: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENFAAS_URL", cluster.url)
    monkeypatch.setenv("OPENFAAS_PASSWORD", PASSWORD)
    monkeypatch.setenv("NNLITE_OPENFAAS_SECRET_FILE", str(secrets / "nnlite-hmac"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def train(*argv: object) -> int:
    words = ["--case", "c", "--dataset", "fashion-sample", "--rounds", "2", "--steps-per-round", "5"]
    return run(tool.main, tool._parser(), [*words, "--platform", "openfaas", *map(str, argv)])


def test_train_on_openfaas(cluster, memcached, capsys, tmp_path):
    store = f"memcached://{memcached.address}/tools"
    assert train("--store", store, "--workers", 2, "--json", "--out", "w.safetensors") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["round", "round", "result"]
    assert (tmp_path / "w.safetensors").stat().st_size > 1000
    assert len(cluster.functions["emnist-train"].replicas) == 2  # one slot each, so it was scaled


def test_every_line_about_an_interrupted_run_works_in_another_folder(cluster, memcached, capsys, tmp_path, monkeypatch):
    """The gateway, the secret and the store are named on the command line alone."""
    near = {"--gateway": os.environ["OPENFAAS_URL"], "--secret-file": os.environ["NNLITE_OPENFAAS_SECRET_FILE"]}
    monkeypatch.delenv("OPENFAAS_URL")
    monkeypatch.delenv("NNLITE_OPENFAAS_SECRET_FILE")
    (tmp_path / "hmac").write_bytes(Path(near["--secret-file"]).read_bytes())
    options = (
        "--gateway",
        near["--gateway"],
        "--secret-file",
        "hmac",
        "--store",
        f"memcached://{memcached.address}/tools",
    )

    def interrupt(self: lifecycle.Driver, attempts: dict[int, int]) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(lifecycle.Driver, "drive", interrupt)
        assert train(*options, "--run", "broken-off", "--out", "w.safetensors") == 130
    line = capsys.readouterr().err.splitlines()[-1]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run(tool.main, tool._parser(), shlex.split(line.partition("tools.train ")[2])) == 0
    assert (tmp_path / "w.safetensors").stat().st_size > 1000


def test_a_function_a_worker_and_one_invocation_a_round(cluster, packed, secrets, memcached, capsys):
    """As on faasd, and as in the original's second way."""
    for worker in (1, 2):
        common = {"secret_mount_path": str(secrets), "exec_timeout": "60s", "train_function": "worker-{worker}"}
        cluster.deploy(f"worker-{worker}", packed / "emnist-train", common)
    before = len(cluster.calls)
    store = f"memcached://{memcached.address}/tools"
    more = ("--function", "worker-{worker}", "--rounds-per-invocation", 1, "--workers", 2)
    assert train("--store", store, *more) == 0
    assert "sync calls of worker-{worker}" in capsys.readouterr().err
    calls = [(c["worker"], c["attempt"]) for c in cluster.calls[before:]]
    assert {(0, 1), (0, 2), (1, 1), (1, 2)} <= set(calls)
    for worker in (1, 2):
        cluster.functions.pop(f"worker-{worker}").retire()


def test_the_estimate_is_measured_by_calls_and_the_account_is_the_one_of_all(cluster, memcached, capsys):
    before = len(cluster.calls)
    argv = ("--store", f"memcached://{memcached.address}/tools", "--workers", 2)
    assert train(*argv, "--dry-run") == 0
    assert "; rough: --calibrate measures it first" in capsys.readouterr().out
    assert len(cluster.calls) == before
    assert train(*argv, "--calibrate", "--json", "--run", "counted", "--out", "w.safetensors") == 0
    told = capsys.readouterr()
    (line,) = [line for line in told.err.splitlines() if line.startswith("estimate ")]
    assert "$0 here" in line
    assert "rough" not in line
    assert len({call["run"] for call in cluster.calls[before:]}) == 2  # the short run, and the run
    cost = json.loads(told.out.splitlines()[-1])["cost"]
    assert (cost["usd"], cost["invocations"]) == (0, 2)
    assert cost["gb_s"] > 0 < cost["list_usd"]
    assert 20 < cost["memory_mb"] < 1000
    assert_one_account(cost, "counted", argv[1])


def test_a_search_finds_what_it_finds_at_home(cluster, memcached, capsys, tmp_path):
    def found(*argv):
        words = ("--case", "c", "--dataset", "fashion-sample", "--trials", 4, "--rounds", 3, "--json", "--parallel", 2)
        assert run(tune.main, tune._parser(), [*map(str, words), *argv, "--search", "mine", "--out", "mine"]) == 0
        result = json.loads(capsys.readouterr().out.splitlines()[-1])
        same = ("trial", "configuration", "validation_accuracy", "test_accuracy", "trained_rounds")
        return [result[name] for name in same], (tmp_path / "mine.safetensors").read_bytes()

    away = found("--platform", "openfaas", "--store", f"memcached://{memcached.address}/search")
    assert away == found()


def test_workers_are_chosen_for_the_memory_that_the_function_has(cluster, memcached, capsys, monkeypatch):
    monkeypatch.setattr(optimize, "PROBE_ROUND_S", 0.1)
    words = ["--case", "c", "--dataset", "fashion-sample", "--platform", "openfaas", "--workers", "1:2"]
    words += ["--store", f"memcached://{memcached.address}/tools"]
    assert run(optimize.main, optimize._parser(), [*words, "--memory-mb", "256:512"]) == 2
    assert "on OpenFaaS memory is a limit of the deployed function: change `limits` in faas/stack.yaml" in (
        capsys.readouterr().err
    )
    assert run(optimize.main, optimize._parser(), [*words, "--json"]) == 0
    *probes, choice = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [probe["event"] for probe in probes] == ["probe", "probe"]  # one, and one that confirms
    assert choice["run"]["workers"] in (1, 2)
    assert choice["probing"]["gb_s"] > 0


# ---- what is wrong is said in one line


def said(capsys: Any, code: int, *argv: object) -> str:
    capsys.readouterr()
    assert train(*argv) == code
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    return errors[0]


def test_bad_input(cluster, memcached, packed, secrets, monkeypatch, capsys, tmp_path):
    store = f"memcached://{memcached.address}/tools"
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    line = said(capsys, 1, "--store", store, "--gateway", nobody)
    assert f"gateway {nobody} is not reachable" in line
    assert "OPENFAAS_URL" in line
    with monkeypatch.context() as patch:
        patch.setenv("OPENFAAS_PASSWORD", "wrong")
        line = said(capsys, 1, "--store", store)
        assert "/system/functions with 401: invalid credentials; set OPENFAAS_PASSWORD" in line
    line = said(capsys, 1, "--store", store, "--function", "emnist-trian")
    assert "function 'emnist-trian' is not deployed" in line
    assert "emnist-train" in line
    near = f"memcached://127.0.0.1:{free_ports(1)[0]}/tools?attempts=1"
    line = said(capsys, 1, "--store", store, "--worker-store", near)
    assert "function emnist-train at" in line
    assert "memcached at 127.0.0.1:" in line
    (tmp_path / "other").write_bytes(b"another secret, as long as that")
    assert "another secret" in said(capsys, 1, "--store", store, "--secret-file", tmp_path / "other")
    (tmp_path / "no secrets").mkdir()
    environment = {"secret_mount_path": str(tmp_path / "no secrets"), "exec_timeout": "60s"}
    cluster.deploy("bare", packed / "emnist-train", environment)
    assert "No such file or directory): `faas-cli secret create nnlite-hmac" in said(
        capsys, 1, "--store", store, "--function", "bare"
    )
    cluster.functions.pop("bare").retire()
    assert "functions cannot see it; wanted memcached://" in said(capsys, 2)
    assert "--processes is for --platform local" in said(capsys, 2, "--store", store, "--processes", 2)
    monkeypatch.delenv("NNLITE_OPENFAAS_SECRET_FILE")
    assert "calls must be signed" in said(capsys, 2, "--store", store)
    assert "--rounds-per-invocation -1" in said(capsys, 2, "--store", store, "--rounds-per-invocation", -1)


# ---- emnist-setup, as faas-cli invokes it


def setup(cluster: FakeGateway, body: bytes, signed: bool = False) -> tuple[int, dict[str, Any]]:
    return post(cluster, "emnist-setup", body, signing.sign(SECRET, body, time.time()) if signed else {})


def post(
    cluster: FakeGateway, name: str, body: bytes, headers: dict[str, str], until_not: Collection[int] = ()
) -> tuple[int, dict[str, Any]]:
    """Status and answer of a call; made again for two minutes while the status is one of `until_not`."""
    until, code, text = time.monotonic() + 120, 0, b"{}"
    while code == 0 or (code in until_not and time.monotonic() < until):
        time.sleep(0.05 if code else 0)
        request = urllib.request.Request(f"{cluster.url}/function/{name}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                code, text = response.status, response.read()
        except urllib.error.HTTPError as error:
            code, text = error.code, error.read()
    return code, json.loads(text) if text.startswith(b"{") else {}


def finished(cluster: FakeGateway, body: bytes) -> dict[str, Any]:
    until = time.monotonic() + 300
    while time.monotonic() < until:
        _, told = setup(cluster, body)
        if told.get("status") != "running":
            return told
        time.sleep(0.1)
    raise AssertionError(told)


def test_an_empty_call_begins_a_run_and_another_tells_of_it(cluster):
    code, begun = setup(cluster, b"\n")
    assert (code, begun["event"], begun["workers"]) == (200, "begun", 2), begun
    told = finished(cluster, json.dumps({"run": begun["run"]}).encode())
    assert told["status"] == "done", told
    assert told["test_accuracy"] > 0.2
    assert [r["round"] for r in told["rounds"]] == [0, 1, 2]
    assert told["result"] == f"runs/{begun['run']}/ckpt/00000002"


def test_other_choices_take_a_signature(cluster):
    code, refused = setup(cluster, b'{"workers": 1}')
    assert (code, refused["kind"]) == (401, "Refused")
    code, begun = setup(cluster, b'{"workers": 1, "epochs": 1, "steps_per_round": 2000}', signed=True)
    assert (code, begun["workers"], begun["rounds"]) == (200, 1, 1)  # not the stack's two rounds
    told = finished(cluster, json.dumps({"run": begun["run"]}).encode())
    assert told["status"] == "done", told
    for body, why in (
        (b'{"wrokers": 1}', "no choice wrokers"),
        (b'{"case": "/etc/passwd"}', "no case '/etc/passwd' in the functions; there are a, b, c, emnist, r"),
        (b'{"case": "case.py"}', "no case 'case.py' in the functions"),
        (b'{"store": "memory://x"}', "store: only stack.yaml says that"),
        (b'{"run": 5, "rounds": 1}', "run = 5: wanted a text"),
        (b'{"run": [5]}', "run: wanted the id of a run, found a list"),
        (b'{"run": "../x"}', "run id '../x'"),
    ):
        code, told = setup(cluster, body, signed=True)
        assert (code, why in told["message"]) == (400, True), told
    code, told = setup(cluster, b'{"run": "nobody"}')
    assert (code, told["event"]) == (500, "error")


def test_a_signed_call_that_comes_again_finds_the_run_that_it_has_begun(cluster):
    """Five times, two of them at once, and once more after its end; with an id of its own or without."""
    begun = set()  # runs so far, of which a call may still be under way
    for body in (b'{"workers": 2, "rounds": 2, "seed": 3}', b'{"workers": 1, "rounds": 1, "run": "mine"}', b""):
        headers, before = signing.sign(SECRET, body, time.time()), len(cluster.calls)
        with ThreadPoolExecutor(2) as both:
            twice = list(both.map(lambda _: post(cluster, "emnist-setup", body, headers), range(2)))  # noqa: B023
        answers = [*twice, *(post(cluster, "emnist-setup", body, headers) for _ in range(3))]
        run = answers[0][1]["run"]
        told = finished(cluster, json.dumps({"run": run}).encode())
        assert told["status"] == "done", told
        answers.append(post(cluster, "emnist-setup", body, headers))
        assert answers == [answers[0]] * 6
        assert answers[0][0] == 200
        assert run == "mine" or run.startswith("c-20")
        assert setup(cluster, json.dumps({"run": run}).encode())[1] == told  # nothing was done to it again
        assert {call["run"] for call in cluster.calls[before:]} - begun == {run}
        begun.add(run)
    code, told = setup(cluster, b'{"workers": 1, "rounds": 2, "run": "mine"}', signed=True)
    assert (code, told["kind"]) == (400, "UsageError")
    assert "there is a run 'mine' in memcached://" in told["message"]
    two = [setup(cluster, json.dumps({"workers": 1, "rounds": 1, "seed": n}).encode(), signed=True) for n in (1, 2)]
    assert two[0][1]["run"] != two[1][1]["run"]


def test_a_call_whose_function_died_on_the_way_is_made_again(cluster, memcached):
    """Between the specification and the first head, and between that and the workers."""
    body = b'{"workers": 1, "rounds": 1, "run": "half"}'
    assert setup(cluster, body, signed=True)[0] == 200
    assert finished(cluster, b'{"run": "half"}')["status"] == "done"
    with open_store(f"memcached://{memcached.address}/tools") as store:
        spec = read_spec(store, "half")
        for left in (False, True):
            for key in ("head.json", "leases/00000.json"):
                with suppress(NotFound):
                    store.delete(f"runs/half/{key}")
            if left:
                lifecycle.complete(store, spec)
            assert setup(cluster, body, signed=True)[0] == 200
            assert finished(cluster, b'{"run": "half"}')["status"] == "done"


def peak_mb(cluster: FakeGateway, name: str) -> float:
    """The most memory that the function's process has had."""
    (replica,) = cluster.functions[name].replicas
    (line,) = [s for s in Path(f"/proc/{replica.process.pid}/status").read_text().splitlines() if "VmHWM" in s]
    return int(line.split()[1]) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the memory of a process")
@pytest.mark.parametrize("name", ["emnist-setup", "emnist-train"])
def test_a_large_body_costs_little_more_than_its_bytes(cluster, name):
    """The template reads all of it; parsed, 30 MB of brackets would be more than 800."""
    cluster.functions[name].scale(1)
    cluster.functions[name].wait()
    before, body = peak_mb(cluster, name), b"[" + b"[]," * 10_000_000
    code, told = post(cluster, name, body, {"Content-Type": "application/json"})
    assert (code, told["message"]) == (400, "the call's body has 30,000,001 bytes, at most 16,384 are read")
    assert peak_mb(cluster, name) - before < 150


@pytest.mark.parametrize("body", [b"1", b"[]", b'"x"', b"null"])
@pytest.mark.parametrize("name", ["emnist-setup", "emnist-train"])
def test_a_body_that_is_no_object_is_one_line(cluster, name, body):
    cluster.functions[name].wait()
    code, told = post(cluster, name, body, signing.sign(SECRET, body, time.time()))
    assert (code, told["kind"]) == (400, "UsageError")
    assert told["message"].startswith("the call's body: expected an object, found ")


def test_who_asks_for_progress_has_dead_workers_replaced(cluster, memcached):
    """Nobody else watches a run that emnist-setup began. A function that begins cold on a busy machine may take longer
    than a lease lives: then it is called again and again, so as many attempts are allowed."""
    choices = {"workers": 1, "rounds": 3, "steps_per_round": 400, "lease_ttl_s": 2, "max_attempts": 1000}
    code, begun = setup(cluster, json.dumps(choices).encode(), signed=True)
    assert code == 200, begun
    asked, key = json.dumps({"run": begun["run"]}).encode(), Keys(begun["run"]).lease(0)
    with open_store(f"memcached://{memcached.address}/tools") as store:
        until = time.monotonic() + 300
        while (killed := lease_of(store, key)).holder == OPEN:
            assert time.monotonic() < until, "no worker ever came"
            setup(cluster, asked)  # its first call may have come before the function listened
            time.sleep(0.02)
        for replica in cluster.functions["emnist-train"].replicas:
            replica.kill()
        assert lifecycle.standing(store, read_spec(store, begun["run"])).status == "running"
        told = finished(cluster, asked)
        assert told["status"] == "done", told
        assert lease_of(store, key).attempt > killed.attempt


def lease_of(store: Store, key: str) -> Lease:
    """As it stands, or as if nobody had ever come."""
    with suppress(NotFound):
        return Lease.from_json(store.get(key).data, key)
    return Lease(1, OPEN)


def test_unsigned_calls_of_workers_are_refused(cluster):
    body = b'{"run": "r", "store": "memory://x", "worker": 0, "attempt": 1, "spec": "%s"}' % (b"a" * 64)
    assert post(cluster, "emnist-train", body, {}, until_not={429, 500})[0] == 401


def test_a_run_is_stopped_from_outside(cluster, memcached):
    code, begun = setup(cluster, b'{"rounds": 100000, "workers": 1}', signed=True)
    assert code == 200, begun
    with open_store(f"memcached://{memcached.address}/tools") as store:
        spec = read_spec(store, begun["run"])
        perform(watcher.stop(spec.run, "stopped by a test"), Performer(store))
        assert lifecycle.standing(store, spec).status == "stopped"
    assert setup(cluster, json.dumps({"run": begun["run"]}).encode())[1]["status"] == "stopped"


def test_the_signed_call_of_the_document(cluster, tmp_path, monkeypatch):
    """As it stands there, at another address, and for a smaller run."""
    (block,) = [block for block in blocks("docs/openfaas.md") if block.language == "python"]
    (tmp_path / "hmac.secret").write_bytes(SECRET + b"\n")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    text = block.text.replace('"workers": 6, "rounds": 20', '"workers": 1').replace(
        "http://127.0.0.1:8080", cluster.url
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    begun = json.loads(done.stdout)
    assert (begun["event"], begun["workers"], begun["rounds"]) == ("begun", 1, 2)
    assert finished(cluster, json.dumps({"run": begun["run"]}).encode())["status"] == "done"
