"""The handler: parse, do one invocation's work, answer."""

import functools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lambda_pkg.environment import MEMORY_MB
from lambda_pkg.events import Visit, read
from lambda_pkg.logs import tell, tell_metrics
from nnlite.errors import RunError, StoreUnavailable, Unasked
from nnlite.invoker.aws.function import Function
from nnlite.runtime.invocation import Payload, carry_out, end_as_failed
from nnlite.store.warm import Shelf

SHELF = Shelf(max_bytes=MEMORY_MB * 2**20 // 4)  #: shards that warm invocations find again
_init_s = [time.process_time()]  # of this process so far; taken by its first invocation


_function = functools.cache(Function)  # and its client, which warm invocations find again


def handle(event: Any, context: Any) -> dict[str, Any]:
    """The work of one worker's invocation; or, on schedule, a look at the runs that nobody watches."""
    init_s = _init_s.pop() if _init_s else 0.0

    def remaining_s() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    try:
        asked = read(event)
    except RunError as error:
        return _refused(error)
    function = _function(context.function_name)
    if isinstance(asked, Visit):
        from lambda_pkg.repair import repair

        return repair(asked, function, remaining_s)
    return _work(asked, function, remaining_s, init_s)


def _refused(error: RunError) -> dict[str, Any]:
    """As an error of the function it would be tried twice more, and fail again."""
    tell("refused", {"message": str(error)})
    return {"reason": f"refused: {error}"}


def _work(
    payload: Payload, function: Function, remaining_s: Callable[[], float], init_s: float
) -> dict[str, Any]:  # fmt: skip
    def invoke(worker: int, attempt: int) -> None:
        function.invoke(replace(payload, worker=worker, attempt=attempt).to_json())

    who = {"run": payload.run, "worker": payload.worker, "attempt": payload.attempt}
    metrics = {"init_ms": init_s * 1000, "failed": 0}

    def hear(event: str, values: dict[str, Any]) -> None:
        if event == "bill":
            metrics.update(values)
        else:
            tell(event, {**who, **values})

    try:
        reason = carry_out(payload, invoke, remaining_s, init_s, hear, SHELF)
    except Unasked as error:
        return _refused(error)
    except StoreUnavailable:  # the next attempt may well meet an answer
        raise
    except Exception as error:
        end_as_failed(payload, error)
        reason, metrics["failed"] = f"{type(error).__name__}: {error}", 1
    tell_metrics(function.name, metrics, {**who, "reason": reason})
    return {"reason": reason}
