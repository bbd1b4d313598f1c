"""Each command that prints what somebody else has written, fed with it: the guard alone keeps it from the terminal, as
the same command without the guard shows."""

import contextlib
import json
from dataclasses import replace

import pytest

from nnlite.api.progress import Progress
from nnlite.commands import door, program
from nnlite.commands.leaderboard import Leaderboard
from nnlite.protocol.records.head import FAILED, Head
from nnlite.protocol.records.keys import Keys
from nnlite.runs import lifecycle
from nnlite.store.file import FileStore
from tests.runtime import small

EVIL = "\x1b[2Jgone"
ROWS = small.dataset()
SPACE = f"""
from nnlite.space import Choice, Space
EVIL = {EVIL!r}
case = cases.Case(
    EVIL, EVIL, rows, lambda s, k, kind="": network(s, k), nn.SGD(0.1), 10, 1, space=Space(kind=Choice(EVIL))
)
"""


@pytest.fixture
def hostile(tmp_path):
    """A store with a run of hostile texts that has failed for a hostile reason."""
    store = FileStore(tmp_path / "s")
    lifecycle.begin(store, store, replace(small.spec(ROWS, 1, 3), run="mine", case=EVIL), ROWS)
    text = json.loads(store.get(Keys("mine").spec).data)
    text["data"]["name"] = EVIL
    store.put(Keys("mine").spec, json.dumps(text).encode())
    store.put(Keys("mine").head, Head(1, FAILED, EVIL, counter=3).to_json(Keys("mine").head))
    return store


@pytest.fixture
def printed(hostile, capfd, monkeypatch):
    """printed(guard, *argv): what a command prints, with or without the guard."""

    def call(guard, *argv):
        capfd.readouterr()
        with monkeypatch.context() as changed:
            if not guard:
                changed.setattr(program, "guarded", contextlib.nullcontext)
            door.enter(argv[0], [*map(str, argv[1:]), "--store", hostile.url])
        return "".join(capfd.readouterr())

    return call


def check(with_guard, without):
    """Shown as text with it; raw without it."""
    assert "\\x1b[2Jgone" in with_guard
    assert "\x1b" not in with_guard
    assert "\x1b[2Jgone" in without


@pytest.mark.parametrize("argv", [("status", "mine"), ("train", "--resume", "mine", "--dry-run")], ids=" ".join)
def test_of_a_run(argv, printed):
    check(printed(True, *argv), printed(False, *argv))


TUNE = ("--trials", 1, "--rounds", 1, "--parallel", 1, "--processes", 0, "--sampler", "random")


@pytest.mark.parametrize("more", [(), ("--dry-run",)], ids=["results", "plan"])
def test_of_a_search_and_of_one_that_goes_on(more, case_file, printed):
    """Names of cases, and the values of a configuration, first from a case file, then from the store."""
    path = case_file(layer="nn.ReLU()", more=SPACE)
    new = [printed(guard, "tune", "--case", path, "--search", f"s{guard:d}", *TUNE, *more) for guard in (True, False)]
    check(*new)
    printed(True, "tune", "--case", path, "--search", "found", *TUNE)
    check(*[printed(guard, "tune", "--resume", "found", *more) for guard in (True, False)])


TOLD = [("unavailable", "message"), ("uncleaned", "reason"), ("unsaved", "reason")]


@pytest.mark.parametrize("event", TOLD, ids=str)
@pytest.mark.parametrize("kind", ["run", "search"])
def test_what_workers_and_stores_say_needs_no_guard_as_python_has_none(kind, event, capfd):
    told = Progress(small.spec(ROWS, 1, 3)) if kind == "run" else Leaderboard(None, [], False)
    told.tell(event[0], {event[1]: EVIL})
    said = "".join(capfd.readouterr())
    assert "\\x1b[2Jgone" in said
    assert "\x1b" not in said
