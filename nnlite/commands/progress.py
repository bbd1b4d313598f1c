"""How a command shows a run while it goes on."""

from __future__ import annotations

from nnlite.api import progress
from nnlite.commands.json_lines import say
from nnlite.commands.terminal import unguarded_stderr
from nnlite.protocol.records.spec import RunSpec


class ProgressLines(progress.Progress):
    """A bar on a terminal, lines in a pipe; `as_json`: objects for programs."""

    def __init__(self, spec: RunSpec, first_round: int, as_json: bool):
        super().__init__(spec, first_round, say if as_json else None, bar_on=unguarded_stderr())
