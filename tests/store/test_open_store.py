"""open_store: which URL opens what."""

import subprocess
import sys
from pathlib import Path

import pytest

from nnlite import store as stores
from nnlite.errors import UsageError
from nnlite.store import open_store
from nnlite.store.file import FileStore
from nnlite.store.memory import MemoryStore

from .contract import REPOSITORY


def test_schemes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert type(open_store("memory://")) is MemoryStore
    for url in (f"file://{tmp_path}/s", f"{tmp_path}/s", "s", "./s", "s/", f"file://{tmp_path}/s/"):
        store = open_store(url)
        assert type(store) is FileStore
        assert store.url == f"file://{tmp_path}/s"


def test_a_relative_path_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("s")
    monkeypatch.chdir("/")
    store.put("a", b"one")
    assert (tmp_path / "s" / "a").read_bytes() == b"one"


@pytest.mark.parametrize("name", ["with space", "100%", "%41", "ä", "a#b?c", "a:b"])
def test_any_path_survives_its_url(name: str, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / name))
    store.put("a", b"one")
    assert open_store(store.url).get("a").data == b"one"
    assert (tmp_path / name / "a").exists()


@pytest.mark.parametrize("url", ["ftp://host/x", "S3://bucket", "://x", "", "memroy://"])
def test_an_unknown_scheme_lists_the_known_ones(url: str) -> None:
    with pytest.raises(UsageError, match=r"expected a path, or a URL with one of file://, .*memory://"):
        open_store(url)


@pytest.mark.parametrize("url", ["file://", "file://relative/path", "file://host/path", "file:///a%00b", "a\0b"])
def test_a_malformed_file_url_shows_a_right_one(url: str) -> None:
    with pytest.raises(UsageError, match="expected file:///absolute/path"):
        open_store(url)


def test_every_scheme_in_the_table_can_be_loaded() -> None:
    for where in stores._CLASSES.values():
        module, name = where.split(":")
        assert issubclass(getattr(__import__(module, fromlist=[name]), name), stores.Store)


def test_opening_files_loads_no_client_and_no_numpy(tmp_path: Path) -> None:
    code = (
        "import sys; from nnlite.store import open_store; open_store(sys.argv[1]).put('a', b'')\n"
        "print({'numpy', 'boto3', 'pymemcache', 'nnlite.store.memory'} & sys.modules.keys())"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    printed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert printed == "set()\n"


@pytest.mark.parametrize(
    "url",
    ["s3://KEY:secret@bucket/x", "s3://bucket/x?endpoint=http://me:secret@host:1", "memcached://me:secret@host:1/x",
     "s3://bucket/x?endpoint=http%3A%2F%2Fme:secret%40host"],
)  # fmt: skip
def test_a_secret_in_a_url_is_refused_and_not_repeated(url):
    with pytest.raises(UsageError, match="password") as caught:
        open_store(url)
    assert "secret" not in str(caught.value)
