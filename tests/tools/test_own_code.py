"""Code comes from this machine's command line: nothing that stands in a store makes anybody run a file."""

import hashlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nnlite import case_file as case_files
from nnlite.store.file import FileStore
from tests.tools.conftest import REPOSITORY, Done

SMALL = ("--workers", "2", "--rounds", "2", "--run", "mine")


@pytest.fixture
def command(tmp_path):
    """command(name, *argv): in a process of its own, which has run no case file before."""

    def call(name: str, *argv: object) -> Done:
        environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        line = [sys.executable, "-m", f"tools.{name}", *map(str, argv)]
        done = subprocess.run(line, env=environ, capture_output=True, text=True, check=False)
        return Done(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def begun(train, case_file) -> Path:
    """A run `mine` with a layer of its own, interrupted before its end. -> its case file"""
    path = case_file()
    assert train("--case", path, *SMALL, "--processes", 0).code == 0
    change("runs/mine/head.json", status="stopped", result=None, round=1)
    return path


def change(key: str, **fields: Any) -> None:
    """Write other values into an object of the run, as anybody can who can write to its store."""
    store = FileStore(".nnlite")
    found = store.get(key)
    store.put(key, json.dumps({**json.loads(found.data), **fields}, indent=1).encode(), if_version=found.version)


def worker(payload: dict[str, Any]) -> dict[str, Any]:
    """The last word of a worker process that was sent this."""
    line = [sys.executable, "-m", "nnlite.runtime.local_process"]
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(payload) + "\n")
        process.stdin.flush()  # and stays open: without its command a worker ends
        said = process.stdout.readlines()
        found: dict[str, Any] = json.loads(said[-1])
    return found


def planted(tmp_path: Path) -> tuple[Path, Path]:
    """A Python file that somebody has put into the store, and what is there once it was run."""
    mark, file = tmp_path / "it-was-run", Path(".nnlite/evil.py").absolute()
    file.write_text(f"open({str(mark)!r}, 'w').close()\n")
    return file, mark


@pytest.mark.parametrize("as_path", [True, False])
def test_no_command_runs_a_file_that_a_specification_names(as_path, begun, command, tmp_path):
    """A path where a name is expected; or the hash of the planted file under its name, beside the command."""
    file, mark = planted(tmp_path)
    evil = case_files.CaseFile.read(file)
    named = str(file) if as_path else {"name": evil.name, "sha256": evil.sha256}
    change("runs/mine/spec.json", case_file=named)
    Path("evil.py").write_bytes(evil.data)
    for name, *argv in (
        ("train", "--resume", "mine", "--dry-run"),
        ("train", "--resume", "mine", "--processes", 2),
        ("train", "--resume", "mine", "--processes", 0),
        ("status", "mine"),
        ("report", "mine"),
        ("stop", "mine"),
    ):
        done = command(name, *argv)
        assert "Traceback" not in done.err
        if name == "train":
            assert done.code in (1, 2)
            assert done.err.count("\n") == 1
        assert not mark.exists(), (name, argv)


def test_a_worker_runs_no_file_that_a_specification_names(begun, tmp_path):
    """Whatever it was started for: here for a specification that somebody has replaced since."""
    file, mark = planted(tmp_path)
    evil = case_files.CaseFile.read(file)
    old = FileStore(".nnlite").get("runs/mine/spec.json").data
    change("runs/mine/spec.json", case_file={"name": evil.name, "sha256": evil.sha256})
    for more in ({}, {"spec": hashlib.sha256(old).hexdigest()}):
        payload = {"store": str(Path(".nnlite").absolute()), "run": "mine", "invocations": [[0, 1]], **more}
        said = worker(payload)
        assert (said["event"], said["kind"]) == ("error", "NotOfThisRun" if more else "UsageError")
        assert not mark.exists()


def test_the_specification_says_which_file_and_not_where(begun):
    spec = json.loads(FileStore(".nnlite").get("runs/mine/spec.json").data)
    assert spec["case_file"] == {"name": begun.name, "sha256": case_files.CaseFile.read(begun).sha256}
    assert str(begun.parent) not in json.dumps(spec)


def test_a_run_goes_on_with_the_file_that_it_began_with_and_no_other(begun, command):
    """The line that says how to go on names it; in another process nothing else of it is known."""
    missing = command("train", "--resume", "mine")
    assert (missing.code, missing.err.count("\n")) == (2, 1)
    assert f"which {begun.name} defines" in missing.err
    assert f"--case {begun.name}" in missing.err
    data = begun.read_bytes()
    begun.write_bytes(data + b"# changed\n")
    other = command("train", "--resume", "mine", "--case", begun)
    assert (other.code, other.err.count("\n")) == (2, 1)
    assert "name the file as it was then" in other.err
    begun.write_bytes(data)
    for processes in (2, 0):
        done = command("train", "--resume", "mine", "--case", begun, "--processes", processes, "--out", "w.st")
        assert done.code == 0, done.err
        change("runs/mine/head.json", status="stopped", result=None, round=1)


def test_a_file_that_changes_under_a_worker_is_not_run(begun):
    held = case_files.CaseFile.read(begun)
    begun.write_bytes(b"raise SystemExit('another file')")
    assert hasattr(held.run(), "case")  # what was read and hashed is what is run
    payload = {
        "store": str(Path(".nnlite").absolute()), "run": "mine", "invocations": [[0, 1]],
        "case_file": [str(begun), held.sha256],
    }  # fmt: skip
    assert "name the file as it was then" in worker(payload)["message"]


def test_a_file_for_a_run_that_needs_none_is_not_ignored(train, case_file):
    path = case_file(layer="nn.Tanh()")
    assert train("--case", path, *SMALL, "--processes", 0).code == 0
    done = train("--resume", "mine", "--case", path)
    assert (done.code, "goes on as it began, and has no code of its own" in done.err) == (2, True)


def test_an_interrupted_command_says_the_whole_line(start, command, case_file):
    process = start("--case", case_file(num_train=600), *SMALL[:2], "--rounds", 1000, "--run", "mine", "--json")
    assert process.stdout.readline()
    process.send_signal(2)
    err = process.communicate(timeout=180)[1]
    last = err.splitlines()[-1]
    line = last.partition("tools.train ")[2]
    assert f"--case {case_file(num_train=600)}" in line, last
    done = command("train", *shlex.split(line), "--dry-run")
    assert done.code == 0, done.err
