"""Ctrl-C, and worse: the command ends, its workers with it, and the run goes on where it stood."""

import os
import shlex
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from nnlite.errors import StoreError
from nnlite.invoker.processor import num_processes
from nnlite.protocol.counting import samples_per_round
from nnlite.protocol.records.head import STOPPED, Head
from nnlite.protocol.records.keys import Keys
from nnlite.runs import model_file
from nnlite.runtime.workers import read_spec
from nnlite.store.file import FileStore
from nnlite.weights import load as load_file

MARK = "NNLITE_TEST_MARK"


def marked(mark: str) -> list[int]:
    """Ids of the living processes that have this mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
            state = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if f"{MARK}={mark}".encode() in environment.split(b"\0") and state != "Z":
            found.append(int(folder.name))
    return found


def until_gone(mark: str, timeout_s: float = 60.0) -> None:
    end_s = time.monotonic() + timeout_s
    while marked(mark):
        assert time.monotonic() < end_s, f"still there after {timeout_s} s: {marked(mark)}"
        time.sleep(0.02)


def begin(start, path: Path, workers: int = 2):
    """A run of many rounds that has got through at least two of them. -> its process and its mark"""
    mark = uuid.uuid4().hex
    process = start("--case", path, "--run", "mine", "--workers", workers, *ROUNDS, "--out", "w.st", **{MARK: mark})
    assert process.stdout.readline().startswith("round   1/")
    assert process.stdout.readline().startswith("round   2/")
    assert len(marked(mark)) == 1 + min(workers, num_processes())
    return process, mark


ROUNDS = ("--rounds", 60)
CALM: list[bytes] = []  # what `undisturbed` made, once


@pytest.fixture
def undisturbed(train, case_file) -> bytes:
    """The weights of the same run, never interrupted."""
    if not CALM:
        argv = ("--case", make(case_file), "--run", "mine", "--workers", 2, "--processes", 0, *ROUNDS)
        assert train(*argv, "--store", "calm", "--out", "calm.st").code == 0
        CALM.append(Path("calm.st").read_bytes())
    return CALM[0]


def make(case_file) -> Path:
    path: Path = case_file(num_train=6000, layer="nn.Tanh(), nn.Dropout(0.1)")
    return path


def test_control_c_stops_every_worker_and_says_how_to_go_on(start, train, case_file, undisturbed):
    process, mark = begin(start, make(case_file))
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does: everybody in the group gets it
    _, err = process.communicate(timeout=120)
    assert marked(mark) == []
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert not Path("w.st").exists()
    last = err.splitlines()[-1]
    where = f"--store {shlex.quote(str(Path('.nnlite').absolute()))} --out {shlex.quote(str(Path('w.st').absolute()))}"
    assert last == f"interrupted: go on with python -m tools.train --resume mine {where}"
    assert sorted(Path(".nnlite/runs/mine/ckpt").iterdir())
    go_on_elsewhere(last, train, undisturbed)


def go_on_elsewhere(line: str, train, undisturbed: bytes) -> None:
    """Run a line that says how to go on, in another folder."""
    home = Path.cwd()
    Path("elsewhere").mkdir()
    os.chdir("elsewhere")
    try:
        resumed = train(*shlex.split(line.partition("tools.train ")[2]))
    finally:
        os.chdir(home)
    assert resumed.code == 0, resumed.err
    assert Path("w.st").read_bytes() == undisturbed


def test_the_impatient_press_it_twice(start, case_file):
    process, mark = begin(start, make(case_file))
    process.send_signal(signal.SIGINT)
    time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode in {130, -signal.SIGINT}, err  # the latter when Python was ending already
    until_gone(mark)


def test_kill_9_of_the_command(start, train, case_file, undisturbed):
    """Nothing of it can tidy up: workers end as their pipe closes, and the run can be taken up all the same."""
    process, mark = begin(start, make(case_file))
    process.kill()
    process.wait(timeout=180)
    until_gone(mark)
    assert train("--resume", "mine", "--out", "w.st", "--processes", 1).code == 0
    assert Path("w.st").read_bytes() == undisturbed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_docker_stop_slurm_and_a_lost_terminal_end_it_as_control_c_does(start, train, case_file, undisturbed, number):
    """The workers and the run are stopped, and it is said how to go on; the exit code tells which signal it was."""
    process, mark = begin(start, make(case_file))
    process.send_signal(number)
    process.send_signal(number)  # a second one does not disturb the tidying up
    _, err = process.communicate(timeout=180)
    assert process.returncode == 128 + number, err
    assert "Traceback" not in err
    assert marked(mark) == []
    head = Head.from_json(FileStore(".nnlite").get(Keys("mine").head).data, Keys("mine").head)
    assert (head.status, head.reason) == (STOPPED, "interrupted")
    go_on_elsewhere(err.splitlines()[-1], train, undisturbed)


HOST = """
import os, signal, sys
from nnlite.commands import door
from nnlite.commands.progress import ProgressLines
def told(self, event, values):
    if event == "round":
        os.kill(os.getpid(), signal.SIGTERM)
ProgressLines.tell = told
code = door.main(sys.argv[1:])
print("goes on after", code)
"""


def test_a_process_that_runs_a_command_besides_hears_its_own_signals(case_file):
    """A notebook, a test run: the command does not take the signal that was meant for the process."""
    argv = ("train", "--case", make(case_file), "--processes", 0, *ROUNDS, "--out", "w.st")
    line = [sys.executable, "-c", HOST, *map(str, argv)]
    done = subprocess.run(line, check=False, capture_output=True, text=True, timeout=180)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, ""), done.stderr


def test_a_signal_that_is_ignored_stays_ignored(start, case_file):
    """As SIGHUP is under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process, _ = begin(start, make(case_file))
    finally:
        signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    assert process.stdout.readline().startswith("round   3/")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=180)
    assert process.returncode == 143


def test_a_worker_killed_under_the_command(start, case_file, undisturbed):
    """It says so, starts another one, and the weights are the same."""
    process, mark = begin(start, make(case_file))
    workers = [pid for pid in marked(mark) if pid != process.pid]
    os.kill(workers[-1], signal.SIGKILL)
    _, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    assert "is gone: started again (attempt 2)" in err
    assert Path("w.st").read_bytes() == undisturbed
    until_gone(mark)


def test_where_the_store_is_belongs_to_how_to_go_on(start, train, case_file):
    mark = uuid.uuid4().hex
    argv = ("--case", make(case_file), "--run", "mine", *ROUNDS, "--store", "a store", "--processes", 0)
    process = start(*argv, **{MARK: mark})
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    last = err.splitlines()[-1]
    store = shlex.quote(str(Path("a store").absolute()))
    assert last == f"interrupted: go on with python -m tools.train --resume mine --store {store} --processes 0"
    assert train(*shlex.split(last.partition("tools.train ")[2]), "--dry-run").code == 0


def test_a_run_that_was_done_before_its_weights_were_written(train, case_file, monkeypatch):
    """The command died, or its disk was full, between the run's end and the file."""
    argv = ("--case", case_file(), "--processes", 0, "--rounds", 1)
    assert train(*argv, "--run", "calm").code == 0

    def full(path, model):
        raise StoreError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(model_file, "save", full)
        assert train(*argv, "--run", "mine").code == 1
    done = train("--resume", "mine")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("test accuracy ")
    assert (load_file("mine.safetensors").vector == load_file("calm.safetensors").vector).all()
    assert "nothing to resume" in train("--resume", "mine").err


def test_the_lines_of_downpour_count_rounds_also_when_resumed(case_file, train):
    argv = ("--case", case_file(), "--protocol", "downpour", "--push-every", 1, "--processes", 0, "--run", "mine")
    assert train(*argv, "--rounds", 2).code == 0
    spec = read_spec(FileStore(".nnlite"), "mine")
    for steps, sums in ((None, 120), (3, 30), (30, 300)):
        assert samples_per_round(replace(spec, steps_per_round=steps)) == sums
    assert spec.rules.rounds_made(spec, Head(round=57, applied=(57,), steps=(24,))) == 2
    averaging = replace(spec, protocol="averaging", eval_every=1)
    assert averaging.rules.rounds_made(averaging, Head(round=5)) == 5
