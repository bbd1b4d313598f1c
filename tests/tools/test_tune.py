"""`python -m tools.tune`: what it finds does not depend on where, or how often, its trials are trained."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

import nnlite
from nnlite.commands import tune as tool
from nnlite.commands.program import run
from nnlite.protocol.search.spec import SearchKeys
from nnlite.searches import lifecycle
from nnlite.store import open_store
from nnlite.weights import load as load_file
from tests.tools.conftest import Done
from tests.tools.test_train_interrupted import MARK, marked, until_gone

SPACE = """
from dataclasses import replace
from nnlite.space import *

def network(shape, num_classes, units=8):
    return nn.Sequential([nn.Dense(units), nn.Tanh(), nn.Dense(num_classes)], shape)

space = Space(learning_rate=Float(0.001, 1.0, log=True), units=Int(2, 12), batch_size=Choice(5, 10, 20))
case = replace(case, network=network, space=space)
"""


@pytest.fixture
def tune(capfd):
    """tune(*argv): the command, in this process."""

    def call(*argv: object) -> Done:
        capfd.readouterr()
        code = run(tool.main, tool._parser(), [str(a) for a in argv])
        return Done(code, *capfd.readouterr())

    return call


@pytest.fixture
def path(case_file) -> Path:
    """A user's case with a space of its own."""
    made: Path = case_file(num_train=200, more=SPACE)
    return made


def options(path: Path, *more: object) -> tuple[object, ...]:
    return ("--case", path, "--trials", 9, "--rounds", 9, "--seed", 1, "--search", "mine", *more)


def found(done: Done, out: str = "mine") -> tuple[object, ...]:
    """All that a search comes to: what it said in the end, but for times and places, and the bytes it wrote."""
    assert done.code == 0, done.err
    said = json.loads(done.out.splitlines()[-1])
    return (
        *((name, said[name]) for name in SAME),
        Path(f"{out}.safetensors").read_bytes(),
        Path(f"{out}.json").read_bytes(),
    )


SAME = ("trial", "configuration", "rounds", "validation_accuracy", "test_accuracy", "num_trials", "trained_rounds")


@pytest.fixture
def calm(tune, path) -> tuple[object, ...]:
    """What the search comes to in one process, with nothing going wrong."""
    return found(tune(*options(path), "--processes", 0, "--json", "--store", "calm"))


@pytest.mark.parametrize("parallel", [1, 5])
def test_the_same_however_many_at_a_time(tune, path, calm, parallel):
    assert found(tune(*options(path), "--parallel", parallel, "--json")) == calm


def test_the_same_from_memcached(tune, path, calm, memcached):
    url = f"memcached://127.0.0.1:{memcached.port}/search-{uuid.uuid4().hex}"
    assert found(tune(*options(path), "--store", url, "--processes", 2, "--json")) == calm


def test_random_search_trains_all_trials_to_the_end(tune, path):
    done = tune(*options(path), "--sampler", "random", "--processes", 0, "--json")
    lines = [json.loads(line) for line in done.out.splitlines()]
    trials = [line for line in lines if line["event"] == "trial"]
    assert sorted(line["trial"] for line in trials) == list(range(9))
    assert {line["rounds"] for line in trials} == {9}
    assert lines[-1]["trained_rounds"] == lines[-1]["of_rounds"] == 81
    drawn = {line["trial"]: line["configuration"] for line in trials}
    again = tune(*options(path), "--parallel", 4, "--store", "other", "--json")
    for line in map(json.loads, again.out.splitlines()[:-1]):
        assert line["configuration"] == drawn[line["trial"]]  # asha draws the very same


def test_the_best_is_written_and_can_be_trained(tune, train, path):
    done = tune(*options(path), "--out", "best")
    assert done.code == 0, done.err
    model = nnlite.load("best.safetensors")
    test = model.predict(load_rows(path).test.x).argmax(axis=1) == load_rows(path).test.y
    assert f"test accuracy       {test.mean():.4f}" in done.out
    assert json.loads(model.about["configuration"])["units"] == model.network.layers[0].units
    line = next(line for line in done.out.splitlines() if line.startswith("train it"))
    trained = train(*shlex.split(line.partition("tools.train ")[2]), "--processes", 0, "--out", "w.st", "--seed", 1)
    assert trained.code == 0, trained.err
    assert load_file("w.st").shapes == load_file("best.safetensors").shapes


def load_rows(path):
    from nnlite import cases

    return cases.dataset(cases.load_file(path))


def test_the_validation_split_is_cut_from_the_training_split(tune, path):
    """Trials see neither the test split nor, in training, the rows that they are scored on."""
    assert tune(*options(path), "--processes", 0, "--validation", 0.25).code == 0
    spec, search = lifecycle.read(open_store(".nnlite"), "mine")
    assert (spec.data.num_train, spec.data.num_test) == (150, 50)
    assert (search.test.num_train, search.test.num_test) == (200, 50)
    shards = sorted(str(p.relative_to(".nnlite/datasets")) for p in Path(".nnlite/datasets").rglob("0*"))
    tried, whole = f"own-{spec.data.digest[:16]}", f"own-{search.test.digest[:16]}"
    tried, whole = (name.replace("own", spec.data.name) for name in (tried, whole))
    assert shards == sorted([f"{tried}/train-of-1/00000", f"{tried}/test-of-1/00000", f"{whole}/test-of-1/00000"])
    for number in range(9):
        assert lifecycle.trial(open_store(".nnlite"), "mine", number).spec.data == spec.data


def test_what_a_page_needs_is_in_the_store(tune, path):
    assert tune(*options(path)).code == 0
    store, keys = open_store(".nnlite"), SearchKeys("mine")
    outcome = json.loads(store.get(keys.outcome).data)
    job = (outcome["trial"], outcome["rung"])
    assert lifecycle.trial(store, "mine", job[0]).configuration["units"] in range(2, 13)
    assert json.loads(store.get(keys.result(job)).data)["accuracy"] == outcome["validation_accuracy"]
    assert json.loads(store.get(keys.timing(job)).data).keys() >= {"seconds", "usd", "worker"}
    assert json.loads(store.get(keys.spec).data)["ladder"] == {"eta": 3, "rounds": [1, 3, 9]}


# ---- interrupted, killed, resumed


@pytest.fixture
def begun():
    """begun(path, *argv): the command as a process, once it has got through two trials. -> its process and its mark"""
    processes = []

    def call(path, *argv):
        mark = uuid.uuid4().hex
        command = [sys.executable, "-m", "tools.tune", *map(str, options(path, *argv))]
        with open("stderr", "w") as said:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=said, text=True, env={**os.environ, MARK: mark},
                start_new_session=True,
            )  # fmt: skip
        processes.append(process)
        assert process.stdout.readline()
        assert process.stdout.readline()
        return process, mark

    yield call
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def slow(case_file) -> Path:
    """The same case with more rows, so that there is time to disturb it."""
    made: Path = case_file(num_train=20_000, more=SPACE)
    return made


@pytest.fixture
def undisturbed(tune, slow) -> tuple[object, ...]:
    return found(tune(*options(slow), "--processes", 0, "--json", "--store", "calm", "--out", "calm"), "calm")


def test_killed_workers_change_no_result(begun, slow, undisturbed):
    process, mark = begun(slow, "--parallel", 2, "--json")
    killed = 0
    while killed < 3 and process.poll() is None:
        workers = [pid for pid in marked(mark) if pid != process.pid]
        if workers:
            os.kill(workers[-1], signal.SIGKILL)
            killed += 1
        time.sleep(0.7)
    out, _ = process.communicate(timeout=180)
    err = Path("stderr").read_text()
    assert killed
    assert "is gone: started again" in err
    assert found(Done(process.returncode, out, err)) == undisturbed
    until_gone(mark)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_search_goes_on(begun, tune, slow, undisturbed, how):
    process, mark = begun(slow)
    os.kill(process.pid, how)
    process.communicate(timeout=180)
    until_gone(mark)
    err = Path("stderr").read_text()
    if how != signal.SIGKILL:
        assert process.returncode == 128 + how
        store = shlex.quote(str(Path(".nnlite").absolute()))
        where = f"--case {slow} --store {store}"
        assert err.splitlines()[-1] == f"interrupted: go on with python -m tools.tune --resume mine {where}"
    assert not Path("mine.json").exists()
    assert found(tune("--resume", "mine", "--json")) == undisturbed


def test_a_search_that_is_done_is_shown_again_and_scored_no_more(tune, path, calm, monkeypatch):
    def never(*_):
        raise AssertionError("the test split was looked at again")

    monkeypatch.setattr("nnlite.runtime.trainer.Trainer.score", never)
    Path("mine.safetensors").unlink()
    assert found(tune("--resume", "mine", "--store", "calm", "--json")) == calm


def test_time_is_up(tune, slow):
    done = tune(*options(slow), "--trials", 200, "--max-minutes", 0.04, "--json")
    said = json.loads(done.out.splitlines()[-1])
    assert done.code == 0, done.err
    assert said["reason"] == "its time of 2.4 s is up"
    assert 0 < said["num_trials"] < 200
    assert said["seconds"] < 10


def test_layers_of_one_s_own(tune, train, case_file):
    """Workers, and those who train the winner, import the case file."""
    layers = "\ncase = replace(case, network=lambda s, k: nn.Sequential([Scale(3.0), nn.Dense(k)], s))\n"
    more = SPACE.replace("units=Int(2, 12), ", "") + layers
    done = tune(*options(case_file(more=more)), "--trials", 2, "--rounds", 1, "--out", "best")
    assert done.code == 0, done.err
    assert train("--case", "best.json", "--processes", 0, "--out", "w.st").code == 0


def test_a_dry_run_shows_the_trials_and_begins_nothing(tune, path):
    done = tune(*options(path), "--dry-run")
    assert done.code == 0
    assert done.out.count("learning_rate") == 10
    assert "nothing was started" in done.out
    (plan,) = map(json.loads, tune(*options(path), "--dry-run", "--json").out.splitlines())
    assert (plan["event"], len(plan["trials"])) == ("plan", plan["num_trials"])
    assert all("learning_rate" in one for one in plan["trials"])
    assert not Path(".nnlite").exists() or not list(Path(".nnlite").rglob("*.json"))


# ---- what cannot be meant


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--trials", 0), "--trials 0: wanted at least 1"),
        (("--parallel", 0), "--parallel 0: wanted at least 1"),
        (("--rounds", 0), "--rounds 0: wanted at least 1"),
        (("--eta", 1), "eta 1: wanted at least 2"),
        (("--grace", 10), "grace 10: wanted 1 to 9"),
        (("--rungs", 9), "9 rungs: 3 fit"),
        (("--sampler", "random", "--eta", 3), "--eta is for --sampler asha"),
        (("--validation", 0), "--validation 0.0: a search chooses by"),
        (("--validation", 1), "--validation 1.0: a search chooses by"),
        (("--validation", 0.0001), "cannot be made: both sides need a row"),
        (("--seed", -1), "--seed -1"),
        (("--search", "Mine!"), "run id 'Mine!'"),
        (("--max-minutes", 0), "--max-minutes 0"),
        (("--budget-usd", 1), "--budget-usd: nobody sends a bill for platform local; use --max-minutes"),
        (("--processes", -1), "--processes -1"),
        (("--store", "memory://x", "--processes", 2), "other processes cannot see a store in memory"),
        (("--out", "."), "is a folder"),
        (("--out", "nowhere/best"), "there is no folder"),
        (("--optimizer", "lion"), "no optimizer 'lion'"),
        (("--resume", "mine"), "leave --rounds out"),
    ],
)
def test_bad_input_is_one_line(tune, path, argv, words):
    done = tune(*options(path), *argv)
    assert (done.code, done.out) == (2, ""), done.err
    assert words in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ("Space()", "an empty space"),
        ("Space(units=Int(9, 2))", "the lower bound is above the upper one"),
        ("Space(unit=Int(2, 9))", "its space names 'unit'"),
        ("Space(units=Int(2, 9))", "9 trials, but the space has only 8 configurations"),
        ("Space(units=Int(-9, -1))", "configuration {"),
    ],
)
def test_an_empty_or_contradictory_space_is_one_line(tune, case_file, space, words):
    more = SPACE + f"\ncase = replace(case, space={space})\n"
    done = tune(*options(case_file(more=more)))
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert len(done.err.splitlines()) == 1


def test_all_trials_diverge_is_one_line(tune, case_file):
    linear = "lambda s, k: nn.Sequential([nn.Dense(8), nn.Dense(k)], s)"
    space = "Space(learning_rate=Float(1e36, 1e38, log=True))"
    more = SPACE + f"\ncase = replace(case, network={linear}, space={space})\n"
    done = tune(*options(case_file(more=more)), "--processes", 0)
    assert done.code == 1
    last = done.err.splitlines()[-1]
    assert "search mine has no winner: all of its 9 trials diverged or failed" in last
    assert "diverged" in done.out


def test_ids(tune, train, path):
    assert tune(*options(path), "--processes", 0).code == 0
    again = tune(*options(path))
    assert (again.code, again.err.splitlines()[-1][:36]) == (1, "error: there is a run 'mine' in file")
    assert "no run 'other'" in tune("--resume", "other").err
    assert train("--case", path, "--run", "trained", "--processes", 0).code == 0
    assert "is a run, not a search" in tune("--resume", "trained").err
