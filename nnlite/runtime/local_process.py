"""A worker process of the local platform: spoken to through pipes."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from typing import Any

from nnlite.case_file import CaseFile
from nnlite.errors import NnliteError, RunNotFound, StoreUnavailable
from nnlite.runtime.workers import Workers
from nnlite.store import open_store
from nnlite.telemetry.throttle import Throttle
from nnlite.telemetry.usage_meter import Gauge

GRACE_S = 5.0  # without the command: for the last words
MOST_TRACEBACK = 8_000  # characters, of the end of one

_asked_to_end: list[bool] = []


def main() -> int:
    """Read the payload from standard input, run its invocations, tell of them on standard output."""
    sys.stdout = sys.stderr  # what a user's own code prints must not get between the messages
    signal.signal(signal.SIGTERM, _stop)
    payload = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_command, daemon=True).start()
    here: list[Workers] = []
    code, reason, answers = 0, None, True
    try:
        code, answers = _work(payload, here)
        _asked_to_end.append(True)  # from here on nothing may come between the last words
    except (SystemExit, BrokenPipeError):  # we were told so, or nobody listens any more
        reason = "the command that started it ended"
    for workers in here:
        workers.close(reason, answers)
    return code


def _work(payload: dict[str, Any], here: list[Workers]) -> tuple[int, bool]:
    """Do the work, by workers that are put into `here`. -> exit code, and whether the store has answered to the end"""
    try:
        throttle = Throttle(payload["cpu_share"]) if payload.get("cpu_share") else None
        gauge = Gauge(payload.get("began_s", time.monotonic()), throttle)
        store = open_store(payload["store"])
        if payload.get("case_file"):
            path, sha256 = payload["case_file"]
            file = CaseFile.read(path)
            file.check(sha256, f"run {payload['run']}")
            file.run()
        of = (store, payload["run"], _tell_invoke, _tell)
        workers = Workers(*of, gauge=gauge, is_cold=True, sha256=payload.get("spec"))
        here.append(workers)
        for worker, attempt in payload["invocations"]:
            workers.add(worker, attempt)
        gauge.begin()
        workers.scheduler.run()
    except (
        StoreUnavailable,
        RunNotFound,
    ) as error:  # no error: the next attempt may well meet an answer, so die, to be replaced
        _tell("unavailable", {"message": str(error)})
        return 1, False
    except NnliteError as error:
        _tell("error", {"kind": type(error).__name__, "message": str(error), "traceback": _traceback()})
        return 1, True
    except Exception as error:  # of a user's own layer, say: the next attempt would only meet it again
        kind = type(error).__name__
        message = f"a worker failed: {kind}: {error} (unexpected)"
        _tell("error", {"kind": kind, "message": message, "traceback": _traceback()})
        return 1, True
    return 0, True


def _traceback() -> str:
    """Where the exception that is being handled came from."""
    return traceback.format_exc()[-MOST_TRACEBACK:]


def _stop(*_: object) -> None:
    """Stop between any two instructions, as a crash would, but with last words; once, as those must not be cut off."""
    if not _asked_to_end:
        _asked_to_end.append(True)
        raise SystemExit(0)


def _tell_invoke(worker: int, attempt: int) -> None:
    _tell("invoke", {"worker": worker, "attempt": attempt})


def _tell(event: str, values: dict[str, Any]) -> None:
    print(json.dumps({"event": event, **values}), file=sys.__stdout__, flush=True)


def _end_with_the_command() -> None:
    """The command holds the other end of standard input: when it is gone, so are we, after our last words."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
