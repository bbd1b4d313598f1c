"""Signals that ask a command to end: SIGTERM (docker stop, SLURM, a shutdown) and SIGHUP end it as Ctrl-C does."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = ("SIGTERM", "SIGHUP")


class Terminated(KeyboardInterrupt):
    """One of these signals has come."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number


@contextmanager
def ending_as_ctrl_c() -> Iterator[None]:
    """While it is open, such a signal raises Terminated, once; what comes after it does not disturb the tidying up.

    One that is ignored, as SIGHUP under nohup, stays ignored. Python hears signals in its main thread alone.
    """
    numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
    mine = [n for n in numbers if signal.getsignal(n) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        mine = []
    for number in mine:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_DFL)


def is_terminated() -> bool:
    """Whether the exception that is being handled is one of these signals: nobody is there to be asked anything."""
    return isinstance(sys.exc_info()[1], Terminated)


def exit_code(error: KeyboardInterrupt) -> int:
    """128 and the number of the signal, as shells count: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + (error.number if isinstance(error, Terminated) else signal.SIGINT)


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise Terminated(number)
