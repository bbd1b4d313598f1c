"""The commands of `tools`, in this process."""

import contextlib
import io
from typing import NamedTuple

from nnlite.commands import door


class Done(NamedTuple):
    code: int
    out: str
    err: str


def call(tool: str, *argv: object) -> Done:
    """Run a command, with its code and what it said; nobody is there to be asked."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _no_terminal():
        code = door.enter(tool, [str(a) for a in argv])
    return Done(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _no_terminal():
    import sys

    before, sys.stdin = sys.stdin, io.StringIO()
    try:
        yield
    finally:
        sys.stdin = before
