"""What a user does: deploy, train, status, stop, delete; each from the command line."""

import hashlib
import importlib
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

import nnlite
from nnlite.commands import platforms
from nnlite.protocol.records.keys import Keys
from nnlite.runs import detached
from nnlite.store import open_store
from tests.platform.aws.account import ACCOUNT, REGION
from tests.platform.aws.cli import call
from tests.runtime import small

STORE = f"s3://nnlite-{ACCOUNT}-{REGION}/nnlite?region={REGION}"
LAMBDA = ("--platform", "lambda")
CASE_B = (*LAMBDA, "--case", "b", "--dataset", "fashion-sample")
SMALL = (*LAMBDA, "--case", "c", "--dataset", "fashion-sample")


@pytest.fixture
def start(tmp_path):
    """start(tool, *argv): the command as a process of its own."""
    started = []

    def begin(tool, *argv):
        command = [sys.executable, "-m", f"tools.{tool}", *map(str, argv)]
        path = os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path}, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def until(condition, timeout_s=300.0):
    end_s = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.1)
    return found


def attempts(stack, run):
    return [call[1]["attempt"] for call in stack.functions.calls if call[1]["run"] == run]


def test_six_functions_hand_over_before_their_timeout_of_20_s_and_can_be_seen_and_stopped(stack, start):
    process = start("train", *CASE_B, "--workers", 6, "--rounds", 500, "--run", "six", "--yes", "--budget-usd", 1)
    until(lambda: len([a for a in attempts(stack, "six") if a >= 2]) >= 6)  # everybody has handed over
    assert {r.outcome.how for r in stack.functions.records if r.event["run"] == "six"} <= {"answered"}
    brief = call("status", *LAMBDA)
    assert [line for line in brief.out.splitlines() if line.startswith("six ") and "running" in line]
    seen = json.loads(call("status", "six", *LAMBDA, "--json").out.splitlines()[-1])
    assert (seen["status"], seen["workers"]["lost"], seen["platform"]) == ("running", 0, "lambda")
    assert seen["cost"]["invocations"] >= 12
    assert 0 < seen["cost"]["usd"] < 1
    assert process.stdout.readline().startswith("round   1/500")  # on a slow machine that takes a while
    stopped = call("stop", "six", *LAMBDA)
    assert (stopped.code, stopped.out.split(":")[0]) == (0, "six")
    _, err = process.communicate(timeout=180)
    assert process.returncode == 1
    assert "run six stopped: stopped by tools.stop; its checkpoints stay" in err
    assert "estimate   about" in err
    stack.functions.idle()
    sent = len(stack.functions.calls)
    time.sleep(1.0)
    assert len(stack.functions.calls) == sent  # nobody is invoked any more


def test_a_short_run_brings_its_weights_home_and_they_are_those_of_this_machine(stack, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    short = ("--case", "c", "--dataset", "fashion-sample", "--workers", 3, "--rounds", 2, "--run", "short")
    away = call("train", *LAMBDA, *short, "--yes", "--out", "away.st", "--json")
    assert away.code == 0, away.err
    assert json.loads(away.out.splitlines()[-1])["event"] == "result"
    assert call("train", *short, "--out", "home.st").code == 0
    one, two = nnlite.load("away.st"), nnlite.load("home.st")
    np.testing.assert_array_equal(one.weights, two.weights)
    done = call("status", "short", *LAMBDA)
    assert "done (all rounds done)" in done.out
    assert "3 left" in done.out
    assert "there is nothing to stop" in call("stop", "short", *LAMBDA).err


def test_shards_are_uploaded_once(stack, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from nnlite.store.s3 import S3Store

    written = []
    put = S3Store.put
    monkeypatch.setattr(S3Store, "put", lambda self, key, *a, **k: (written.append(key), put(self, key, *a, **k))[1])
    for run in ("once-1", "once-2"):
        written.clear()
        done = call("train", *SMALL, "--workers", 2, "--rounds", 1, "--steps-per-round", 1, "--run", run, "--yes")
        assert done.code == 0, done.err
    assert any(key.startswith("runs/once-2/") for key in written)
    assert [key for key in written if key.startswith("datasets/")] == []


def test_detached_it_goes_on_alone_and_the_schedule_rests_when_it_is_over(stack, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rule = lambda: stack.client("events").describe_rule(Name="nnlite-repair")["State"]  # noqa: E731
    assert rule() == "DISABLED"
    done = call("train", *SMALL, "--workers", 2, "--rounds", 3, "--run", "alone", "--yes", "--detach")
    assert done.code == 0, done.err
    assert "python -m tools.status alone --follow --platform lambda" in done.err
    assert rule() == "ENABLED"
    assert [(run, of["store"]) for run, of in detached.runs(open_store(STORE)).items()] == [("alone", STORE)]
    followed = call("status", "alone", *LAMBDA, "--follow")
    assert "done (all rounds done)" in followed.out.splitlines()[-1]
    event = {"action": "repair", "store": STORE, "rule": "nnlite-repair"}
    answer = stack.client("lambda").invoke(FunctionName="nnlite-worker", Payload=json.dumps(event).encode())
    assert json.loads(answer["Payload"].read()) == {"detached": 0}
    assert rule() == "DISABLED"
    fetched = call("train", *LAMBDA, "--resume", "alone")
    assert fetched.code == 0, fetched.err
    assert nnlite.load("alone.safetensors").weights.size


def test_every_line_about_a_detached_run_with_a_store_of_its_own_finds_it(stack, tmp_path, monkeypatch):
    """Stopped, looked at, gone on with and reported by the lines that were printed, from another folder."""
    monkeypatch.chdir(tmp_path)
    own = STORE.replace("/nnlite?", "/own?")
    run = ("--store", own, "--run", "own", "--workers", 2, "--rounds", 20, "--steps-per-round", 1, "--out", "w.st")
    begun = call("train", *SMALL, *run, "--yes", "--detach", "--region", REGION)
    assert begun.code == 0, begun.err
    lines = re.findall(r": python -m tools\.(\w+) (.*)", begun.err)
    words = {name: shlex.split(rest) for name, rest in lines}
    assert list(words) == ["status", "stop", "train", "report"]
    assert all(own in found for found in words.values())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    stopped = call("stop", *words["stop"])
    assert (stopped.code, stopped.out.split(";")[0]) == (0, "own: stopped"), stopped.err
    assert "stopped" in call("status", *words["status"]).out
    resumed = call("train", *words["train"], "--yes")
    assert resumed.code == 0, resumed.err
    assert nnlite.load(tmp_path / "w.st").weights.size
    assert call("report", *words["report"]).code == 0
    assert (tmp_path / "elsewhere" / "own.html").is_file()


def test_a_run_of_the_stack_is_reported_by_its_name(stack, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    short = ("--rounds", 1, "--steps-per-round", 1, "--run", "named")
    assert call("train", *SMALL, *short, "--yes").code == 0
    done = call("report", "named", *LAMBDA, "--region", REGION, "--json")
    assert (done.code, json.loads(done.out.splitlines()[0])["run"]) == (0, "named"), done.err
    assert call("report", "named", "--region", REGION).code == 2


def test_the_schedule_brings_back_a_run_whose_workers_were_all_lost(stack, tmp_path, monkeypatch):
    """Its first events vanish; nobody watches; a look of the schedule starts them again."""
    monkeypatch.chdir(tmp_path)
    stack.functions.faults.dropped_rate, stack.functions.faults.most = 1.0, 2
    command = ("train", *SMALL, "--workers", 2, "--rounds", 1, "--run", "vanished", "--yes", "--detach")
    assert call(*command).code == 0
    store = open_store(STORE)
    spec = json.loads(store.get(Keys("vanished").spec).data)
    hasty = json.dumps(spec | {"lease_ttl_s": 1.0, "beat_s": 0.5}).encode()
    store.put(Keys("vanished").spec, hasty)
    detached.add(store, "vanished", STORE, hashlib.sha256(hasty).hexdigest())  # else its workers refuse that
    event = {"action": "repair", "store": STORE, "rule": "nnlite-repair"}
    stack.client("lambda").invoke(FunctionName="nnlite-worker", Payload=json.dumps(event).encode())
    followed = call("status", "vanished", *LAMBDA, "--follow")
    assert "done (all rounds done)" in followed.out.splitlines()[-1]
    stack.client("lambda").invoke(FunctionName="nnlite-worker", Payload=json.dumps(event).encode())


def test_ctrl_c_stops_it_and_says_how_to_go_on(stack, start):
    process = start("train", *SMALL, "--workers", 2, "--rounds", 5000, "--run", "broken-off", "--yes")
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=180)
    assert process.returncode == 130
    assert "go on with python -m tools.train --resume broken-off --platform lambda" in err
    seen = call("status", "broken-off", *LAMBDA, "--json")
    assert json.loads(seen.out)["status"] == "stopped"
    resumed = start("train", *LAMBDA, "--resume", "broken-off", "--yes")
    assert resumed.stdout.readline().startswith("round")
    stopped = call("stop", "--all", *LAMBDA)
    assert "broken-off: stopped" in stopped.out, stopped.err
    resumed.communicate(timeout=180)
    assert resumed.returncode == 1


@pytest.mark.parametrize(("answer", "detaches"), [("d", True), ("s", False), ("", False)])
def test_ctrl_c_at_a_terminal_offers_to_detach(stack, monkeypatch, answer, detaches):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    rule = lambda: stack.client("events").describe_rule(Name="nnlite-repair")["State"]  # noqa: E731
    args = importlib.import_module("nnlite.commands.train")._parser().parse_args(list(LAMBDA))
    spec = replace(small.spec(small.dataset()), run="asked")
    monkeypatch.setattr(sys, "stdin", Terminal(answer + "\n"))
    assert platforms.goes_on_alone(platforms.of(args), spec, open_store(STORE)) is detaches
    assert ("asked" in detached.runs(open_store(STORE)), rule() == "ENABLED") == (detaches, detaches)
    detached.remove(open_store(STORE), "asked")
    stack.client("events").disable_rule(Name="nnlite-repair")


def test_force_cuts_every_function_of_the_stack_off_and_release_undoes_it(stack):
    forced = call("stop", "--force")
    assert forced.code == 0, forced.err
    assert f"nnlite-worker in {REGION}: cut off" in forced.out
    try:
        refused = call("train", *SMALL, "--yes")
        assert "is cut off (reserved concurrency 0): python -m tools.stop --release" in refused.err
        sent = len(stack.functions.records)
        payload = json.dumps({"run": "r", "store": STORE, "worker": 0, "attempt": 1, "spec": "a" * 64}).encode()
        stack.client("lambda").invoke(FunctionName="nnlite-worker", InvocationType="Event", Payload=payload)
        time.sleep(0.3)
        assert len(stack.functions.records) == sent
        elsewhere = call("stop", "--force", "--region", "us-west-2")
        assert "there is no stack nnlite in us-west-2" in elsewhere.err
    finally:
        assert call("stop", "--release").code == 0
    assert "ReservedConcurrentExecutions" not in (
        stack.client("lambda").get_function_concurrency(FunctionName="nnlite-worker")
    )


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--workers", 20], 1, "but only 10 invocations of nnlite-worker can run at a time: use at most 10"),
        (["--memory-mb", 3008], 2, "the function has 1769; python -m tools.deploy --memory-mb 3008 changes it"),
        (["--memory-mb", 1], 2, "Lambda has 128 to 10,240"),
        (["--store", "here"], 2, "--store here: functions cannot see it"),
        (["--store", "memory://x"], 2, "functions cannot see it"),
        (["--budget-usd", -1], 2, "--budget-usd -1.0: wanted a positive number"),
        (["--processes", 2], 2, "--processes is for --platform local"),
        ([], 2, "Nobody can be asked here: say --yes"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_starts(stack, tmp_path, monkeypatch, options, code, says):
    monkeypatch.chdir(tmp_path)
    stack.concurrency_limit = 10
    yes = ["--yes"] if options else []
    done = call("train", *SMALL, *options, *yes)
    assert (done.code, says in done.err) == (code, True), done.err
    assert stack.functions.calls == []


def test_options_of_lambda_are_refused_elsewhere(stack):
    assert "--budget-usd is for --platform lambda" in call("train", "--case", "c", "--budget-usd", 1).err
    assert "--detach is for --platform lambda" in call("train", "--case", "c", "--detach").err


def test_a_dry_run_estimates_and_starts_nothing(stack):
    """And asks AWS once what the function is."""
    stack.asked.clear()
    done = call("train", *CASE_B, "--workers", 6, "--rounds", 10, "--budget-usd", 0.5, "--dry-run")
    assert done.code == 0, done.err
    assert "estimate   about" in done.out
    assert "$0.5: the run stops before it is spent" in done.out
    assert stack.functions.calls == []
    assert len([what for what in stack.asked if "configuration" in what.lower()]) == 1, stack.asked
