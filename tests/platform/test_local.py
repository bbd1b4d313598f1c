"""The local platform: processes that are started, heard, missed, and never left behind."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest

from nnlite.api.progress import Progress
from nnlite.commands.leaderboard import Leaderboard
from nnlite.errors import RunError, StoreUnavailable
from nnlite.invoker import local, processor
from nnlite.invoker.local import LocalInvoker
from nnlite.invoker.messages import OF_PROCESS
from nnlite.protocol.records import lease
from nnlite.protocol.records.keys import Keys
from nnlite.records import Unsound, message
from nnlite.runs import lifecycle
from nnlite.runtime import local_process
from nnlite.runtime.performer import Performer, perform
from nnlite.store.file import FileStore
from nnlite.telemetry.reading import read
from tests.runtime import small

ROWS = small.dataset()


@pytest.fixture
def store(tmp_path):
    """A store with a run of five workers that lasts until it is stopped."""
    store = FileStore(tmp_path / "store")
    lifecycle.begin(store, store, small.spec(ROWS, 5, 100_000, slice_s=0.02, beat_s=0.1), ROWS)
    return store


@pytest.fixture
def platform(store):
    platform = LocalInvoker("small", store.url, 2)
    yield platform
    platform.close(grace_s=0.1)


def until(condition, timeout_s: float = 20.0):
    """Whatever the condition answers, once that is true."""
    end_s = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.01)
    return found


def hear(platform: LocalInvoker, event: str, count: int) -> list[dict]:
    """The first `count` events of a name."""
    heard: list[dict] = []
    while len(heard) < count:
        said = platform.events.get(timeout=180)
        if said["event"] == event:
            heard.append(said)
    return heard


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_invocations_are_spread_evenly(platform):
    platform.start((worker, 1) for worker in range(5))
    assert len(platform.pids()) == 2
    assert sorted(e["worker"] for e in hear(platform, "began", 5)) == [0, 1, 2, 3, 4]
    os.kill(platform.pids()[0], signal.SIGKILL)
    assert until(platform.casualties) == [(0, 1), (2, 1), (4, 1)]


def test_fewer_invocations_than_processes_start_no_idle_ones(platform):
    platform.start([(3, 1)])
    assert len(platform.pids()) == 1


def test_casualties_are_told_once_and_only_of_the_dead(platform):
    platform.start([(0, 1), (1, 1)])
    hear(platform, "began", 2)
    first, second = platform.pids()
    assert platform.casualties() == []
    os.kill(second, signal.SIGKILL)
    assert until(platform.casualties) == [(1, 1)]
    assert platform.casualties() == []
    assert platform.pids() == [first]


def test_one_more_invocation_gets_a_process_of_its_own(platform):
    platform.start([(0, 1)])
    platform.invoke(4, 1)
    assert len(platform.pids()) == 2
    assert {e["worker"] for e in hear(platform, "began", 2)} == {0, 4}


def test_who_leaves_is_no_casualty(platform, store):
    platform.start([(0, 1), (1, 1)])
    hear(platform, "began", 2)
    store.delete(Keys("small").head)
    assert {e["reason"] for e in hear(platform, "left", 2)} == {"the run is gone"}
    until(lambda: not platform.pids())
    assert platform.casualties() == []


def test_a_duplicate_leaves_at_once(platform):
    platform.start([(0, 1)])
    hear(platform, "began", 1)
    platform.invoke(0, 1)
    assert hear(platform, "left", 1)[0]["reason"] == "another invocation is this worker"


def test_who_was_replaced_leaves_at_its_next_beat(platform, store):
    platform.start([(0, 1)])
    hear(platform, "began", 1)
    key, attempt = Keys("small").lease(0), None
    while attempt is None:  # until it is not beating just now
        attempt = perform(lease.take_over(key, store.get(key)), Performer(store)).attempt
    assert attempt == 2
    assert hear(platform, "left", 1)[0]["reason"] == "another invocation has taken over"


def test_close_ends_all_and_waits_for_them(platform):
    platform.start((worker, 1) for worker in range(4))
    hear(platform, "began", 4)
    pids = platform.pids()
    began_s = time.monotonic()
    platform.close()
    assert time.monotonic() - began_s < 5
    assert platform.pids() == []
    assert not any(alive(pid) for pid in pids)
    platform.close()


def test_who_is_still_at_work_when_the_command_ends_writes_down_the_rest(platform, store):
    """The rest of its trace, and its last account."""
    platform.start((worker, 1) for worker in range(3))
    hear(platform, "began", 3)
    leases = [Keys("small").lease(worker) for worker in range(3)]
    until(lambda: all(found(store, key).beat for key in leases))
    platform.close(grace_s=60)
    record = read(store, "small")
    assert [one.end for one in record.invocations] == ["the command that started it ended"] * 3
    assert record.account.going == [3, 4]  # they never came
    assert record.account.used.num_invocations == 2  # processes
    ages = [found(store, key).own.age_s for key in leases]
    assert max(ages) < record.account.used.seconds <= sum(ages)
    assert record.account.used.seconds < 2 * max(ages) + 0.1


def found(store, key):
    return lease.Lease.from_json(store.get(key).data, key)


def test_nothing_comes_between_the_last_words(store, tmp_path):
    """Told to end again and again, also while it closes, a process gives its last account all the same."""
    program = """
import os, signal
from nnlite.runtime import local_process, workers
end = workers.Workers._end
def told(self, *args):
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGTERM)
    end(self, *args)
workers.Workers._end = told
local_process.main()
"""
    local_process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "PYTHONPATH": str(Path(local.__file__).parents[2])}, cwd=tmp_path,
    )  # fmt: skip
    with local_process:
        assert local_process.stdin is not None
        assert local_process.stdout is not None
        local_process.stdin.write(json.dumps({"store": store.url, "run": "small", "invocations": [[0, 1]]}) + "\n")
        local_process.stdin.flush()
        assert '"began"' in local_process.stdout.readline()
        local_process.terminate()
        _, err = local_process.communicate(timeout=60)
    assert (local_process.returncode, err) == (0, "")
    assert found(store, Keys("small").lease(0)).is_final


def test_an_error_comes_as_an_event_of_one_line(platform, store):
    store.put(Keys("small").spec, b"{}")
    platform.start([(0, 1)])
    (error,) = hear(platform, "error", 1)
    assert error["kind"] == "StoreError"
    assert "runs/small/spec.json is not a run's specification" in error["message"]


def test_the_environment_of_a_worker(tmp_path, monkeypatch, store):
    """One BLAS thread unless told otherwise, and the nnlite of this very process, wherever one stands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    for threads in (1, 2):
        platform = LocalInvoker("small", store.url, 1, blas_threads=threads)
        platform.start([(threads, 1)])
        assert hear(platform, "began", 1)
        environment = Path(f"/proc/{platform.pids()[0]}/environ").read_bytes().split(b"\0")
        assert {f"{name}={threads}".encode() for name in processor.BLAS_THREADS} <= set(environment)
        platform.close()


def test_the_payload_is_tiny_and_a_process_ends_with_its_command(store, tmp_path):
    """The command's end, however it comes, closes the pipe; nothing else is needed."""
    local_process = subprocess.Popen(
        [sys.executable, "-m", "nnlite.runtime.local_process"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(local.__file__).parents[2])}, cwd=tmp_path,
    )  # fmt: skip
    assert local_process.stdin is not None
    assert local_process.stdout is not None
    payload = json.dumps({"store": store.url, "run": "small", "invocations": [[0, 1]]})
    local_process.stdin.write(payload + "\n")
    local_process.stdin.flush()
    assert json.loads(local_process.stdout.readline()) == {"event": "began", "worker": 0, "attempt": 1}
    _, err = local_process.communicate(timeout=180)
    assert (local_process.returncode, err) == (0, "")
    assert found(store, Keys("small").lease(0)).is_final


def test_nobody_to_start(monkeypatch, store):
    with pytest.raises(RunError, match="0 processes: wanted at least 1"):
        LocalInvoker("small", store.url, 0)
    monkeypatch.setattr(local.sys, "executable", "/nowhere/python")
    with pytest.raises(RunError, match=r"cannot start a worker process: .*/nowhere/python"):
        LocalInvoker("small", store.url, 1).start([(0, 1)])


def stand_in(monkeypatch, program: str) -> LocalInvoker:
    """A platform whose processes run `program` instead of workers."""
    original = subprocess.Popen

    def popen(command, **options):
        return original([sys.executable, "-c", program], **options)

    monkeypatch.setattr(local.subprocess, "Popen", popen)
    return LocalInvoker("small", "memory://", 1)


def test_what_is_no_message_is_passed_over(monkeypatch):
    """A library in C writes to the process' standard output, past Python."""
    good = b'\n{"event": "began", "worker": 0, "attempt": 1}\n'
    said = b'hello\n7\n[]\n{"level": "info"}\n\xff\n'
    program = f"import sys; sys.stdout.buffer.write({said!r} + b'x' * 3_000_000 + {good!r})"
    platform = stand_in(monkeypatch, program)
    platform.start([(0, 1)])
    assert platform.events.get(timeout=180) == {"event": "began", "worker": 0, "attempt": 1}
    assert until(platform.casualties) == [(0, 1)]
    platform.close()


MALFORMED = [
    {}, {"worker": "0", "attempt": 1}, {"worker": -1, "attempt": 1}, {"worker": 0}, {"worker": True, "attempt": 1},
    {"worker": 0, "attempt": 1e300}, {"worker": [], "attempt": {}}, {"message": 5}, {"kind": "x" * 2_000},
    {"worker": "\x1b[2J" * 900, "attempt": 1, "message": None, "round": "x"},
]  # fmt: skip


@pytest.mark.parametrize("event", [*OF_PROCESS, "round", "evaluated", "trial", "lost", "x" * 2_000, "", None, 7, []])
def test_a_malformed_message_is_told_once_and_ends_nothing(monkeypatch, event):
    """Nor one of the watcher's, which is in the command itself; the thread that listens lives on."""
    lines = [json.dumps({"event": event, **values}) for values in MALFORMED] * 2
    good = [json.dumps({"event": "left", "worker": worker, "attempt": 1, "reason": "done"}) for worker in (0, 1)]
    platform = stand_in(monkeypatch, f"print({chr(10).join([*lines, *good])!r})")
    platform.start([(0, 1), (1, 1)])
    heard = [platform.events.get(timeout=180) for _ in range(3)]
    assert [one["event"] for one in heard] == ["malformed", "left", "left"]
    assert len(heard[0]["reason"]) < 500
    assert heard[0]["reason"].isprintable()
    until(lambda: not platform.pids())
    assert platform.casualties() == []
    platform.close()


@pytest.mark.parametrize("event", OF_PROCESS)
def test_what_a_message_must_have_is_all_that_is_told_of_it(monkeypatch, event, capfd):
    """By both commands, in lines of bounded length."""
    values = {
        "worker": 0,
        "attempt": 1,
        "round": 2,
        "reason": "why " * 9_000,
        "message": "a\nb" * 9_000,
        "kind": "E",
        "traceback": "t",
    }
    of_kind = {one.name: values[one.name] for one in fields(OF_PROCESS[event])}
    heard = message(OF_PROCESS, json.dumps({"event": event, **of_kind, "more": 1}))
    assert heard == {"event": event, **of_kind}
    for name in of_kind.keys() - {"kind", "traceback"}:
        with pytest.raises(Unsound, match=name):
            message(OF_PROCESS, json.dumps({"event": event, **of_kind, name: None}))
        with pytest.raises(Unsound, match=f"the field '{name}' is missing"):
            message(OF_PROCESS, json.dumps({"event": event, **of_kind} | {name: 1}).replace(f'"{name}"', '"other"'))
    for told in (Progress(small.spec(ROWS)), Leaderboard(None, [], False)):
        told.tell(event, heard)
        told.tell("malformed", {"reason": "x" * 9_000})
        assert all(len(line) < 2_000 for line in capfd.readouterr().err.splitlines())


def without(monkeypatch, tmp_path, module: str, text: str) -> None:
    """Let worker processes, and not this one, find `module` to be no more than `text`."""
    at = tmp_path / "first" / module.replace(".", "/")
    at.parent.mkdir(parents=True)
    at.with_suffix(".py").write_text(text)
    monkeypatch.syspath_prepend(at.parents[module.count(".")])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("def encode(:", r"SyntaxError: .*"),
        ("", r"ImportError: cannot import name .*"),
    ],
)
def test_a_worker_process_that_cannot_import_ends_the_run_at_once(monkeypatch, tmp_path, text, says):
    """With its own message and what to do; no second process is tried."""
    store, of = FileStore(tmp_path / "store"), small.spec(ROWS, 3, 100_000)
    without(monkeypatch, tmp_path, "numpy", text + "\nfrom numpy import array")
    spawned, popen = [], subprocess.Popen
    monkeypatch.setattr(local.subprocess, "Popen", lambda *a, **k: spawned.append(popen(*a, **k)) or spawned[-1])
    with pytest.raises(
        RunError, match=rf"^a worker process cannot start: {says}; install nnlite again for .*go on by resume=$"
    ):
        small.train(store, of, ROWS, num_processes=2)
    assert len(spawned) == 2
    assert all(process.poll() is not None for process in spawned)
    head = lifecycle.standing(store, of)
    assert (head.status, head.reason.partition(":")[0]) == ("failed", "a worker process cannot start")


def test_a_worker_process_that_finds_no_room_for_a_library_is_replaced(monkeypatch, tmp_path):
    """That may pass: the run comes through, as the second process of each worker has room."""
    text = f"""
import os, sys
try:
    os.mkdir(os.path.join({str(tmp_path)!r}, "tried"))
except FileExistsError:
    sys.path.remove({str(tmp_path / "first")!r})
    del sys.modules["numpy"]
    import numpy
else:
    raise ImportError("libopenblas.so: failed to map segment from shared object")
"""
    without(monkeypatch, tmp_path, "numpy", text)
    store, of, story = FileStore(tmp_path / "store"), small.spec(ROWS, 1, 2), small.Story()
    last = small.train(store, of, ROWS, num_processes=1, tell=story)
    assert last.status == "done"
    assert ["failed to map segment" in told["message"] for told in story.all("unavailable")] == [True]


def test_an_invocation_that_cannot_be_started_is_an_error_and_not_silence(monkeypatch):
    program = 'print(\'{"event": "invoke", "worker": 1, "attempt": 2}\', flush=True)'
    platform = stand_in(monkeypatch, program)
    platform.start([(0, 1)])
    monkeypatch.setattr(platform, "invoke", lambda w, a: platform.__class__("small", "memory://", 0))
    assert platform.events.get(timeout=180)["event"] == "error"
    platform.close()


def test_a_worker_whose_store_gave_no_answer_is_a_casualty_and_not_the_end(monkeypatch, capfd):
    def gone(url):
        raise StoreUnavailable("no answer (gave up after 8 attempts)")

    monkeypatch.setattr(local_process, "open_store", gone)
    monkeypatch.setattr(local_process, "_end_with_the_command", lambda: None)
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"store": "s3://b", "run": "small", "invocations": [[0, 1]]}\n'))
    monkeypatch.setattr(sys, "__stdout__", said := io.StringIO())
    assert local_process.main() == 1
    assert json.loads(said.getvalue()) == {"event": "unavailable", "message": "no answer (gave up after 8 attempts)"}
