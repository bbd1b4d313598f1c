"""Searches, probes and forecasts from Python, as the commands make them."""

import json
import subprocess
import sys

import numpy as np
import pytest

import nnlite
from nnlite import nn
from nnlite.cases import Case
from nnlite.errors import RunError, UsageError
from nnlite.space import Float, Space
from tests.api.cells import SQUASH

SEARCH = {"dataset": "fashion-sample", "trials": 4, "rounds": 3, "parallel": 2}


def command(*argv):
    done = subprocess.run([sys.executable, "-m", "nnlite", *argv], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_tune_finds_what_the_command_finds():
    found = nnlite.tune("c", **SEARCH)
    argv = "tune --case c --dataset fashion-sample --trials 4 --rounds 3 --parallel 2 --store other --json"
    said = command(*argv.split())[-1]
    assert found.best.configuration == said["configuration"]
    assert (found.best.validation_accuracy, found.best.test_accuracy) == (
        said["validation_accuracy"],
        said["test_accuracy"],
    )
    assert {trial.number for trial in found.trials} == {0, 1, 2, 3}
    assert found.trials[0].configuration == found.best.configuration
    accuracies = [trial.validation_accuracy for trial in found.trials if trial.status == "ok"]
    assert accuracies[0] == max(accuracies)
    nnlite.save("best.safetensors", found.best.model)
    assert json.loads(nnlite.load("best.safetensors").about["configuration"]) == found.best.configuration


PRESSED = """
import os, signal
import nnlite
def told(event):
    if getattr(event, "name", "") == "trial":
        os.kill(os.getpid(), signal.SIGINT)
try:
    nnlite.tune("c", dataset="fashion-sample", trials=4, rounds=3, parallel=2, search="pressed", on_event=told)
except KeyboardInterrupt as error:
    print(error)
"""


def test_a_search_that_was_stopped_goes_on_and_finds_what_it_would_have_found():
    done = subprocess.run([sys.executable, "-c", PRESSED], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("search pressed was stopped; it goes on by nnlite.tune(resume='pressed', store='")
    found = nnlite.tune(resume="pressed")
    whole = nnlite.tune("c", **SEARCH)
    assert found.best.configuration == whole.best.configuration
    assert found.best.model.weights.tobytes() == whole.best.model.weights.tobytes()
    assert nnlite.tune(resume="pressed").best.test_accuracy == found.best.test_accuracy
    with pytest.raises(UsageError, match="trials: a search goes on as it began: leave it out"):
        nnlite.tune(resume="pressed", trials=3)
    run = nnlite.train("c", dataset="fashion-sample", rounds=1)
    with pytest.raises(RunError, match="is a run, not a search"):
        nnlite.tune(resume=run.name)


def test_a_case_with_layers_of_a_cell_is_searched_by_worker_processes(notebook, pairs):
    layer = notebook.run(SQUASH)["Squash"]

    def network(shape, num_classes, gain=1.0):
        return nn.Sequential((nn.Dense(8), layer(gain), nn.Dense(num_classes)), shape)

    case = Case("gains", "which gain", "bits", network, nn.Adam(0.01), 20, 2, space=Space(gain=Float(0.5, 2.0)))
    heard = []
    found = nnlite.tune(
        case, pairs, trials=3, sampler="random", platform=nnlite.Local(processes=2), parallel=2, on_event=heard.append
    )
    assert set(found.best.configuration) == {"gain"}
    assert 0.5 <= found.best.configuration["gain"] <= 2.0
    assert sum(getattr(event, "name", "") == "trial" for event in heard) == 3


@pytest.mark.parametrize(
    ("what", "more", "words"),
    [
        ("c", {"trails": 3}, "no argument trails; did you mean trials?"),
        ("c", {"trials": 0}, "trials 0: wanted at least 1"),
        ("c", {"parallel": 0}, "parallel 0: wanted at least 1"),
        ("c", {"sampler": "random", "eta": 3}, "eta is for sampler asha"),
        ("c", {"sampler": "best"}, "sampler 'best': there are"),
        ("c", {"dataset": "fashion-sample", "validation": 1.0}, "validation 1.0: a search chooses by"),
        ("c", {"seed": -1}, "seed -1: wanted"),
        (lambda shape, k: None, {}, "what to search: wanted the name of a case"),
        ("c", {"dataset": "fashion-sample", "budget_usd": 1.0}, "nobody sends a bill"),
    ],
)
def test_a_search_that_cannot_be_meant_is_one_line(what, more, words):
    with pytest.raises(UsageError) as refused:
        nnlite.tune(what, **more)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_optimize_chooses_and_confirms(pairs):
    network = nn.Sequential((nn.Dense(16), nn.Dense(2)), (4,))
    best = nnlite.optimize(
        network, pairs, memory_mb=(512, 1024), workers=(1, 2), max_probes=2, objective="time", rounds=2
    )
    assert 512 <= best.memory_mb <= 1024
    assert best.workers in (1, 2)
    assert best.tree[-1] == best.workers
    assert len(best.probes) in (2, 3)
    assert min(best.seconds, best.usd, best.gb_seconds) > 0
    with pytest.raises(UsageError, match="no objective 'beauty'"):
        nnlite.optimize(network, pairs, objective="beauty")


def test_simulate_forecasts_one_number_of_workers_or_several():
    one = nnlite.simulate("c", workers=4, rounds=2)
    assert (one.workers, one.status) == (4, "done")
    few, many = nnlite.simulate("c", workers=[1, 8], rounds=2, protocol="downpour", push_every=20, store="memcached")
    assert (few.workers, many.workers) == (1, 8)
    assert many.usd > 0
    assert np.isfinite(many.total_s)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"wrokers": 1}, "no argument wrokers; did you mean workers?"),
        ({"store": "tape"}, "store 'tape': there are"),
        ({"push_every": 3}, "push_every is no option of protocol averaging"),
        ({"memory_mb": -1}, "memory_mb -1: wanted a positive number"),
        ({"faults": "flood=1"}, "fault 'flood=1'"),
        ({"profile": "gone.json"}, "profile gone.json: "),
    ],
)
def test_a_forecast_that_cannot_be_meant_is_one_line(more, words):
    with pytest.raises(UsageError) as refused:
        nnlite.simulate("c", **more)
    assert words in str(refused.value)
