"""A worker process of the toy: `python -m tests.runtime.toy_process`, spoken to like `nnlite.runtime.local_process`.

It is the real thing but for the learner: the programs, the performer, the store, the process. So what is lost or
counted twice shows in integers.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import uuid
from typing import Any

from nnlite.errors import NnliteError
from nnlite.protocol.effects import TrainingSums
from nnlite.runtime.performer import Performer, perform
from nnlite.runtime.workers import open_durable, read_spec
from nnlite.store import open_store
from tests.protocol.toy import ToyLearner

STEP_S = 0.01


class SlowLearner(ToyLearner):
    """Takes its time, so that there is time to be killed."""

    def train(self, seconds: float, until_step: int | None = None) -> TrainingSums:
        time.sleep(STEP_S)
        return super().train(seconds, until_step)


def tell(event: str, values: dict[str, Any]) -> None:
    print(json.dumps({"event": event, **values}), flush=True)


def main() -> None:
    payload = json.loads(sys.stdin.readline())
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    (worker, attempt), store = payload["invocations"][0], open_store(payload["store"])
    spec = read_spec(store, payload["run"])

    def told(event: str, values: dict[str, Any]) -> None:
        tell(event, {"worker": worker, "attempt": attempt, **values})

    performer = Performer(
        store,
        SlowLearner(worker, spec.wire),  # type: ignore[arg-type]
        open_durable(spec),
        invoke=lambda w, a: tell("invoke", {"worker": w, "attempt": a}),
        tell=told,
    )
    perform(spec.rules.worker(spec, worker, attempt, holder=uuid.uuid4().hex).program(), performer)


if __name__ == "__main__":
    try:
        main()
    except NnliteError as error:
        sys.exit(str(error))
