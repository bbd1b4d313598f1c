"""How a run is shown while it goes on: a bar on a terminal, lines in a pipe, objects for machines."""

from __future__ import annotations

import json
import sys
import time
from typing import Any


class Progress:
    """Tells of every round, with its loss and with the test accuracy that its weights turned out to have.

    The accuracy of the weights a round made is measured at the beginning of the next round, so a line
    appears one round late. `as_json` prints one object a line instead; a bar, on a terminal, goes to stderr.
    """

    def __init__(self, num_rounds: int, first_round: int, as_json: bool):
        self.num_rounds, self.as_json = num_rounds, as_json
        self._last_s = time.monotonic()
        self._waiting: dict[str, Any] | None = None  #: the last round, until its accuracy is known
        self._bar = None if as_json else _bar(num_rounds, first_round)

    def tell(self, event: str, values: dict[str, Any]) -> None:
        """Take in an event of the run (a `performer.Teller`)."""
        if event == "round":
            self._round(values)
        elif event == "replaced":
            self._say(f"worker {values['worker']} is gone: started again (attempt {values['attempt']})")
        elif event == "unsaved":
            self._say(f"the run could not be marked as ended: {values['reason']}")

    def close(self) -> None:
        """The run is over: what is still waiting is said now."""
        self._flush(None)
        if self._bar is not None:
            self._bar.close()

    def _round(self, values: dict[str, Any]) -> None:
        now_s = time.monotonic()
        seconds, self._last_s = now_s - self._last_s, now_s
        self._flush(values["accuracy"])
        if values["num_samples"]:
            rate = values["num_samples"] / seconds
            self._waiting = {
                "event": "round",
                "round": values["round"] + 1,
                "loss": values["loss"],
                "images_per_s": round(rate, 1),
                "seconds": round(seconds, 3),
            }
            if self._bar is not None:
                self._bar.update()

    def _flush(self, accuracy: float | None) -> None:
        if self._waiting is None:
            return
        values, self._waiting = {**self._waiting, "test_accuracy": accuracy}, None
        if self.as_json:
            print(json.dumps(values), flush=True)
            return
        shown = "" if accuracy is None else f"  test accuracy {accuracy:.4f}"
        self._print(
            f"round {values['round']:>3}/{self.num_rounds}  loss {values['loss']:.4f}{shown}"
            f"  {values['images_per_s']:,.0f} images/s  {values['seconds']:.2f} s"
        )

    def _print(self, line: str) -> None:
        if self._bar is not None:
            self._bar.clear()
        print(line, flush=True)
        if self._bar is not None:
            self._bar.refresh()

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.clear()
        print(line, file=sys.stderr, flush=True)


def _bar(num_rounds: int, first_round: int) -> Any:
    """A tqdm bar on stderr, if that is a terminal and tqdm (the [progress] extra) is there."""
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=num_rounds, initial=first_round, unit="round", leave=False, dynamic_ncols=True)
