"""The command `tools.data`, run as a person runs it, and what all commands have in common."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nnlite.commands import data as tool
from nnlite.commands.program import run
from nnlite.data import catalog, download
from nnlite.data.entries import ENTRIES
from nnlite.errors import DataError, DataNotFound, UsageError

REPOSITORY = Path(__file__).parents[2]


def command(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "tools.data", *arguments],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=180, check=False, **options,
    )  # fmt: skip


def test_list_names_every_dataset_and_where_it_is():
    done = command("list", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, "")
    assert [row["name"] for row in rows] == list(catalog.names())
    found = {row["name"] for row in rows if row["found"]}
    assert found == {"bits", "fashion-sample"}
    assert len(command("list").stdout.splitlines()) == len(rows)


def test_check_says_what_a_dataset_holds():
    done = command("check", "fashion-sample", "--json")
    facts = json.loads(done.stdout)
    assert (facts["train"], facts["test"], facts["shape"]) == (6000, 1000, [1, 28, 28])
    assert facts["train_rows_per_class"] == [600] * 10
    assert facts["digest"] == catalog.load("fashion-sample").digest()
    assert facts["digest"] in command("check", "fashion-sample").stdout


def test_show_draws_upright(tmp_path):
    done = command("show", "fashion-sample", "--index", "0", "--test")
    title, *lines = done.stdout.splitlines()
    assert title == "fashion-sample test 0: Ankle boot"
    assert len(lines) == 28
    assert sum(map(len, "".join(lines[16:24]).split())) > 2 * sum(map(len, "".join(lines[:8]).split()))
    assert set(command("show", "bits").stdout.splitlines()[1]) == {"+", "-"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("check", "nothing"), 2, "mnist, fashion-mnist"),
        (("show", "bits", "--index", "40000"), 2, "39999"),
        (("fetch", "bits"), 2, "needs no download"),
        (("check", "mnist", "--data", "/nowhere"), 1, "train-images-idx3-ubyte.gz"),
    ],
)
def test_errors_are_one_line_on_stderr(arguments, code, words):
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert "Traceback" in command(*arguments, "--debug").stderr
    assert "Traceback" in command("--debug", *arguments).stderr


@pytest.mark.parametrize("arguments", [(), ("draw",), ("check",), ("show", "bits", "--index", "x")])
def test_a_command_line_that_cannot_be_meant_is_2(arguments):
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("word", ["", "list", "check", "fetch", "show"])
def test_help_ends_with_an_example(word):
    done = command(*word.split(), "--help")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-2] == "example:"
    example = done.stdout.splitlines()[-1].split()
    assert example[:3] == ["python", "-m", "tools.data"]
    tool._parser().parse_args(example[3:])


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_is_no_error(unbuffered):
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.data", "list"], cwd=REPOSITORY, stdout=write, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )  # fmt: skip
    os.close(write)
    assert process.communicate(timeout=180)[1] == b""
    assert process.returncode == 0


def test_fetch_downloads_once_to_the_cache_and_says_where(tmp_path, monkeypatch, capsys):
    fetched = []

    def fake(urls, target, md5, *, progress):
        fetched.append(target.name)
        progress(1_000_000, 2_000_000)
        progress(2_000_000, 2_000_000)

    monkeypatch.setattr(download, "fetch", fake)
    assert run(tool.main, tool._parser(), ["fetch", "all", "--cache", str(tmp_path), "--json"]) == 0
    out, err = capsys.readouterr()
    folders = {json.loads(line)["folder"] for line in out.splitlines()}
    assert folders == {str(tmp_path / name) for name in ("mnist", "fashion-mnist", "cifar10", "emnist")}
    assert sorted(fetched) == sorted([r.name for n in ("mnist", "fashion-mnist", "cifar10", "emnist-digits")
                                      for r in ENTRIES[n].resources])  # fmt: skip
    assert "gzip.zip: 2.0 of 2.0 MB" in err
    assert err.count("gzip.zip") <= 2


def ending(error: BaseException | None) -> int:
    def main(_: argparse.Namespace) -> int:
        if error is not None:
            raise error
        return 0

    return run(main, argparse.ArgumentParser(), [])


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (None, 0, ""),
        (UsageError("no"), 2, "error: no\n"),
        (DataError("two\nlines"), 1, "error: two lines\n"),
        (DataNotFound("gone"), 1, "error: gone\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (ZeroDivisionError("oh"), 1, "error: ZeroDivisionError: oh (unexpected: --debug shows where)\n"),
        (
            BrokenPipeError("of a socket"),
            1,
            "error: BrokenPipeError: of a socket (unexpected: --debug shows where)\n",
        ),
    ],
)
def test_how_a_command_ends(error, code, said, capsys):
    assert ending(error) == code
    assert capsys.readouterr() == ("", said)


def test_debug_shows_the_error_itself():
    def main(_: argparse.Namespace) -> int:
        raise DataError("x")

    with pytest.raises(DataError):
        run(main, argparse.ArgumentParser(), ["--debug"])
