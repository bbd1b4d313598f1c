"""How a run is shown while it goes on: a bar on a terminal, a line for every round, or objects for programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

from nnlite.errors import message
from nnlite.protocol.counting import number, samples_per_round
from nnlite.protocol.records.spec import RunSpec


class Progress:
    """Tells of every round, with its loss and with the test accuracy that its weights turned out to have.

    The accuracy of the weights a round made is measured at the beginning of the next round, so a line
    appears one round late. first_round: how many rounds were made before. say: called with the name and the values of
    an object for each line, instead. lines: where the lines of rounds go, stdout by default; what else happens goes to
    stderr, and so does a bar, if that is a terminal. bar_on: the stream for that, where it is not `sys.stderr`.
    """

    def __init__(
        self, spec: RunSpec, first_round: int = 0, say: Callable[..., None] | None = None, lines: TextIO | None = None,
        bar_on: Any = None,
    ):  # fmt: skip
        self.num_rounds, self._as_object, self._lines = spec.num_rounds, say, lines
        self._next = first_round + 1  #: the number of the next line
        # in downpour a checkpoint is no round: a line stands for as many samples as a round has
        self._samples_per_line = 1 if spec.rules.has_rounds else samples_per_round(spec)
        self._last_s = time.monotonic()
        self._sums, self._seen = _Sums(), 0
        self._waiting: dict[str, Any] | None = None  #: the last round, until its accuracy is known
        self._news = News("run")
        self._bar = None if say else _bar(spec.num_rounds, first_round, bar_on)

    def tell(self, event: str, values: dict[str, Any]) -> None:
        """Take in an event of the run (a `performer.Teller`)."""
        if event == "round":
            self._round(values)
        elif event == "evaluated":
            self._evaluation(values)
        elif event == "restored":
            self._say(f"the store has forgotten the run: it goes on from durable checkpoint {values['round']}")
        elif event == "forgotten":
            which = number(values["round"])
            self._say(f"the store has forgotten what a worker contributed to round {which}: made again")
        elif event == "lost":
            self._say(f"an event for worker {values['worker']} was lost ({values['why']}): it is started again")
        elif (line := self._news.line(event, values)) is not None:
            self._say(line)

    def close(self) -> None:
        """The run is over: what is still waiting is said now."""
        self._flush(None)
        if self._bar is not None:
            self._bar.close()

    def _round(self, values: dict[str, Any]) -> None:
        now_s = time.monotonic()
        self._sums.add(values, now_s - self._last_s)
        self._last_s = now_s
        self._seen += values["num_samples"]
        only_scored = values["num_samples"] == 0
        if self._seen >= self._samples_per_line or (only_scored and self._sums.num_samples):
            self._flush(None if only_scored else values["accuracy"])
            self._waiting = {"round": self._next, **self._sums.values()}
            self._sums, self._seen = _Sums(), self._seen % self._samples_per_line
            self._next += 1
            if self._bar is not None:
                self._bar.update()
        if only_scored:
            self._flush(values["accuracy"])

    def _evaluation(self, values: dict[str, Any]) -> None:
        """A checkpoint that was scored on the way (downpour)."""
        if self._as_object is not None:
            self._as_object(
                "evaluation", evaluation=values["evaluation"], checkpoint=values["version"], steps=values["steps"],
                test_accuracy=values["accuracy"], test_loss=values["score_loss"],
            )  # fmt: skip
        else:
            accuracy, loss = values["accuracy"], values["score_loss"]
            shown = f"test accuracy {accuracy:.4f}" if accuracy is not None else f"test loss {loss:.4f}"
            self._print(f"after {values['steps']:,} steps  {shown}")

    def _flush(self, accuracy: float | None) -> None:
        if self._waiting is None:
            return
        values, self._waiting = {**self._waiting, "test_accuracy": accuracy}, None
        if self._as_object is not None:
            self._as_object("round", **values)
            return
        shown = "" if accuracy is None else f"  test accuracy {accuracy:.4f}"
        self._print(
            f"round {values['round']:>3}/{self.num_rounds}  training loss {values['loss']:.4f}{shown}"
            f"  {values['images_per_s']:,.0f} samples/s  {values['seconds']:.2f} s"
        )

    def _print(self, line: str) -> None:
        if self._bar is not None:
            self._bar.clear()
        print(message(line), file=self._lines or sys.stdout, flush=True)
        if self._bar is not None:
            self._bar.refresh()

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.clear()
        print(message(line), file=sys.stderr, flush=True)


class News:
    """What happens to workers and store of a run or a search (`what`), in sentences."""

    def __init__(self, what: str):
        self._what = what
        self._has_leftovers = False  #: that the store does not delete, every worker tells

    def line(self, event: str, values: dict[str, Any]) -> str | None:
        """The sentence for an event; None for one that has none, or has had it."""
        if event == "replaced":
            return f"worker {values['worker']} is gone: started again (attempt {values['attempt']})"
        if event == "unavailable":
            return f"a worker process ended: {values['message']}"
        if event == "malformed":
            return f"a worker said what is no message of nnlite's, which is passed over: {values['reason']}"
        if event == "uncleaned" and not self._has_leftovers:
            self._has_leftovers = True
            return f"what is no longer needed stays in the store: {values['reason']}"
        if event == "unsaved":
            return f"the {self._what} could not be marked as ended: {values['reason']}"
        return None


@dataclass
class _Sums:
    """What came out of the checkpoints that one line stands for."""

    num_samples: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0

    def add(self, values: dict[str, Any], seconds: float) -> None:
        self.num_samples += values["num_samples"]
        self.loss_sum += (values["loss"] or 0.0) * values["num_samples"]
        self.seconds += values["seconds"] or seconds

    def values(self) -> dict[str, Any]:
        return {
            "loss": self.loss_sum / self.num_samples,
            "images_per_s": round(self.num_samples / self.seconds, 1),
            "seconds": round(self.seconds, 3),
        }


def _bar(num_rounds: int, first_round: int, bar_on: Any) -> Any:
    """A tqdm bar on stderr, if that is a terminal and tqdm is there."""
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    stream = sys.stderr if bar_on is None else bar_on
    return tqdm(total=num_rounds, initial=first_round, unit="round", leave=False, dynamic_ncols=True, file=stream)
