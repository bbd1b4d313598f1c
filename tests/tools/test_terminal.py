"""What stands in a store, a server's answer or a file steers no terminal: commands show it as text."""

import io
import json
from dataclasses import replace

import pytest

from nnlite.commands import door
from nnlite.commands.terminal import AsText, shown
from nnlite.protocol.records.head import FAILED, Head
from nnlite.protocol.records.keys import Keys
from nnlite.runs import lifecycle
from nnlite.store.file import FileStore
from tests.runtime import small

EVIL = "\x1b[2J\x1b]0;title\x07 \x9b31m \u202efdp.exe\u2066 \r\x00\x7f\x08gone"
ROWS = small.dataset()


@pytest.fixture
def hostile(tmp_path):
    """A run `first` whose texts are all somebody else's, and one `second` that is sound but failed of such a reason."""
    store = FileStore(tmp_path / "s")
    spec = replace(small.spec(ROWS, 1, 3), run="first", case=EVIL)
    spec = replace(spec, data=replace(spec.data, name="plain"))
    lifecycle.begin(store, store, spec, ROWS)
    text = json.loads(store.get(Keys("first").spec).data)
    text["data"]["name"] = text["tariff"] = EVIL
    text["tariff"] = {"date": EVIL, "region": EVIL}
    store.put(Keys("first").spec, json.dumps(text).encode())
    other = replace(small.spec(ROWS, 1, 3), run="second")
    lifecycle.begin(store, store, other, ROWS)
    for run in ("first", "second"):
        store.put(Keys(run).head, Head(1, FAILED, f"{EVIL}\nforged line", counter=3).to_json(Keys(run).head))
    store.put(f"runs/{'third'}/spec.json", EVIL.encode())
    return store


@pytest.mark.parametrize(
    "argv",
    [
        ("status",), ("status", "--json"), ("status", "first"), ("status", "second"), ("stop", "--all"),
        ("stop", "first"),
        ("train", "--resume", "first", "--dry-run"), ("train", "--resume", "first", "--processes", "0"),
        ("train", "--resume", EVIL), ("train", "--case", EVIL), ("report", "first"), ("report", "second"),
        ("tune", "--resume", "first"), ("data", "check", EVIL),
    ],
    ids=lambda argv: " ".join(argv[:2])[:16].encode("unicode_escape").decode(),
)  # fmt: skip
def test_no_command_prints_what_a_terminal_would_obey(argv, hostile, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    where = () if argv[0] == "data" else ("--store", hostile.url)
    door.enter(argv[0], [*argv[1:], *where])
    out, err = capfd.readouterr()
    assert out + err != ""
    for letter in (out + err).replace("\n", "").replace("\t", ""):
        assert letter.isprintable(), repr(letter)
    assert "forged line" not in [line.strip() for line in (out + err).splitlines()]


def test_a_reason_is_seen_as_text(hostile, capfd):
    door.enter("status", ["second", "--store", hostile.url])
    assert "\\x1b[2J\\x1b]0;title\\x07" in capfd.readouterr().out


def test_what_is_no_control_character_stays():
    text = "λ ∂ 漢字 é\tnew\nline"
    assert shown(text) == text
    stream = AsText(io.StringIO())
    stream.writelines(["a\x1b", "b\n"])
    assert stream.getvalue() == "a\\x1bb\n"
