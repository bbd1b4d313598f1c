"""Runs from Python on AWS Lambda: begun, watched, found again, stopped and resumed, as on this machine."""

import subprocess
import sys
import threading

import pytest

import nnlite
from nnlite.errors import UsageError
from nnlite.telemetry.events import RoundClosed
from tests.api.cells import IMPORTS, SQUASH, Notebook
from tests.docs.commands import blocks
from tests.platform.aws.account import REGION

WHERE = {"dataset": "fashion-sample", "platform": nnlite.Lambda(region=REGION), "workers": 3}


def test_a_run_on_functions_has_the_weights_of_one_here_and_a_bill(stack, tmp_path):
    run = nnlite.train("c", rounds=2, budget_usd=1, **WHERE)
    here = nnlite.train("c", dataset="fashion-sample", workers=3, store=str(tmp_path / "st"),
                        rounds=2)  # fmt: skip
    assert run.status().state == "DONE"
    assert run.model.weights.tobytes() == here.model.weights.tobytes()
    assert run.cost.usd == pytest.approx(run.cost.list_usd)
    assert 0 < run.cost.usd < 1
    assert run.estimate.usd > 0
    again = nnlite.attach(run.name, platform=nnlite.Lambda(region=REGION))
    assert again.cost == run.cost
    (listed,) = [one for one in nnlite.list_runs(platform=nnlite.Lambda(region=REGION)) if one.id == run.name]
    assert (listed.state, listed.platform, listed.usd) == ("DONE", "lambda", pytest.approx(run.cost.usd))


def test_another_object_stops_a_run_and_it_goes_on(stack):
    closed = threading.Event()
    run = nnlite.start(
        "c", rounds=400, on_event=lambda e: closed.set() if isinstance(e, RoundClosed) else None, **WHERE
    )
    assert closed.wait(300)
    other = nnlite.attach(run.name, platform=nnlite.Lambda(region=REGION))
    assert other.stop().status().state == "STOPPED"
    assert run.wait(300).status().state == "STOPPED"
    made = run.status().round
    other.resume()
    assert other.status().state == "RUNNING"
    assert other.stop().status().round >= made


def test_code_of_one_s_own_is_refused_before_anything_is_written(stack):
    notebook = Notebook()
    notebook.run(IMPORTS)
    layer = notebook.run(SQUASH)["Squash"]()
    nn = notebook.space["nn"]

    def network(shape, num_classes):
        return nn.Sequential((nn.Flatten(), nn.Dense(4), layer, nn.Dense(num_classes)), shape)

    with pytest.raises(UsageError, match="not in the function's bundle"):
        nnlite.start(network, **WHERE)


def test_the_document_s_program_runs(stack, tmp_path):
    (program,) = [b.text for b in blocks("docs/python-api.md") if b.needs and "Lambda" in b.text]
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "state='DONE'" in done.stdout
