"""`tools.train --init FILE`: a run that begins with somebody's weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nnlite
from nnlite.protocol.averaging.contribution import decode
from nnlite.protocol.records.keys import Keys
from nnlite.runs import initial_weights, lifecycle
from nnlite.runtime.workers import read_spec
from nnlite.store import open_store
from nnlite.store.memory import MemoryStore

SMALL = ("--case", "c", "--dataset", "fashion-sample", "--processes", 0)


@pytest.fixture
def trained(train) -> Path:
    """A file of weights of one round, and not those that a seed draws."""
    assert train(*SMALL, "--rounds", 1, "--seed", 5, "--out", "first.st").code == 0
    return Path("first.st")


def weights(path):
    return nnlite.load(path).weights


def test_without_training_they_are_what_they_were(train, trained):
    done = train(*SMALL, "--rounds", 0, "--init", trained, "--out", "same.st")
    assert done.code == 0, done.err
    np.testing.assert_array_equal(weights("same.st"), weights(trained))
    assert train(*SMALL, "--rounds", 0, "--out", "drawn.st").code == 0
    assert not np.array_equal(weights("drawn.st"), weights(trained))


def test_the_same_with_processes_and_from_memcached(train, trained, memcached):
    assert train(*SMALL, "--rounds", 1, "--init", trained, "--out", "here.st").code == 0
    url = f"memcached://127.0.0.1:{memcached.port}/init"
    argv = (*SMALL[:4], "--processes", 1, "--rounds", 1, "--init", trained, "--store", url, "--out", "there.st")
    done = train(*argv, "--optimizer", "adam")
    assert done.code == 0, done.err  # the optimizer's state lies behind the weights, and begins with zeros
    assert not np.array_equal(weights("here.st"), weights("there.st"))


def test_a_run_that_died_at_its_beginning_still_begins_with_them(train, trained):
    """Claimed, but checkpoint 0 was not made yet: whoever resumes makes it of the same file."""
    assert train(*SMALL, "--rounds", 1, "--init", trained, "--run", "one", "--out", "one.st").code == 0
    with open_store(".nnlite") as store:
        spec = replace(read_spec(store, "one"), run="two")
        first = initial_weights.First(trained.read_bytes(), spec.init)
        died = MemoryStore()
        died.put(initial_weights.key(spec), first.data)
        lifecycle.claim(died, spec, "run")
        lifecycle.complete(died, spec)
        key = Keys("two").checkpoint(0)
        made, _ = decode(died.get(key).data, key)
    np.testing.assert_array_equal(made.vector[: weights(trained).size], weights(trained))


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (("--case", "emnist", "--dataset", "fashion-sample", "--init", "first.st"), 2, "first.st"),
        ((*SMALL, "--init", "gone.st"), 2, "gone.st"),
        ((*SMALL, "--init", "damaged.st"), 2, "damaged.st"),
        (("--resume", "r", "--init", "first.st"), 2, "leave --init out"),
    ],
)
def test_what_is_no_beginning_is_refused_in_one_line_and_nothing_is_written(train, trained, argv, code, words):
    data = bytearray(trained.read_bytes())
    data[-5] ^= 1
    Path("damaged.st").write_bytes(data)
    before = sorted(Path(".nnlite").rglob("*"))
    done = train(*argv)
    assert (done.code, done.out) == (code, "")
    assert words in done.err.splitlines()[-1]
    assert "Traceback" not in done.err
    assert sorted(Path(".nnlite").rglob("*")) == before
