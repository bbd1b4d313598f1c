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
from nnlite.store.options import read_options

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


SECRET = [
    "s3://KEY:secret@bucket/x",
    "s3://bucket/x?endpoint=http://me:secret@host:1",
    "s3://bucket/x?endpoint=http%3A%2F%2Fme:secret%40host",
    "s3://bucket/x?endpoint=http://me:sec/secret@host:1",
    "s3://bucket/x?cache=memcached://me:secret@host/x",
    "memcached://me:secret@host:1/x",
    "memcached://me:secret/or@host",
    "memcached://me:or/secret@host",
    "memcached://secret@host/x",
    "memcached://me:or%2Fsecret%40host/x",
]


@pytest.mark.parametrize("url", SECRET)
def test_a_secret_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="a user or a password") as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


NO_URL = [
    "memcached://[::1/x",
    "memcached://[::1]x/y",
    "memcached://[::g]/x",
    "memcached://h\u2100st/x",
    "memcached://ho\nst/x",
    "memcached://ho\x1bst/x",
    "memcached://a..b/x",
    "memcached://-a/x",
    "memcached://" + "a" * 64 + "/x",
    "memcached://" + "a." * 127 + "a/x",
    "memcached://host:0/x",
    "memcached://host:65536/x",
    "memcached://host:\u0661/x",
    "memcached://host,,other/x",
    "memcached://host/x?timeout_s=1e300",
    "memcached://host/x?timeout_s=1e-9",
    "memcached://host/x?timeout_s=nan",
    "memcached://host/x?attempts=0",
    "memcached://host/x?attempts=" + "9" * 5000,
    "memcached://host/x?attempts=2&attempts=3",
    "memcached://host/x?timeout_s=1&timeout_s=1",
    "memcached://host/x?password=secret",
    "memcached://host/x?timeout_s=5&me:secret@host",
    "memcached://me:secret?or@host/x",
    "memcached://me:secret#or@host/x",
    "s3://[bucket/x",
    "s3://b\u2100cket/x",
    "s3://bucket/x?connect_timeout_s=1e300",
    "s3://bucket/x?endpoint=http://[::1/",
    "s3://bucket/x?endpoint=http://a..b/",
    "s3://bucket/x?endpoint=http://host:99999",
    "s3://bucket/x?endpoint=http://me:secret",
    "s3://bucket/x?endpoint=http://host?me:secret",
    "memory:/x://secret@x",
    "file://me:secret@host/x",
    *(
        f"{url}{mark}secret"
        for url in ("file:///x", "memory://x", "s3://bucket/x?cache=file:///x")
        for mark in ("?password=", "?", "#")
    ),
    *(
        f"{url}{mark}secret"
        for url in ("s3://bucket/x", "memcached://host/x")
        for mark in ("?password=", "?", "#", ";", ";password=", "%3Fpassword=", "%23", "?attempts=3&", "?attempts=3#")
    ),
    "memory://?password=secret",
    "s3://bucket#secret/x",
    "s3://bucket/x?endpoint=http://host%23secret",
    "s3://bucket/x?cache=memory://x%3Fpassword%3Dsecret",
    "FILE:///x?password=secret",
]


@pytest.mark.parametrize("url", NO_URL)
def test_what_cannot_be_meant_is_one_line_without_a_secret(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_store(url)
    text = str(caught.value)
    assert text.isprintable(), text
    assert "secret" not in text
    assert len(text) < 500


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("memcached://HOST/x", "memcached://host:11211/x"),
        ("memcached://b,A:1/x", "memcached://a:1,b:11211/x"),
        ("memcached://[0:0::1]:5/x", "memcached://[::1]:5/x"),
        ("memcached://under_score.svc.cluster.local./x", "memcached://under_score.svc.cluster.local.:11211/x"),
        ("s3://bucket/of@team/x", "s3://bucket/of%40team/x"),
        ("s3://bucket/x?cache=file:///tmp/a:b@c", "s3://bucket/x?cache=file:///tmp/a:b@c"),
    ],
)
def test_what_names_the_same_place_has_the_same_url(url: str, same: str) -> None:
    assert open_store(url).url == open_store(same).url == same


def test_a_question_mark_in_the_url_of_a_path_is_escaped(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no options: leave them out; in a path, write [?] as %3F"):
        open_store(f"file://{tmp_path}/a?b")
    assert open_store(f"file://{tmp_path}/a%3Fb").url == f"file://{tmp_path}/a%3Fb"


def test_a_path_may_have_what_a_url_may_not(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/of:me@home")
    store.put("a", b"one")
    assert (tmp_path / "of:me@home/a").exists()


def test_options_of_a_given_type_are_bounded() -> None:
    assert read_options("u", "a_s=86400&n=2", {"a_s": 1.0, "n": 1}) == {"a_s": 86400.0, "n": 2}
