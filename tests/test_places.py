"""Places: one function finds home, one the cache; without a home one line says what to set, and nothing is made."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

import nnlite
import nnlite.data
from nnlite import output, places
from nnlite.errors import NnliteError, UsageError
from nnlite.store import open_store

ROOT = Path(__file__).parents[1]
STRANGER = 54_321  # a user's number that no list has


@pytest.fixture
def nowhere(monkeypatch):
    """A user without HOME, and without an entry in the system's list."""

    def unknown(number):
        raise KeyError(number)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


def test_home_is_what_the_environment_says_else_the_list_of_users(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert places.home() == Path("/somewhere")
    listed = Path(pwd.getpwuid(os.getuid()).pw_dir)
    monkeypatch.setenv("HOME", "")  # says nothing: it is not the root folder, nor this one
    assert places.home() == listed
    monkeypatch.delenv("HOME")
    assert places.home() == listed


def test_the_cache_is_where_it_should_be(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert places.cache() == Path("/somewhere/.cache/nnlite")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert places.cache() == Path("/elsewhere/nnlite")
    monkeypatch.setenv("XDG_CACHE_HOME", "~/mine")  # as an ENV line of a Dockerfile leaves it
    assert places.cache() == Path("/somewhere/mine/nnlite")


@pytest.mark.parametrize(
    ("name", "value"),
    [("HOME", "~"), ("HOME", "here"), ("XDG_CACHE_HOME", "here"), ("XDG_CACHE_HOME", "~nobody-at-all")],
)
def test_a_folder_that_would_follow_the_shell_around_is_refused(name, value, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=rf"{name}={value}|no user 'nobody-at-all'"):
        places.cache()


def test_a_tilde_is_replaced_as_a_shell_would(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    root = Path(pwd.getpwnam("root").pw_dir)
    for given, wanted in (
        ("~", "/somewhere"),
        ("~/a/b", "/somewhere/a/b"),
        ("a/~/b", "a/~/b"),
        ("/a", "/a"),
        ("", "."),
    ):
        assert places.expanded(given) == Path(wanted)
    assert places.expanded("~root/x") == root / "x"
    with pytest.raises(UsageError, match="no user 'nobody-at-all'"):
        places.expanded("~nobody-at-all/x")


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    """A home folder; the command stands in another one."""
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


READERS = {
    "weights": nnlite.load,
    "first weights": lambda path: nnlite.plan("a", init=path),
    "case": lambda path: nnlite.plan(f"{path}.py"),
    "layers": lambda path: nnlite.load("~/m.safetensors", case=f"{path}.py"),
    "prices": lambda path: nnlite.plan("a", prices=path),
    "profile": lambda path: nnlite.simulate("a", workers=[1], profile=path),
    "store": open_store,
    "data": lambda path: nnlite.data.open(f"{path}/x.csv"),
}


@pytest.mark.parametrize("what", READERS)
def test_python_reads_from_home_what_begins_with_a_tilde(what, at_home):
    """As the commands do: what is there but wrong is named by its path in full, or is not called missing."""
    (at_home / "f").write_bytes(b"{}")
    (at_home / "f.py").write_bytes(b"1 / 0")
    with pytest.raises(NnliteError) as refused:
        READERS[what]("~/f")
    said = str(refused.value)
    assert not any(word in said for word in ("No such file", "no case file", "no weights file", "no such")), said
    assert list(Path.cwd().iterdir()) == []


def test_python_writes_to_home_what_begins_with_a_tilde(at_home):
    with open_store("~/runs") as store:
        store.put("a", b"1")
    assert store.url == f"file://{at_home}/runs"
    output.check("~/x")
    output.write("~/x", [b"2"])
    assert (at_home / "x").read_bytes() == b"2"
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("ask", [places.home, places.cache, lambda: places.expanded("~/x")])
def test_without_a_home_one_line_says_what_to_set(ask, nowhere):
    with pytest.raises(UsageError, match="set HOME") as error:
        ask()
    assert "\n" not in str(error.value)


def test_without_a_home_a_cache_of_ones_own_is_enough(nowhere, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert places.cache() == Path("/elsewhere/nnlite")


CHILD = """
import os, sys
sys.path.insert(0, sys.argv[1])
from nnlite.commands.door import enter
enter("data", ["list"])  # imports what is imported late
os.setuid(int(sys.argv[2]))  # only now: the interpreter itself may lie where strangers cannot read
sys.exit(enter("data", ["fetch", "mnist"]))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process as a user without a name")
def test_a_real_user_without_a_name_is_told_and_no_folder_is_made(tmp_path):
    tmp_path.chmod(0o777)
    command = [sys.executable, "-c", CHILD, str(ROOT), str(STRANGER)]
    environ = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n"), "set HOME" in done.stderr) == (2, 1, True), done.stderr
    assert list(tmp_path.iterdir()) == []
