"""How a search is shown while it goes on: a leaderboard on a terminal, lines in a pipe, objects for machines."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from nnlite.api.progress import News
from nnlite.commands.json_lines import say
from nnlite.commands.terminal import in_line, unguarded_stderr
from nnlite.errors import message
from nnlite.protocol.search.result import OK, Result, leaderboard
from nnlite.protocol.search.spec import SearchSpec

SHOWN = 5  # of the leaderboard, while it goes on


class Leaderboard:
    """Tells of every result as it comes, and which trial is ahead."""

    def __init__(self, search: SearchSpec, configurations: Sequence[dict[str, Any]], as_json: bool):
        self.search, self.configurations, self.as_json = search, configurations, as_json
        self.results: dict[tuple[int, int], Result] = {}
        self.seconds = self.usd = 0.0  #: of all jobs that are done
        self._live = not as_json and sys.stderr.isatty()
        self._news = News("search")
        self._num_lines = 0  #: of the leaderboard that stands on the terminal

    def tell(self, event: str, values: dict[str, Any]) -> None:
        """Take in an event of the search (a `performer.Teller`)."""
        if event == "trial":
            self._trial(values)
        elif (line := self._news.line(event, values)) is not None:
            self._say(line)

    def close(self) -> None:
        """The search is over."""
        self._wipe()

    def rows(self, ranking: Sequence[Result]) -> list[str]:
        """The leaderboard, a line each."""
        lines = ["rank  trial  rounds  validation accuracy  validation loss  configuration"]
        for rank, result in enumerate(ranking, 1):
            score = f"{result.accuracy:19.4f}  {result.loss:15.4f}" if result.status == OK else f"{result.status:>36}"
            shown = configuration(self.configurations[result.trial])
            lines.append(f"{rank:>4}  {result.trial:>5}  {result.rounds:>6}  {score}  {shown}")
        return lines

    @property
    def num_rounds(self) -> int:
        """Rounds of training, in all trials together."""
        return sum(self.search.ladder.added(rung) for _, rung in self.results)

    def _trial(self, values: dict[str, Any]) -> None:
        result = Result(**{f.name: values[f.name] for f in fields(Result)})
        self.results[result.key] = result
        self.seconds += values["seconds"]
        self.usd += values["usd"]
        if self.as_json:
            say("trial", **values, configuration=self.configurations[result.trial])
            return
        self._wipe()
        print(self._line(result, values["seconds"]), flush=True)
        self._draw()

    def _line(self, result: Result, seconds: float) -> str:
        ladder, best = self.search.ladder, leaderboard(self.results)[0]
        score = (
            f"validation accuracy {result.accuracy:.4f}"
            if result.status == OK
            else f"{result.status}: {in_line(result.reason)}"
        )
        ahead = f"  best {best.accuracy:.4f} (trial {best.trial})" if best.status == OK else ""
        rung = f"  rung {result.rung + 1}/{ladder.top + 1}" if ladder.top else ""
        return f"trial {result.trial:>3}{rung}  {result.rounds:>3} rounds  {score}  {seconds:.1f} s{ahead}"

    def _draw(self) -> None:
        """The first few of the leaderboard, at the foot of a terminal."""
        if self._live:
            width = shutil.get_terminal_size().columns - 1  # a line that wraps is more than one to wipe
            lines = [line[:width] for line in self.rows(leaderboard(self.results)[:SHOWN])]
            print("\n".join(lines), file=sys.stderr, flush=True)
            self._num_lines = len(lines)

    def _wipe(self) -> None:
        if self._num_lines:
            print(f"\x1b[{self._num_lines}F\x1b[J", end="", file=unguarded_stderr(), flush=True)
            self._num_lines = 0

    def _say(self, line: str) -> None:
        self._wipe()
        print(message(line), file=sys.stderr, flush=True)


def configuration(values: dict[str, Any]) -> str:
    """A configuration on one line, numbers to four digits."""
    return "  ".join(f"{name} {_short(value)}" for name, value in values.items())


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-".join(map(_short, value)) if isinstance(value, list) else str(value)
