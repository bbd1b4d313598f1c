"""Everything that can go wrong, as one tree.

::

    NnliteError
    ├── UsageError        (ValueError)          a flag or an argument that cannot be meant; tools exit 2
    ├── StructureError    (ValueError)          shapes, names or layouts that do not fit together
    ├── WeightsError      (ValueError)          bytes that are not a sound weights file
    ├── DataError         (ValueError)          a data file that is not what it should be
    ├── DataNotFound      (FileNotFoundError)   no data where we looked
    ├── StoreError        (OSError)             the store failed, refused, or holds what is not ours
    │   ├── NotFound      (KeyError)            no such key
    │   ├── Conflict                            the condition of a conditional write does not hold
    │   └── StoreUnavailable (ConnectionError)  no answer this time: it may, or may not, have been done
    │       └── PartlyUnavailable               the same, for some of many keys
    ├── Diverged          (ArithmeticError)     a loss or a weight is no longer a finite number
    └── RunError          (RuntimeError)        a run cannot start, go on, or be found
        ├── RunNotFound                         no such run in the store; or its store has forgotten it
        └── Unasked                             an invocation that its run cannot have asked for

A message says what failed, where, what was expected and what was found, and what to do about it.
It fits on one line: tools print it as it is.
"""

from collections.abc import Mapping
from typing import Any

MOST_WORDS = 300  # characters
MOST_MESSAGE, END = 1_200, 400  # of a message, and of what stays of the end of a longer one


def words(text: object) -> str:
    """Somebody else's text for a message of ours: a line of bounded length, with nothing that a terminal would obey."""
    shown = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return " ".join(shown.split())[:MOST_WORDS].rstrip(". ")


def shown(value: object) -> str:
    """A value that somebody gave, for a message of ours: what Python calls it, in one short line."""
    try:
        return words(f"{value!r:.80}")
    except ValueError:  # Python writes no number of thousands of digits
        return "a number beyond 2**53"


def message(text: object) -> str:
    """A message of ours, whatever is quoted in it: bounded, with what to do at its end, and nothing that a terminal
    would obey."""
    whole = str(text)
    if len(whole) > MOST_MESSAGE:
        whole = f"{whole[: MOST_MESSAGE - END]} [...] {whole[-END:]}"
    if whole.isprintable():
        return whole
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else letter.encode("unicode_escape").decode()
        for letter in whole
    )


class NnliteError(Exception):
    """Base of every error that nnlite raises on purpose.

    parameter: the one that the message begins with, if it is about one. A command writes its option there.
    """

    def __init__(self, *args: object, parameter: str = "") -> None:
        super().__init__(*args)
        self.parameter = parameter

    def __str__(self) -> str:  # KeyError would print its repr, OSError its errno
        return message(self.args[0]) if self.args else type(self).__name__


class UsageError(NnliteError, ValueError):
    """A flag or an argument that cannot be meant."""


class StructureError(NnliteError, ValueError):
    """Shapes, names or layouts that do not fit together."""


class WeightsError(NnliteError, ValueError):
    """Bytes that are not a sound weights file."""


class DataError(NnliteError, ValueError):
    """A data file that is not what it should be."""


class DataNotFound(NnliteError, FileNotFoundError):
    """No data where we looked."""


class StoreError(NnliteError, OSError):
    """The store failed, refused, or holds what is not ours."""


class NotFound(StoreError, KeyError):
    """No such key in the store."""


class Conflict(StoreError):
    """A conditional write whose condition does not hold."""


class StoreUnavailable(StoreError, ConnectionError):
    """The store gave no answer, or asked us to come back: the same request may succeed later.

    Whether a write that raised this took effect is not known.
    """


class PartlyUnavailable(StoreUnavailable):
    """Some keys of a batch got no answer, or were not asked for any more. `answers`: those of the others."""

    def __init__(self, message: str, answers: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.answers = answers


class Diverged(NnliteError, ArithmeticError):
    """A loss or a weight is no longer a finite number."""


class RunError(NnliteError, RuntimeError):
    """A run cannot start, go on, or be found."""


class Unasked(RunError):
    """An invocation that its run cannot have asked for: it is refused, and the run goes on as if it had never been."""


class NotOfThisRun(Unasked):
    """A specification that is not the one that an invocation was started for: somebody has replaced it."""


class RunNotFound(RunError):
    """No such run in the store. To an invocation of it: the store has forgotten the run, until somebody restores it."""


class WorkerTraceback(Exception):
    """Where in a worker an error was raised, as text: the cause of the RunError that ends the run."""
