"""Commands that read a specification which somebody else has written into a shared store."""

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nnlite.commands import door
from nnlite.protocol.records.keys import Keys
from nnlite.runs import detached, lifecycle, progress
from nnlite.runtime.workers import read_spec
from nnlite.store.file import FileStore
from tests.runtime import small
from tests.web import Answer, Request, Web

ROWS = small.dataset(12, num_test=6)
STORES = ["checkpoint_store", "data_store"]


@pytest.fixture
def heard() -> list[Request]:
    """What the other server was sent."""
    return []


@pytest.fixture
def evil(heard: list[Request], credentials: None) -> Iterator[str]:
    """A store on a server that waits for requests signed with this user's credentials."""

    def answer(request: Request) -> Answer:
        heard.append(request)
        return Answer(403)

    web = Web(answer)
    yield f"s3://bucket/x?endpoint={web.url}&attempts=1"
    web.close()


def foreign(which: str, url: str) -> FileStore:
    """A store with a running run whose specification names another store."""
    store, of = FileStore(".nnlite"), small.spec(ROWS, 1, 2, run="theirs")
    lifecycle.begin(store, store, of, ROWS)
    of = replace(of, data=replace(of.data, store=url)) if which == "data_store" else replace(
        of, checkpoint_store=url, checkpoint_every=1
    )  # fmt: skip
    store.put(Keys(of.run).spec, of.to_json())
    return store


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("which", STORES)
@pytest.mark.parametrize(
    "line",
    [
        "train --resume theirs --processes 0",
        "train --resume theirs --dry-run",
        "tune --resume theirs --processes 0",
    ],
)
def test_going_on_is_refused_before_anything_is_sent(
    which: str, line: str, evil: str, heard: list[Request], capfd: pytest.CaptureFixture[str]
) -> None:
    foreign(which, evil)
    name, *argv = line.split()
    assert door.enter(name, argv) == 2
    err = capfd.readouterr().err
    flag = "--" + which.replace("_", "-")
    assert err.count("\n") == 1
    trusted = f"if you trust that, say so by {flag} {shlex.quote(evil)}"
    assert f"on another server than file://{Path.cwd()}/.nnlite: {trusted}" in err
    assert heard == []


@pytest.mark.parametrize("which", STORES)
@pytest.mark.parametrize("line", ["status", "status theirs", "report theirs --json", "stop theirs", "stop --all"])
def test_a_look_sends_nothing(which: str, line: str, evil: str, heard: list[Request]) -> None:
    foreign(which, evil)
    name, *argv = line.split()
    door.enter(name, argv)
    assert heard == []


@pytest.mark.parametrize("which", STORES)
def test_a_store_that_is_named_is_opened(
    which: str, evil: str, heard: list[Request], capfd: pytest.CaptureFixture[str]
) -> None:
    foreign(which, evil)
    flag = "--" + which.replace("_", "-")
    assert door.enter("train", ["--resume", "theirs", "--processes", "0", flag, evil]) == 1
    assert "403" in capfd.readouterr().err
    assert heard


def test_the_store_of_shards_that_is_named_is_that_of_the_run(capfd: pytest.CaptureFixture[str]) -> None:
    foreign("data_store", "file:///nowhere/theirs")
    assert door.enter("train", ["--resume", "theirs", "--data-store", "elsewhere"]) == 2
    assert "run theirs has its shards in file:///nowhere/theirs, not in elsewhere" in capfd.readouterr().err


@pytest.mark.parametrize("which", STORES)
def test_who_looks_after_runs_sends_nothing(which: str, evil: str, heard: list[Request]) -> None:
    store, told = foreign(which, evil), list[object]()
    with pytest.raises(lifecycle.UsageError, match="on another server"):
        progress.Nurse().look(store, "theirs", lambda *_: None)
    detached.add(store, "theirs", store.url, read_spec(store, "theirs").sha256)
    detached.add(store, "other", evil, "0" * 64)
    detached.visit(store, lambda *_: None, 0.0, lambda *event: told.append(event))
    assert len(told) == 2
    assert all("on another server" in str(event) for event in told)
    assert heard == []
