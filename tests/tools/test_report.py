"""`tools.report` as a user calls it."""

import json
import os
import signal
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from nnlite.commands import report as tool
from nnlite.commands import status
from nnlite.commands.program import run
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.search.asha import Ladder
from nnlite.protocol.search.result import Result
from nnlite.protocol.search.spec import SearchKeys
from nnlite.store.file import FileStore
from tests.platform.test_local import until
from tests.protocol.toy_trials import search_of
from tests.tools.accounts import assert_one_account, cost_of, said_by
from tests.tools.conftest import Done
from tests.tools.test_train_interrupted import MARK, marked


@pytest.fixture
def trained(train, case_file):
    """A run `first`, of two workers, in .nnlite."""
    done = train("--case", case_file(), "--workers", 2, "--rounds", 2, "--run", "first")
    assert done.code == 0, done.err


@pytest.fixture
def report(capfd):
    """report(*argv): the command, in this process."""

    def call(*argv: object) -> Done:
        capfd.readouterr()
        code = run(tool.main, tool._parser(), [str(a) for a in argv])
        return Done(code, *capfd.readouterr())

    return call


def test_everything_at_once(trained, report, tmp_path):
    trace, plots, page = tmp_path / "trace.json", tmp_path / "plots", tmp_path / "page.html"
    done = report("first", "--out", page, "--trace", trace, "--png", plots)
    assert (done.code, done.err) == (0, "")
    names = [line.rpartition("/")[2] for line in done.out.splitlines()]
    assert names == ["trace.json", "accuracy-samples.png", "accuracy-time.png", "loss-samples.png", "loss-time.png",
                     "workers.png", "page.html"]  # fmt: skip
    assert all(path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n") for path in plots.iterdir())
    assert json.loads(trace.read_bytes())["otherData"] == {"run": "first"}
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_by_default_a_page_beside_you(trained, report, tmp_path):
    assert report("first").out == "first.html\n"
    assert (tmp_path / "here" / "first.html").is_file()


def test_json_is_an_object_a_line(trained, report, tmp_path):
    lines = [json.loads(line) for line in report("first", "--json").out.splitlines()]
    assert [line["event"] for line in lines] == ["run", "worker", "worker", "round", "round"]
    assert lines[0]["samples"] == sum(line["samples"] for line in lines if line["event"] == "worker") == 2 * 120
    rounds = [line for line in lines if line["event"] == "round"]
    assert [line["round"] for line in rounds] == [1, 2]
    assert lines[0]["test_accuracy"] == rounds[-1]["test_accuracy"]
    assert not (tmp_path / "here" / "first.html").exists()


def test_the_same_rounds_as_the_training_told(train, report, case_file):
    """Number, accuracy, samples and cost, and the count of rounds, of one run, by train, report and status."""
    done = train("--case", case_file(), "--workers", 2, "--rounds", 4, "--run", "told", "--json")
    told = [json.loads(line) for line in done.out.splitlines()]
    shown = [json.loads(line) for line in report("told", "--json").out.splitlines()]

    def rounds(lines):
        return [(line["round"], line["test_accuracy"]) for line in lines if line["event"] == "round"]

    assert [number for number, _ in rounds(told)] == [1, 2, 3, 4]
    assert rounds(shown) == rounds(told)
    assert shown[0]["test_accuracy"] == told[-1]["test_accuracy"] == rounds(shown)[-1][1]
    assert shown[0]["samples"] == [line["samples"] for line in shown if line["event"] == "round"][-1] == 4 * 120
    seen = said_by(status, "told")
    assert (seen["round"], seen["test_accuracy"]) == rounds(shown)[-1]
    assert seen["round"] == told[-1]["rounds"]
    assert_one_account(told[-1]["cost"], "told")


@pytest.mark.parametrize(
    "more",
    [
        ("--workers", 2),
        ("--workers", 4, "--processes", 2, "--memory-mb", 1024, "--region", "eu-west-1", "--arch", "arm64"),
        ("--workers", 2, "--processes", 0, "--protocol", "downpour"),
        ("--workers", 2, "--no-trace"),
    ],
)
def test_the_bill_is_the_one_that_the_command_has_shown(train, case_file, more):
    told = cost_of(train("--case", case_file(), *more, "--run", "one", "--json").out)
    assert told["gb_s"] > 0
    assert_one_account(told, "one")


def test_the_bill_of_a_run_that_went_on_has_all_of_it(train, start, case_file):
    """What its first command used before it was interrupted, and the second after that; a third one adds nothing."""
    path = case_file(num_train=6000)
    process = start("--case", path, "--run", "one", "--workers", 2, "--rounds", 40, "--out", "w.st")
    assert process.stdout.readline().startswith("round   1/")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    before = said_by(status, "one")["cost"]
    assert before["worker_seconds"] > 0
    told = cost_of(train("--resume", "one", "--case", path, "--json", "--out", "w.st").out)
    assert told["worker_seconds"] > before["worker_seconds"]
    assert told["invocations"] == 4
    assert_one_account(told, "one")
    again = cost_of(train("--resume", "one", "--json", "--out", "again.st").out)
    assert again == told


def test_of_a_process_that_was_killed_the_last_account_is_billed(start, case_file):
    """Nobody is billed for what nobody has told; how long it may have been at it after that is kept apart."""
    mark, key, store = uuid.uuid4().hex, Keys("one").lease(0), FileStore(".nnlite")
    network = case_file(num_train=6000, layer="nn.Tanh()")  # one that prints would fill the pipe
    process = start("--case", network, "--run", "one", "--workers", 2, "--processes", 2,
                    "--rounds", 60, "--out", "w.st", "--json", **{MARK: mark})  # fmt: skip
    assert process.stdout.readline()
    victim = min(set(marked(mark)) - {process.pid})  # the first that was started has worker 0
    until(lambda: Lease.from_json(store.get(key).data, key).beat)
    os.kill(victim, signal.SIGSTOP)
    known = Lease.from_json(store.get(key).data, key)
    os.kill(victim, signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "worker 0 is gone: started again (attempt 2)" in err
    lease = Lease.from_json(store.get(key).data, key)
    assert (known.attempt, lease.attempt) == (1, 2)
    assert lease.before == known.own
    assert 0 < lease.unseen_s < 5
    assert_one_account(cost_of(out), "one")


def test_two_runs(trained, train, case_file, report):
    train("--case", case_file(), "--workers", 1, "--rounds", 2, "--run", "second", "--learning-rate", 0.5)
    done = report("first", "--compare", "second")
    assert done.code == 0
    assert "first and second" in Path("first.html").read_text()
    assert "learning_rate" in Path("first.html").read_text()


def test_an_unknown_run_lists_those_there_are(trained, report):
    done = report("frist")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "there are first" in done.err
    assert report("first", "--compare", "scnd").code == 1
    assert report("Not an id").code == 2


def test_a_run_that_goes_on_is_partial(trained, report):
    store = FileStore(".nnlite")
    store.put(Keys("first").head, Head(1).to_json(Keys("first").head))
    done = report("first")
    assert done.code == 0
    assert "running: the report is partial" in done.err
    assert "running: the report is partial" in Path("first.html").read_text()


def test_without_a_trace(train, case_file, report):
    train("--case", case_file(), "--workers", 2, "--rounds", 2, "--run", "quiet", "--no-trace")
    done = report("quiet")
    assert done.code == 0
    assert "This run was told to write no trace" in done.err
    assert "Training loss against samples" in Path("quiet.html").read_text()


@pytest.mark.parametrize("option", ["--out", "--trace"])
def test_a_place_that_cannot_be_written(trained, report, tmp_path, option):
    done = report("first", option, tmp_path)
    assert done.code == 2
    assert "is a folder" in done.err
    done = report("first", option, tmp_path / "nowhere" / "x")
    assert done.code == 2
    assert done.err.count("\n") == 1


def test_plots_without_matplotlib(trained, report, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = report("first", "--png", "plots")
    assert done.code == 1
    assert "pip install matplotlib" in done.err


def test_a_search_has_a_page_of_its_own(trained, report):
    """Its workers are those of a run."""
    store = FileStore(".nnlite")
    keys = SearchKeys("first")
    store.put(keys.spec, replace(search_of(1, 2, Ladder((2,))), search="first").to_json())
    store.put(keys.result((0, 0)), Result(0, 0, 2, 100, accuracy=0.5, loss=1.0).to_json(keys.result((0, 0))))
    assert report("first").out == "first.html\n"
    page = Path("first.html").read_text()
    assert "Leaderboard" in page
    assert "<h2>Workers</h2>" in page
    (line,) = report("first", "--json").out.splitlines()
    assert json.loads(line)["accuracy"] == 0.5
    assert report("first").err == ""
    store.put(Keys("first").head, Head(1).to_json(Keys("first").head))
    for how in ((), ("--json",)):
        assert "This search is running: the report is partial" in report("first", *how).err
    for option in ("--png", "--compare"):
        done = report("first", option, "first")
        assert (done.code, f"{option} is for runs" in done.err) == (2, True)


def test_an_optimization(report, tmp_path):
    lines = tmp_path / "probes.jsonl"
    lines.write_text('{"event": "probe", "memory_mb": 256, "workers": 1, "seconds": 1.5}\n')
    done = report("--optimization", lines)
    assert done.out == "probes.html\n"
    assert done.err == "This optimization has not come to its end: the report is partial.\n"
    assert report("--optimization", tmp_path / "none").code == 2
    assert report("--optimization", lines, "first").code == 2
    assert report().code == 2
