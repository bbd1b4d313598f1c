"""Training on S3 servers that are not quite sound: the bytes of a run are those of a sound one, or none is begun."""

import hashlib

import pytest

from nnlite.commands.leaderboard import Leaderboard
from nnlite.commands.progress import ProgressLines
from nnlite.runs import lifecycle
from tests.runtime import small
from tests.s3_proxy import misbehaving
from tests.servers import BUCKET
from tests.tools.test_train_bad_input import check

CASE = ("--case", "c", "--dataset", "fashion-sample", "--workers", 2, "--rounds", 4, "--run", "mine")
RUN = (*CASE, "--steps-per-round", 1, "--batch-size", 8)


@pytest.fixture
def sound(train, tmp_path):
    """A hash of the weights that a run on a sound store ends with."""
    assert train(*RUN, "--processes", 0, "--store", tmp_path / "s", "--out", tmp_path / "sound.st").code == 0
    return digest(tmp_path / "sound.st")


def digest(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def store_at(proxy, name: str) -> str:
    return f"s3://{BUCKET}/{name}?endpoint={proxy.web.url}"


@pytest.mark.parametrize("mode", ["delmd5", "nobulk", "nochk", "nodel", "cut", "flip", "lost", "unq", "weak"])
def test_a_run_on_a_server_that_has_its_ways(mode, train, s3, sound, tmp_path):
    with misbehaving(s3, mode) as proxy:
        done = train(*RUN, "--processes", 0, "--store", store_at(proxy, f"one-{mode}"), "--out", tmp_path / "w.st")
    assert done.code == 0, done.err
    assert digest(tmp_path / "w.st") == sound
    said = [line for line in done.err.splitlines() if "stays in the store" in line]
    assert len(said) == (mode == "nodel"), done.err
    assert all("403 AccessDenied: Nothing is deleted here" in line for line in said)


def test_worker_processes_on_a_server_that_has_all_ways_at_once(start, s3, sound, tmp_path):
    modes = ("nodel", "nochk", "weak", "slow", "c409", "reset", "lost", "cut", "flip")
    with misbehaving(s3, *modes) as proxy:
        process = start(*RUN, "--processes", 2, "--store", store_at(proxy, "all"), "--out", tmp_path / "w.st")
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert digest(tmp_path / "w.st") == sound
    assert err.count("what is no longer needed stays in the store: cannot delete") == 1, err


def test_what_all_workers_tell_is_said_once(capsys):
    told = {"reason": "cannot delete 'a'", "worker": 0, "attempt": 1}
    progress = ProgressLines(small.spec(small.dataset()), 0, as_json=False)
    leaderboard = Leaderboard(None, [], as_json=False)
    for one in (progress, leaderboard):
        one.tell("uncleaned", told)
        one.tell("uncleaned", {**told, "worker": 1})
        assert capsys.readouterr().err == "what is no longer needed stays in the store: cannot delete 'a'\n"


def test_a_server_without_conditional_writes_is_refused_before_anything_is_done(train, s3, tmp_path):
    with misbehaving(s3, "nocond") as proxy:
        done = train(*RUN, "--processes", 0, "--store", store_at(proxy, "nocond"), "--out", tmp_path / "w.st")
        check(done, 1, "ignores If-None-Match", proxy.web.url)
        assert not any("runs/" in request.path or "datasets/" in request.path for request in proxy.asked)


def test_a_run_that_goes_on_is_checked_as_well(train, s3, monkeypatch):
    """Somebody may have put a proxy before the server meanwhile."""

    def interrupted(*_):
        raise KeyboardInterrupt

    with misbehaving(s3, "pass") as proxy:
        with monkeypatch.context() as patch:
            patch.setattr(lifecycle.Driver, "_watch", interrupted)
            assert train(*RUN, "--processes", 0, "--store", store_at(proxy, "again")).code == 130
        assert sum("/checks/" in request.path for request in proxy.asked) == 7  # once a run
    with misbehaving(s3, "noswap") as proxy:
        check(train("--resume", "mine", "--processes", 0, "--store", store_at(proxy, "again")), 1, "ignores If-Match")
