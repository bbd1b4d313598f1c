"""Runs from Python on this machine: begun, watched, stopped, taken up again, found again."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import nnlite
from nnlite.commands import door
from nnlite.errors import NnliteError, RunError, RunNotFound, UsageError
from nnlite.telemetry.events import Evaluated, RoundClosed, WorkerBegan

QUICK = {"dataset": "fashion-sample", "rounds": 2, "workers": 2}
LONG = {"dataset": "fashion-sample", "rounds": 1000, "workers": 2}
S = 120.0  # generous


def started(**more):
    """A run that has closed a round."""
    closed = threading.Event()
    run = nnlite.start("c", on_event=lambda e: closed.set() if isinstance(e, RoundClosed) else None, **LONG, **more)
    assert closed.wait(S)
    return run


def test_train_gives_what_the_command_gives_byte_for_byte():
    run = nnlite.train("c", **QUICK)
    run.save("api.safetensors")
    argv = "train --case c --dataset fashion-sample --rounds 2 --workers 2 --out command.safetensors --store other"
    subprocess.run([sys.executable, "-m", "nnlite", *argv.split()], check=True, capture_output=True)
    mine, theirs = (nnlite.load(f"{name}.safetensors") for name in ("api", "command"))
    assert mine.weights.tobytes() == theirs.weights.tobytes() == run.model.weights.tobytes()


def test_a_run_that_is_done_tells_all_of_itself():
    heard = []
    run = nnlite.train("c", on_event=heard.append, **QUICK)
    status = run.status()
    assert (status.state, status.round, status.num_rounds, status.usd) == ("DONE", 2, 2, 0.0)
    assert sum(status.workers.values()) == 2
    history = run.history
    assert {len(column) for column in history.values()} == {2}
    assert list(history) == [
        "round", "samples", "seconds", "loss", "test_accuracy", "val_loss", "val_accuracy",
    ]  # fmt: skip
    assert history["samples"].tolist() == [6000, 12000]
    assert np.all(np.diff(history["seconds"]) > 0)
    assert np.isnan(history["val_loss"]).all()
    assert [e.round for e in heard if isinstance(e, RoundClosed)] == [1, 2]
    told = {e.round: e.test_accuracy for e in heard if isinstance(e, Evaluated)}
    assert told == dict(zip(history["round"].tolist(), history["test_accuracy"].tolist(), strict=True))
    assert {(e.worker, e.attempt) for e in heard if isinstance(e, WorkerBegan)} == {(0, 1), (1, 1)}
    assert run.cost.gb_seconds > 0
    assert run.cost.usd == 0 < run.cost.list_usd
    assert sum(run.cost.breakdown.values()) == pytest.approx(run.cost.list_usd)
    assert repr(run).startswith(f"Run({run.name!r}, DONE, round 2/2, test accuracy 0.")
    assert run.id == run.name


def test_what_is_attached_is_the_same_run():
    run = nnlite.train("c", **QUICK)
    again = nnlite.attach(run.name)
    assert again.status() == run.status()
    assert again.wait(S) is again
    assert all(np.array_equal(run.history[name], again.history[name], equal_nan=True) for name in run.history)
    assert again.model.weights.tobytes() == run.model.weights.tobytes()
    with pytest.raises(RunNotFound, match="no run 'gone'"):
        nnlite.attach("gone")


def test_the_newest_run_is_first_and_those_named_by_hand_are_last():
    for name in ("c-20260102-000000-aaaa", "mine", "b-20260103-000000-aaaa0123bbbb", "z-20250101-000000-aaaa"):
        nnlite.plan("c", run=name, **QUICK).begin()
    assert [one.id for one in nnlite.list_runs()] == [
        "b-20260103-000000-aaaa0123bbbb", "c-20260102-000000-aaaa", "z-20250101-000000-aaaa", "mine",
    ]  # fmt: skip


def test_a_list_of_runs_says_how_each_stands_and_hides_none():
    run = nnlite.train("c", run="good", **QUICK)
    nnlite.plan("c", run="begun", **QUICK).begin()
    nnlite.plan("c", run="torn", **QUICK).begin()
    Path(".nnlite/runs/torn/spec.json").write_bytes(b"{")
    found = {one.id: one for one in nnlite.list_runs()}
    assert found["good"] == run.status()
    assert (found["good"].state, found["good"].platform, found["good"].round) == ("DONE", "local", 2)
    assert (found["begun"].state, found["begun"].round, found["begun"].num_rounds) == ("RUNNING", 0, 2)
    assert found["torn"].state == "UNREADABLE"
    assert "not a run's specification" in found["torn"].reason


def test_a_plan_writes_nothing_and_begins_when_it_is_told_to():
    plan = nnlite.plan("c", store="runs", **QUICK)
    assert plan.facts()["workers"] == "2, merge tree 1,2"
    assert plan.estimate().seconds > 0
    assert not Path("runs/runs").exists()
    run = plan.begin()
    assert run.status().state == "RUNNING"
    assert run.resume().wait(S).status().state == "DONE"


def test_a_run_is_stopped_and_goes_on_where_it_was():
    run = started()
    run.stop()
    stopped = run.status()
    assert (stopped.state, stopped.reason) == ("STOPPED", "stopped from Python")
    assert 0 < stopped.round < 1000
    with pytest.raises(RunError, match=r"stopped: stopped from Python; its checkpoints stay in file://"):
        _ = run.model
    again = nnlite.attach(run.name)
    again.resume()
    with pytest.raises(RunError, match="is going on in this process"):
        again.resume()
    with pytest.raises(TimeoutError, match=r"is still going on after 0\.01 s"):
        again.wait(0.01)
    assert again.status().state == "RUNNING"
    again.stop()
    assert again.status().round >= stopped.round


def test_another_object_waits_for_a_run_and_stops_it():
    run = started()
    other = nnlite.attach(run.name)
    with pytest.raises(TimeoutError, match=f"run {run.name} is still going on"):
        other.wait(0.01)
    with pytest.raises(RunError, match="is running, at round"):
        _ = other.model
    other.stop()
    assert other.wait(S).status().state == "STOPPED"
    assert run.wait(S).status().state == "STOPPED"


def test_only_checkpoints_that_stand_are_saved():
    run = nnlite.train("c", checkpoint_every=1, dataset="fashion-sample", rounds=4, workers=2)
    run.save("second.safetensors", round=2)
    found = nnlite.load("second.safetensors")
    assert found.about["rounds"] == "2"
    assert float(found.about["test_accuracy"]) == run.history["test_accuracy"][1]
    run.store.delete(f"runs/{run.name}/ckpt/00000003")
    with pytest.raises(RunError, match="checkpoint"):
        run.save("never.safetensors", round=run.history["round"][2])
    assert not Path("never.safetensors").exists()


def test_the_page_is_written_and_a_notebook_gets_it_at_most_once_a_second(monkeypatch):
    run = nnlite.train("c", **QUICK)
    run.report("page.html")
    assert run.name in Path("page.html").read_text()
    made = []
    whole = type(run)._page
    monkeypatch.setattr(type(run), "_page", lambda self: made.append(1) or whole(self))
    assert "<iframe srcdoc=" in run._repr_html_()
    run._drawn = (run._drawn[0] + 3600, run._drawn[1])  # as if it had just been made
    assert run._repr_html_() == run._drawn[1]
    assert made == [1]


def test_nothing_of_a_notebook_is_imported():
    code = "import nnlite; nnlite.train, nnlite.Run; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"IPython", "boto3", "matplotlib", "tqdm"} & set(done.stdout.split())


def test_every_public_name_is_there_and_in_dir():
    assert set(nnlite.__all__) <= set(dir(nnlite))
    assert all(getattr(nnlite, name) is not None for name in nnlite.__all__)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = nnlite.trian


def test_a_round_is_saved_as_the_history_counts_it():
    """Downpour makes more than one checkpoint in a round."""
    run = nnlite.train("c", protocol=nnlite.Downpour(), checkpoint_every=1, eval_every=1, **QUICK | {"rounds": 3})
    counted = run.history["round"].tolist()
    for number in dict.fromkeys(counted):
        run.save("m.safetensors", round=number)
        assert nnlite.load("m.safetensors").about["rounds"] == str(number)
    last = len(counted) - 1 - counted[::-1].index(3)
    assert float(nnlite.load("m.safetensors").about["test_accuracy"]) == run.history["test_accuracy"][last]
    assert nnlite.load("m.safetensors").weights.tobytes() == run.model.weights.tobytes()
    for wrong in (0, -1, 4, "1", 1.0, True):
        with pytest.raises(UsageError, match="wanted a whole number from 1 to 3"):
            run.save("never.safetensors", round=wrong)


def test_a_listener_stops_its_run_and_cannot_wait_for_it():
    made, heard = threading.Event(), []

    def listen(event):
        if isinstance(event, RoundClosed) and made.wait(S):
            for call in (run.wait, run.stop):
                try:
                    heard.append(call())
                except NnliteError as error:
                    heard.append(str(error))

    run = nnlite.start("c", on_event=listen, **LONG)
    made.set()
    assert run.wait(S).status().state == "STOPPED"
    assert "outside of on_event" in heard[0]
    assert heard[1] is run


@pytest.mark.parametrize("timeout_s", ["1", -1, float("nan"), float("inf"), 1e9, True])
def test_a_time_that_cannot_be_waited_for_is_refused(timeout_s):
    run = nnlite.train("c", **QUICK | {"rounds": 1, "workers": 1})
    with pytest.raises(UsageError, match=r"timeout_s .*: wanted seconds from 0 to"):
        run.wait(timeout_s)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: nnlite.list_runs(5), "store 5: wanted a path or a URL"),
        (lambda: nnlite.attach("x", store=b"runs"), "store b'runs': wanted a path or a URL"),
        (lambda: nnlite.train(nnlite.Job, resume="x"), "what to train: a run goes on as it began"),
        (lambda: nnlite.tune(nnlite.Job, resume="x"), "what to train: a search goes on as it began"),
        (lambda: nnlite.plan("c", ([[1.0]] * 8, [0, 1] * 4), seed=-1), "seed -1: wanted"),
        (lambda: nnlite.Local(processes="2"), "Local.processes: expected"),
        (lambda: nnlite.Local(processes=2.5), "Local.processes: expected"),
        (lambda: nnlite.Lambda(region=5), "Lambda.region: expected a text"),
        (lambda: nnlite.OpenFaaS(function=5), "OpenFaaS.function: expected a text"),
        (lambda: nnlite.OpenFaaS("http://u:hush@h:8080"), "gateway 'http://***@h:8080'"),
        (lambda: nnlite.plan("c", region=5), "Pricing.region: expected a text"),
        (lambda: nnlite.plan("c", memory_mb="1"), "Pricing.memory_mb: expected"),
        (lambda: nnlite.simulate(workers="3"), "workers '3': wanted a whole number, or several"),
        (lambda: nnlite.simulate(workers=[]), "workers []: wanted"),
        (lambda: nnlite.simulate(workers=2.5), "workers 2.5: wanted"),
        (lambda: nnlite.optimize("c", max_probes="8"), "max_probes '8': wanted a whole number"),
        (lambda: nnlite.optimize("c", max_probes=2.5), "max_probes 2.5: wanted a whole number"),
        (lambda: nnlite.optimize("c", workers=5), "workers 5: wanted two whole numbers, (lowest, highest)"),
        (lambda: nnlite.optimize("c", memory_mb=(1, "2")), "memory_mb (1, '2'): wanted two whole numbers"),
        (lambda: nnlite.optimize("c", init="first.safetensors"), "init: probes measure"),
    ],
)
def test_an_argument_of_the_wrong_kind_is_one_line(ask, words):
    with pytest.raises(UsageError) as refused:
        ask()
    assert words in str(refused.value)
    assert "hush" not in str(refused.value)
    assert not Path(".nnlite").exists()


@pytest.mark.parametrize(
    ("what", "more", "words"),
    [
        ("c", {"wrokers": 2}, "no argument wrokers; did you mean workers?"),
        ("c", {"xyzzy": 2}, "no argument xyzzy; there are arch, augment"),
        ("q", {}, "no case 'q'"),
        ("c", {"dataset": "fashion-sample", "workers": 0}, "workers"),
        ("c", {"dataset": "gone"}, "no dataset 'gone'"),
        ("c", {"dataset": "fashion-sample", "test": 0.1}, "test: only for arrays"),
        ("c", {"platform": "lambda"}, "platform: wanted an object like nnlite.Local(), found 'lambda'"),
        ("c", {"platform": nnlite.Local}, "found <class 'nnlite.platform.local.Local'>"),
        ("c", {"budget_usd": 1.0}, "budget_usd: nobody sends a bill"),
        (3, {}, "what to train: wanted"),
        ("c", {"dataset": "fashion-sample", "max_minutes": -1}, "max_minutes -1: wanted a positive number of minutes"),
        ("c", {"dataset": "fashion-sample", "memory_mb": 1}, "memory_mb 1: wanted 128"),
    ],
)
def test_what_cannot_be_meant_is_one_line(what, more, words):
    with pytest.raises(UsageError) as refused:
        nnlite.plan(what, **more)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not Path(".nnlite").exists()


def test_what_cannot_be_told_watched_or_found_is_refused_before_anything_is_written():
    with pytest.raises(UsageError, match="on_event: wanted a function of an event, found int"):
        nnlite.train("c", on_event=3, **QUICK)
    with pytest.raises(UsageError, match="detach: platform local cannot look after a run"):
        nnlite.start("c", detach=True, **QUICK)
    with pytest.raises(UsageError, match="run id 3: use 1 to 64"):
        nnlite.attach(3)
    assert not Path(".nnlite").exists()


def test_progress_is_a_line_a_round_on_stderr_and_nothing_unless_it_is_asked_for_in_a_pipe(capfd):
    nnlite.train("c", **QUICK)
    assert capfd.readouterr() == ("", "")
    nnlite.train("c", progress=True, **QUICK)
    out, err = capfd.readouterr()
    assert out == ""
    assert re.fullmatch(
        r"round   1/2  training loss \d\.\d{4}  test accuracy 0\.\d{4}  [\d,]+ samples/s  \d+\.\d\d s\n"
        r"round   2/2  training loss \d\.\d{4}  test accuracy 0\.\d{4}  [\d,]+ samples/s  \d+\.\d\d s\n",
        err,
    )


PRESSED = """
import nnlite
def told(event):
    print(type(event).__name__, flush=True)
try:
    nnlite.train("c", dataset="fashion-sample", rounds=1000, workers=2, run="pressed", on_event=told)
except KeyboardInterrupt as error:
    print("interrupted:", error, flush=True)
"""


def test_ctrl_c_stops_the_run_and_says_how_it_goes_on():
    with subprocess.Popen([sys.executable, "-c", PRESSED], stdout=subprocess.PIPE, text=True) as popen:
        for line in popen.stdout:
            if line.startswith("RoundClosed"):
                break
        os.kill(popen.pid, signal.SIGINT)
        rest, _ = popen.communicate(timeout=S)
    said = rest.splitlines()[-1]
    assert said.startswith("interrupted: run pressed was stopped; it goes on by nnlite.attach('pressed', store=")
    status = nnlite.attach("pressed").status()
    assert (status.state, status.reason) == ("STOPPED", "interrupted")


def test_an_error_of_the_driver_is_kept_for_who_waits():
    """The specification is gone, so no worker can begin: the run fails, in the thread."""

    def angry(event):
        raise ZeroDivisionError("of the listener")

    run = nnlite.start("c", on_event=angry, **QUICK)
    with pytest.raises(RunError, match="ZeroDivisionError: of the listener") as failed:
        run.wait(S)
    assert isinstance(failed.value.__cause__, ZeroDivisionError)
    assert run.status().state == "FAILED"
    with pytest.raises(RunError, match="ZeroDivisionError"):
        _ = run.model


def test_downpour_has_a_history_too():
    run = nnlite.train("c", protocol=nnlite.Downpour(push_every=5, pull_every=5), eval_every=1, **QUICK)
    history = run.history
    assert len({len(column) for column in history.values()}) == 1
    assert history["samples"][-1] >= 11_000
    assert not np.isnan(history["test_accuracy"]).all()


def test_a_run_goes_on_by_its_id_as_the_command_resumes_it():
    nnlite.plan("c", run="mine", **QUICK).begin()
    run = nnlite.train(resume="mine")
    assert run.status().state == "DONE"
    with pytest.raises(RunError, match="run mine is done"):
        nnlite.train(resume="mine")
    with pytest.raises(UsageError, match="workers: a run goes on as it began: leave it out"):
        nnlite.train(resume="mine", workers=3)
    with pytest.raises(UsageError, match=r"case c: run mine goes on as it began, and has no code of its own"):
        nnlite.train("c", resume="mine")


@pytest.mark.parametrize(
    ("wrong", "here", "there"),
    [
        ({"run": "mine"}, "(resume='mine'), or choose another run=", "(--resume mine), or choose another --run"),
        ({"dataset": "bits"}, "choose another dataset=, or", "choose another --dataset, or"),
        ({"store": "memcached://127.0.0.1:1/x"}, "start it, or correct store=", "start it, or correct --store"),
        ({"case": "nope"}, "a file of your own: case='my_case.py'", "a file of your own: --case my_case.py"),
    ],
    ids=["run", "dataset", "store", "case"],
)  # fmt: skip
def test_python_is_told_of_arguments_and_a_command_of_options(wrong, here, there, capsys):
    nnlite.plan("c", run="mine", **QUICK).begin()
    asked = {"case": "c", "dataset": "fashion-sample", "rounds": 1, **wrong}
    case = asked["case"]
    with pytest.raises(NnliteError) as refused:
        nnlite.train(case, **{name: value for name, value in asked.items() if name != "case"})
    assert here in str(refused.value)
    assert "--" not in str(refused.value)
    assert door.main(["train", *(word for name, value in asked.items() for word in (f"--{name}", str(value)))]) in (
        1,
        2,
    )
    assert there in capsys.readouterr().err
