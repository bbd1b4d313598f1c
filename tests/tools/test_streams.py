"""Standard streams that are closed: the command does its work, and says nothing where nobody listens."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

SMALL = ("--case", "c", "--dataset", "fashion-sample", "--rounds", 1, "--steps-per-round", 2, "--workers", 2)


def shell(redirections: str, *argv: object) -> subprocess.CompletedProcess[str]:
    """A command of ours as a shell starts it."""
    line = f"exec {shlex.join([sys.executable, '-m', *map(str, argv)])} {redirections}"
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("redirections", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_run_is_trained_whatever_is_closed(redirections):
    done = shell(redirections, "tools.train", *SMALL, "--out", "w.st", "--json")
    assert done.returncode == 0, done.stderr
    assert Path("w.st").stat().st_size > 1000
    assert "Traceback" not in done.stderr
    if ">&-" in redirections.replace("2>&-", ""):
        assert done.stdout == ""
    else:
        assert [json.loads(line)["event"] for line in done.stdout.splitlines()] == ["round", "result"]


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("tools.status",), 0), (("tools.data", "list"), 0), (("tools.train",), 2), (("tools.status", "nobody"), 1),
        (("tools.train", "--help"), 0), (("nnlite", "--version"), 0), (("nnlite",), 2),
        (("tools.stop", "--nothing"), 2),  (("tools.deploy", "--platform", "nowhere"), 2),
    ],
)  # fmt: skip
def test_the_exit_code_is_the_same_with_all_of_them_closed(argv, code):
    assert shell("<&- >&- 2>&-", *argv).returncode == code
