"""`--out`: where the weights go, and how they are had again when they could not be written."""

import os
import shlex
import stat
import threading
from pathlib import Path

import pytest

from nnlite import weights
from nnlite.store.file import FileStore


def test_links_and_pipes_take_the_weights_and_stay(train, case_file):
    argv = ("--case", case_file(), "--processes", 0, "--rounds", 1, "--seed", 3)
    Path("far").mkdir()
    Path("far/w.st").write_bytes(b"old")
    Path("far/w.st").chmod(0o664)
    os.symlink("far/w.st", "link.st")
    os.mkfifo("pipe.st")
    assert train(*argv, "--run", "one", "--out", "link.st").code == 0
    assert Path("link.st").is_symlink()
    assert stat.S_IMODE(os.stat("far/w.st").st_mode) == 0o664

    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(Path("pipe.st").read_bytes()))
    reader.start()
    assert train(*argv, "--run", "two", "--out", "pipe.st").code == 0
    reader.join()
    assert stat.S_ISFIFO(os.lstat("pipe.st").st_mode)
    assert (weights.decode(read[0]).vector == weights.load("far/w.st").vector).all()


@pytest.mark.parametrize("name", ["x" * 256, "no/such/w.st", "loop"])
def test_nothing_is_trained_for_a_file_that_cannot_be(train, case_file, name):
    os.symlink("loop", "loop")
    done = train("--case", case_file(), "--processes", 0, "--run", "mine", "--out", name)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.startswith(f"error: --out {name} cannot be written: ")
    assert not Path(".nnlite").exists()


def test_weights_that_did_not_fit_are_fetched_by_the_command_that_is_said(train, case_file, small_disk):
    path = case_file(layer="nn.Tanh(), nn.Dense(90000), nn.Tanh()")
    old = small_disk / "w.st"
    old.write_bytes(b"old")
    done = train("--case", path, "--rounds", 0, "--processes", 0, "--out", old, "--run", "mine")
    last = done.err.splitlines()[-1]
    assert done.code == 1
    assert f"to {old}: No space left on device" in last
    assert old.read_bytes() == b"old"
    fetching = last.partition("; the weights stay in the store: python -m tools.train ")[2]
    assert fetching.endswith("--resume mine")
    assert f"--out {old}" in fetching
    os.remove(old)
    os.symlink(os.path.abspath("elsewhere.st"), old)  # somebody has made room
    Path("elsewhere.st").write_bytes(b"of another run")
    assert train(*shlex.split(fetching)).code == 0
    assert len(weights.load(old).vector) > 90_000
    assert FileStore(".nnlite").get("runs/mine/head.json")
