"""What commands say to programs: every object they print with --json, held against docs/json.md."""

import json
from types import SimpleNamespace

import pytest

from nnlite.commands import data, json_lines, optimize, report, simulate, status, train, tune
from nnlite.commands.program import run
from tests.tools import documented
from tests.tools.documented import check, tables


@pytest.fixture
def say(capfd, case_file):
    """say(module, *argv): what the command prints with --json, checked. -> its events"""
    case_file(layer="nn.ReLU()")

    def call(module: object, *argv: object) -> set[str]:
        capfd.readouterr()
        code = run(module.main, module._parser(), [*map(str, argv), "--json"])
        out, err = capfd.readouterr()
        assert code == 0, err
        return check(f"tools.{module.__name__.rpartition('.')[2]}", out)

    return call


def test_of_a_run(say, tmp_path):
    case = "--case", tmp_path / "my_case.py"
    assert say(train, *case, "--dry-run") == {"plan"}
    assert say(train, *case, "--workers", 2, "--rounds", 2, "--run", "one") == {"round", "result"}
    assert say(train, "--resume", "one", "--out", "again.safetensors") == {"result"}
    more = ("--workers", 1, "--rounds", 3, "--protocol", "downpour", "--pull-every", 2, "--push-every", 2)
    assert {"round", "result"} <= say(train, *case, *more, "--run", "two")
    for name, event in (("one", "round"), ("two", "checkpoint")):
        assert say(report, name) == {"run", "worker", event}
    assert say(status) == say(status, "one") == {"status"}


def test_of_a_search(say, tmp_path):
    more = ("--case", tmp_path / "my_case.py", "--trials", 2, "--rounds", 1, "--search", "best")
    assert say(tune, *more, "--dry-run") == {"plan"}
    assert say(tune, *more) == {"trial", "result"}
    assert say(report, "best") == {"trial"}


def test_of_an_optimization(say, tmp_path, monkeypatch):
    monkeypatch.setattr(optimize, "PROBE_ROUND_S", 0.1)
    more = ("--case", tmp_path / "my_case.py", "--memory-mb", "1769", "--workers", 1, "--max-probes", 1)
    assert say(optimize, *more, "--dry-run") == {"plan"}
    assert say(optimize, *more) == {"probe", "choice"}


def test_of_forecasts_and_datasets(say):
    assert say(simulate, "--case", "c", "--dataset", "fashion-sample", "--workers", "1,2") == {"forecast"}
    assert say(data, "list") == {"dataset"}
    assert say(data, "check", "fashion-sample") == {"checked"}
    assert say(data, "show", "fashion-sample", "--index", 3) == {"row"}


def test_a_progress_tells_evaluations_and_rounds_that_diverged(capsys):
    from nnlite.commands.progress import ProgressLines
    from tests.runtime import small

    progress = ProgressLines(small.spec(small.dataset(96), 1, 2), 0, as_json=True)
    told = {"evaluation": 1, "version": 3, "steps": 40, "accuracy": 0.5, "score_loss": None}
    progress.tell("evaluated", {**told, "run": "small"})
    progress.tell("round", {"round": 0, "num_samples": 96, "loss": float("nan"), "seconds": 1.0, "accuracy": None})
    progress.close()
    assert check("tools.train", capsys.readouterr().out) == {"evaluation", "round"}


def test_what_is_said_only_where_a_cloud_is(capsys):
    """How a run is followed that goes on alone, and that a stack is gone."""
    from nnlite.commands import deploy_lambda, shown_run
    from tests.runtime import small

    args = train._parser().parse_args(["--json", "--platform", "lambda", "--detach"])
    shown_run.show_how_to_follow(small.spec(small.dataset(96), 1, 2), args)
    assert check("tools.train", capsys.readouterr().out) == {"detached"}
    deploy_lambda._tell_of_deletion("deleted", "gone", SimpleNamespace(name="nnlite"), 3, args)
    assert check("tools.deploy lambda", capsys.readouterr().out) == {"deleted"}


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"colour": 1}, "colour is not documented"),
        ({"folder": None}, "folder is None, no text"),
        ({"version": True}, "version is True, no count"),
        ({"version": -1}, "version is -1, no count"),
    ],
)
def test_a_wrong_object_would_be_found(more, fault):
    values = {"event": "fetched", "version": 1, "name": "mnist", "folder": "here"}
    assert documented.faults("tools.data", json.dumps(values)) == []
    assert documented.faults("tools.data", json.dumps({**values, **more})) == [f"tools.data fetched: {fault}"]
    del values["folder"]
    assert documented.faults("tools.data", json.dumps(values)) == ["tools.data fetched: folder is missing"]


def test_every_type_on_the_page_is_known():
    kinds = {kind for table in tables().values() for one in table.values() for kind in one.split(" or ")}
    assert kinds == {"text", "count", "number", "yes/no", "list", "object", "cost", "null"}


def test_what_is_no_number_in_json_is_null(capsys):
    json_lines.say("round", loss=float("nan"), seconds={"a": [1.5, float("-inf")], "b": (float("inf"), 2)})
    said = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    told = {"loss": None, "seconds": {"a": [1.5, None], "b": [None, 2]}}
    assert said == {"event": "round", "version": json_lines.VERSION, **told}


def test_a_version_is_that_of_the_object():
    with pytest.raises(TypeError, match="version"):
        json_lines.say("evaluation", **{"version": 7})
