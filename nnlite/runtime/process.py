"""A worker process of the local platform: spoken to through pipes."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from typing import Any

from nnlite.errors import NnliteError, RunNotFound, StoreUnavailable
from nnlite.runtime.gauge import Gauge
from nnlite.runtime.throttle import Throttle
from nnlite.runtime.workers import Workers
from nnlite.store import open_store


def main() -> int:
    """Read the payload from standard input, run its invocations, tell of them on standard output."""
    sys.stdout = sys.stderr  # what a user's own code prints must not get between the messages
    signal.signal(signal.SIGTERM, _stop)
    payload = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_command, daemon=True).start()
    workers, reason = None, None
    try:
        throttle = Throttle(payload["cpu_share"]) if payload.get("cpu_share") else None
        gauge = Gauge(payload.get("began_s", time.monotonic()), _tell, throttle)
        store = open_store(payload["store"])
        workers = Workers(store, payload["run"], invoke=_tell_invoke, tell=_tell, gauge=gauge, is_cold=True)
        for worker, attempt in payload["invocations"]:
            workers.add(worker, attempt)
        gauge.begin()
        workers.scheduler.run()
    except SystemExit:
        reason = "the command that started it ended"
    except (
        StoreUnavailable,
        RunNotFound,
    ) as error:  # no error: the next attempt may well meet an answer, so die, to be replaced
        _tell("unavailable", {"message": str(error)})
        return 1
    except NnliteError as error:
        _tell("error", {"kind": type(error).__name__, "message": str(error)})
        return 1
    except Exception as error:  # of a user's own layer, say: the next attempt would only meet it again
        kind = type(error).__name__
        where = "(unexpected: --processes 0 --debug shows where)"
        _tell("error", {"kind": kind, "message": f"a worker failed: {kind}: {error} {where}"})
        return 1
    finally:
        if workers is not None:
            workers.close(reason)
    return 0


def _stop(*_: object) -> None:
    """Stop between any two instructions, as a crash would, but with a last word in the trace."""
    raise SystemExit(0)


def _tell_invoke(worker: int, attempt: int) -> None:
    _tell("invoke", {"worker": worker, "attempt": attempt})


def _tell(event: str, values: dict[str, Any]) -> None:
    print(json.dumps({"event": event, **values}), file=sys.__stdout__, flush=True)


def _end_with_the_command() -> None:
    """The command holds the other end of standard input: when it is gone, so are we."""
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
